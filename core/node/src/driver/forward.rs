//! Services behind topics: each message goes to a Unix socket, and what comes back is the reply
//! (spec 8.5).
//!
//! A service gets a connection a message: the bytes, then the end of our side; its answer ends with
//! its own. Everything has a time limit, since a service that says nothing must not hold the message
//! for ever. Whatever goes wrong, the message is one like others then.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_address::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::command::Released;
use super::core::Core;
use super::inbox::Told;
use crate::message::ReceivedMessage;

/// For the message to be written, as older nodes have it.
const WRITE: Duration = Duration::from_secs(5);
/// For the answer. Within the five minutes that the asker waits at most, and long enough for a
/// service that asks somebody else.
const ANSWER: Duration = Duration::from_secs(60);
/// Messages that services have at once; others wait in the engine, where they are counted.
const AT_ONCE: usize = 64;
/// Of the messages that a service has at once, so many are of one topic.
const OF_ONE_TOPIC: usize = 16;

/// The messages that services have now.
pub(crate) struct Forwards {
    topics: Vec<Bytes>,
    tracker: TaskTracker,
    closing: CancellationToken,
}

impl Forwards {
    pub(crate) fn new(tracker: TaskTracker, closing: CancellationToken) -> Self {
        Self { topics: Vec::new(), tracker, closing }
    }

    fn has_room(&self, topic: &Bytes) -> bool {
        let same = self.topics.iter().filter(|other| *other == topic).count();
        self.topics.len() < AT_ONCE && same < OF_ONE_TOPIC
    }

    fn end(&mut self, topic: &Bytes) {
        if let Some(position) = self.topics.iter().position(|other| other == topic) {
            self.topics.swap_remove(position);
        }
    }
}

impl Core {
    /// Gives waiting messages to the services behind their topics.
    pub(super) fn forward(&mut self, now: Instant) {
        for (topic, rule) in &self.policy.topics {
            let Some(socket) = &rule.forward_socket else { continue };
            while self.forwards.has_room(topic)
                && let Some(message) = self.engine.take_untold(topic, now)
            {
                self.forwards.topics.push(topic.clone());
                let task = ask(socket.clone(), message, self.limit, self.inbox.released());
                let closing = self.forwards.closing.clone();
                self.forwards.tracker.spawn(closing.run_until_cancelled_owned(task));
            }
        }
    }

    /// A service has answered, or cannot.
    pub(super) fn forwarded(
        &mut self,
        message: ReceivedMessage,
        answer: Option<Bytes>,
        now: Instant,
    ) {
        self.forwards.end(&message.topic);
        self.deliverable = true; // there is room for another
        let Some(answer) = answer else {
            self.inbox.give_back(message, Told::Arrived);
            return;
        };
        let to = Target::Address(message.source);
        if let Err(error) = self.engine.reply(to, message.id, answer, now) {
            tracing::warn!(id = %message.id, %error, "the answer of a topic's service is lost");
        }
    }
}

async fn ask(
    socket: std::path::PathBuf,
    message: ReceivedMessage,
    limit: usize,
    core: mpsc::UnboundedSender<Released>,
) {
    let answer = match exchange(&socket, &message.payload, limit).await {
        Ok(answer) => Some(answer),
        Err(error) => {
            let socket = socket.display();
            tracing::warn!(%socket, %error, "a topic's service does not answer; its message waits");
            None
        }
    };
    let _ = core.send(Released::Forwarded { message, answer }); // closed: nobody can receive
}

#[cfg(unix)]
async fn exchange(socket: &Path, payload: &[u8], limit: usize) -> io::Result<Bytes> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let write = async {
        let mut stream = tokio::net::UnixStream::connect(socket).await?;
        stream.write_all(payload).await?;
        stream.shutdown().await?;
        Ok::<_, io::Error>(stream)
    };
    let stream = tokio::time::timeout(WRITE, write).await.map_err(late)??;
    let mut answer = Vec::new();
    let mut stream = stream.take(limit as u64 + 1);
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(ANSWER, read).await.map_err(late)??;
    match answer.len() {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is empty")),
        length if length > limit => Err(io::Error::other("the answer is too large to be sent")),
        _ => Ok(answer.into()),
    }
}

#[cfg(not(unix))]
async fn exchange(_: &Path, _: &[u8], _: usize) -> io::Result<Bytes> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_says_nothing_is_given_up_after_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silent");
        let _silent = tokio::net::UnixListener::bind(&path).unwrap(); // it has a queue, no more
        let begun = tokio::time::Instant::now();
        let error = exchange(&path, b"well?", 100).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, ANSWER));
    }
}
