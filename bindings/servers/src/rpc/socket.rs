//! Calls over a WebSocket: they run beside each other and are answered as they finish, so that one
//! that waits holds up no other.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{Rpc, call};
use crate::listener::Place;

/// Answers that wait for a caller who reads slowly; then the calls wait too.
const ANSWERS: usize = 16;

/// Serves until either side leaves; calls that still run then are taken back.
pub(super) async fn serve(mut socket: WebSocket, rpc: Rpc, place: Place) {
    let slots = Arc::new(Semaphore::new(rpc.calls));
    let (answers, mut outgoing) = mpsc::channel::<Vec<u8>>(ANSWERS);
    let mut calls = JoinSet::new();
    loop {
        while calls.try_join_next().is_some() {} // ended ones are not kept
        let has_room = slots.available_permits() > 0;
        tokio::select! {
            biased;
            () = place.closing.cancelled() => break,
            answer = outgoing.recv() => {
                let Some(answer) = answer else { break };
                // What serde_json writes is UTF-8.
                let text = String::from_utf8(answer).unwrap_or_default();
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return;
                }
            }
            ended = calls.join_next(), if !has_room => drop(ended),
            message = socket.recv(), if has_room => {
                let bytes: Bytes = match message {
                    Some(Ok(Message::Text(text))) => text.into(),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
                let (rpc, answers) = (rpc.clone(), answers.clone());
                calls.spawn(async move {
                    if let Some(answer) = call::answer(&rpc, &bytes).await {
                        let _ = answers.send(answer).await; // the caller left
                    }
                    drop(slot);
                });
            }
        }
    }
    let _ = socket.send(Message::Close(None)).await; // gone already
}
