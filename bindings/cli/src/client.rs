//! The command's end of the control socket.

use std::io::ErrorKind;

use serde_json::Value;
use threephone::Home;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::error::CliError;
use crate::rpc::{self, Item, Reply, Request, Version};
use crate::socket;

/// A connection to a running daemon. Dropping it cancels what it asked for.
pub(crate) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    next_id: u64,
}

impl Client {
    /// # Errors
    /// As [`socket::connect`].
    pub(crate) async fn connect(home: &Home) -> std::io::Result<Self> {
        Ok(Self::new(socket::connect(home).await?))
    }

    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, next_id: 1 }
    }

    /// Calls and waits for the result; `item` gets what comes before it.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        params: Value,
        mut item: impl FnMut(Value) -> Result<(), CliError>,
    ) -> Result<Value, CliError> {
        let id = Value::from(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let request =
            Request { jsonrpc: Version, id: Some(id.clone()), method: method.into(), params };
        let line = rpc::line(&request);
        if !rpc::fits(&line) {
            return Err(CliError::failed(
                "this is more than fits into one request; send less at a time",
            ));
        }
        self.writer.write_all(&line).await.map_err(|_| gone())?;
        loop {
            let line =
                rpc::read_line(&mut self.reader).await.map_err(|error| match error.kind() {
                    ErrorKind::InvalidData => {
                        CliError::failed("the answer is too long; ask for less, with --limit")
                    }
                    _ => gone(),
                })?;
            let line = line.ok_or_else(gone)?;
            let reply: Reply = serde_json::from_slice(&line).map_err(|error| {
                CliError::Failed(format!(
                    "the daemon answered in a way this program does not know ({error}); \
                     are both of one version?"
                ))
            })?;
            match reply {
                Reply::Item { params: Item { id: of, item: value }, .. } if of == id => {
                    item(value)?;
                }
                Reply::Success { id: of, result, .. } if of == id => return Ok(result),
                Reply::Failure { id: of, error, .. } if of == id || of.is_null() => {
                    return Err(error.into());
                }
                // Of a request that nobody waits for any more.
                _ => {}
            }
        }
    }
}

fn gone() -> CliError {
    CliError::failed(
        "the daemon stopped before it had answered; what was asked may have been done all the \
         same: look before trying again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_never_came_leaves_open_whether_it_was_done() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let outcome = Client::new(ours).call("chat.send", Value::Null, |_| Ok(())).await;
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains("may have been done"), "{said}");
    }
}
