//! Serves the control socket: reads requests, runs them beside each other, cancels those whose
//! client has gone.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::method::{self, Held, Sink};
use crate::rpc::{self, Failure, Reply, Request};
use crate::view::InterfacesView;
use threephone::Phone;
use threephone_servers::Addresses;

/// Connections at a time; every command is one, every `follow` keeps one.
const CONNECTIONS: usize = 128;
/// Requests of one connection that run at a time; further ones wait unread.
pub(crate) const REQUESTS: usize = 64;
/// Replies that wait for a client that reads slowly; then its requests wait too.
const REPLIES: usize = 64;

/// Accepts until `stop`, then ends all connections and waits for their tasks.
/// `addresses` is where the other interfaces are, for `status`.
pub(crate) async fn serve(
    listener: UnixListener,
    phone: Arc<Phone>,
    addresses: Addresses,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely; give others time to close theirs.
                tracing::warn!(%error, "cannot accept a command");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            tracing::warn!("{CONNECTIONS} commands are running; one more is turned away");
            continue;
        };
        let (phone, stop) = (phone.clone(), stop.child_token());
        tasks.spawn(async move {
            connection(stream, phone, addresses, stop).await;
            drop(slot);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn connection(
    stream: UnixStream,
    phone: Arc<Phone>,
    addresses: Addresses,
    stop: CancellationToken,
) {
    let (reader, mut writer) = stream.into_split();
    let (replies, mut outgoing) = mpsc::channel::<Vec<u8>>(REPLIES);
    let tasks = TaskTracker::new();
    tasks.spawn({
        let stop = stop.clone();
        async move {
            while let Some(line) = outgoing.recv().await {
                let written = tokio::select! {
                    () = stop.cancelled() => break,
                    written = writer.write_all(&line) => written,
                };
                if written.is_err() {
                    stop.cancel();
                    break;
                }
            }
        }
    });
    // Dropped with the connection, which gives back what its client did not confirm.
    let held = Arc::new(Held::default());
    let slots = Arc::new(Semaphore::new(REQUESTS));
    let mut reader = BufReader::new(reader);
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { break };
        let line = tokio::select! {
            () = stop.cancelled() => break,
            line = rpc::read_line(&mut reader) => line,
        };
        let Ok(Some(line)) = line else { break };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (phone, stop, replies) = (phone.clone(), stop.clone(), replies.clone());
        let held = held.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = answer(&line, &phone, addresses, &replies, held) => {}
            }
            drop(slot);
        });
    }
    // The client has gone (or we are closing): nobody waits for what is still running.
    stop.cancel();
    drop(replies);
    tasks.close();
    tasks.wait().await;
}

async fn answer(
    line: &[u8],
    phone: &Phone,
    addresses: Addresses,
    replies: &mpsc::Sender<Vec<u8>>,
    held: Arc<Held>,
) {
    let request = match parse(line) {
        Ok(request) => request,
        Err(failure) => {
            let _ = replies.send(rpc::line(&Reply::new(Value::Null, Err(failure)))).await;
            return;
        }
    };
    let id = request.id.clone();
    let sink = Sink::Client(id.clone().unwrap_or_default(), replies.clone(), held);
    let mut outcome = method::call(phone, &request.method, request.params, &sink).await;
    if let ("status", Ok(status)) = (request.method.as_str(), &mut outcome) {
        // The phone does not know of what stands beside it.
        status["interfaces"] = serde_json::json!(InterfacesView::new(addresses));
    }
    if let Some(id) = id {
        let _ = replies.send(rpc::line(&Reply::new(id, outcome))).await;
    }
}

fn parse(line: &[u8]) -> Result<Request, Failure> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| Failure::new(rpc::PARSE_ERROR, format!("not JSON: {error}")))?;
    serde_json::from_value(value).map_err(|error| {
        Failure::new(rpc::INVALID_REQUEST, format!("not a JSON-RPC 2.0 request: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use threephone::{Home, KeySource, Network, PhoneOptions, Purpose};

    async fn offline_phone(folder: &std::path::Path) -> Phone {
        let home = Home::new(folder);
        Phone::init(home.clone(), "Ann", KeySource::File).await.unwrap();
        let (key, network, purpose) = (KeySource::File, Network::Offline, Purpose::Command);
        Phone::open(PhoneOptions { home, key, network, purpose }).await.unwrap()
    }

    #[tokio::test]
    async fn a_client_that_goes_ends_what_it_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let phone = Arc::new(offline_phone(dir.path()).await);
        let (mut client, server) = UnixStream::pair().unwrap();
        let served = tokio::spawn(connection(
            server,
            phone.clone(),
            Addresses::default(),
            CancellationToken::new(),
        ));
        // The first never ends by itself; the answer to the second says that both were taken up.
        for method in ["event.next", "peer.list"] {
            let request = format!(r#"{{"jsonrpc":"2.0","id":"{method}","method":"{method}"}}"#);
            client.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        }
        let mut reader = BufReader::new(&mut client);
        let answer = rpc::read_line(&mut reader).await.unwrap().unwrap();
        assert!(String::from_utf8(answer).unwrap().contains(r#""id":"peer.list""#));
        drop(client);
        served.await.unwrap();
        phone.close().await.unwrap();
    }
}
