//! `chat.*`

use serde::Deserialize;
use threephone::address::Target;
use threephone::messaging::{LineQuery, LineState, MessagingError, MessagingEvent};
use threephone::{Event, Phone, messaging};

use super::{Sink, invalid, now_ms};
use crate::rpc::Failure;
use crate::view::{LineView, ReadView};

/// How many events are looked at in one go.
const BATCH: usize = 256;

/// Rather than leave lines out without a word.
const TOO_SLOW: &str = "more lines came than were read here; list them with `chat list`";

#[derive(Deserialize)]
pub(super) struct Send {
    to: String,
    text: String,
}

pub(super) async fn send(phone: &Phone, params: Send) -> Result<LineView, Failure> {
    let to: Target = params.to.parse().map_err(invalid)?;
    let line = phone.messaging().send(to, &params.text, now_ms()).await;
    let line = line.map_err(|error| match error {
        MessagingError::Text(_) => invalid(error),
        error => Failure::failed(error),
    })?;
    Ok(view(&line))
}

#[derive(Deserialize, Default)]
pub(super) struct List {
    with: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(phone: &Phone, params: List) -> Result<Vec<LineView>, Failure> {
    let with = params.with.as_deref().map(str::parse).transpose().map_err(invalid)?;
    let query = LineQuery { with, limit: params.limit, ..LineQuery::default() };
    let lines = phone.messaging().list_lines(query).await.map_err(Failure::failed)?;
    Ok(lines.iter().map(view).collect())
}

#[derive(Deserialize)]
pub(super) struct Read {
    with: String,
}

pub(super) async fn mark_read(phone: &Phone, params: Read) -> Result<ReadView, Failure> {
    let with: Target = params.with.parse().map_err(invalid)?;
    let read = phone.messaging().mark_read(with, now_ms()).await.map_err(Failure::failed)?;
    Ok(ReadView { read: u64::try_from(read).unwrap_or(u64::MAX) })
}

/// Lines that are added from now on, until the client goes or the phone closes.
pub(super) async fn follow(phone: &Phone, sink: &Sink) -> Result<(), Failure> {
    let mut cursor = phone.events().now();
    while let Some(batch) = phone.events().next_batch(cursor, BATCH).await {
        for event in batch.events {
            let id = match event {
                Event::Chat(MessagingEvent::LineAdded { id, .. }) => id,
                Event::Overflow { .. } => return Err(Failure::failed(TOO_SLOW)),
                _ => continue,
            };
            if let Some(line) = phone.messaging().line(id).await.map_err(Failure::failed)? {
                sink.item(&view(&line)).await?;
            }
        }
        cursor = batch.cursor;
    }
    Ok(())
}

fn view(line: &messaging::LineView) -> LineView {
    LineView {
        id: line.id.to_string(),
        chat: line.chat.to_string(),
        from: line.from.to_string(),
        to: line.to.to_string(),
        text: line.text.clone(),
        sent_at: line.sent_at,
        state: state(line.state).into(),
    }
}

pub(crate) fn state(state: LineState) -> &'static str {
    match state {
        LineState::Queued => "queued",
        LineState::Sent => "sent",
        LineState::Delivered => "delivered",
        LineState::Read => "read",
        LineState::Failed => "failed",
        LineState::Received => "received",
    }
}
