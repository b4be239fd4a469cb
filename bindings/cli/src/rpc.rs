//! JSON-RPC 2.0 as the control socket speaks it: one JSON text a line, in both directions.
//!
//! Requests of one connection run beside each other and are answered as they finish. A request that
//! yields many things (`chat.follow`) sends each as a notification `{"method": "item", "params":
//! {"id": <id of the request>, "item": …}}` before its result. Whoever closes the connection cancels
//! what it asked for. Batches (JSON arrays) are not taken: pipelining does the same.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The longest line taken: a mail of the largest size in base64, with room to spare.
pub(crate) const LINE_LIMIT: u64 = 96 * 1024 * 1024;

/// The request could not be parsed.
pub(crate) const PARSE_ERROR: i64 = -32_700;
/// The line is JSON but no request.
pub(crate) const INVALID_REQUEST: i64 = -32_600;
/// There is no such method.
pub(crate) const METHOD_NOT_FOUND: i64 = -32_601;
/// The parameters do not fit the method.
pub(crate) const INVALID_PARAMS: i64 = -32_602;
/// What was asked for failed; the message says why.
pub(crate) const FAILED: i64 = -32_000;
/// The method needs the node, and this process has none.
pub(crate) const NEEDS_NODE: i64 = -32_001;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) jsonrpc: Version,
    /// Absent in a notification, which gets no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Value>,
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) params: Value,
}

/// What the daemon sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    Failure { jsonrpc: Version, id: Value, error: Failure },
    Item { jsonrpc: Version, method: String, params: Item },
    // Last, because a result may be anything, also null.
    Success { jsonrpc: Version, id: Value, result: Value },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) id: Value,
    pub(crate) item: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) code: i64,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: i64, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }

    pub(crate) fn failed(error: impl ToString) -> Self {
        Self::new(FAILED, error)
    }
}

impl Reply {
    pub(crate) fn new(id: Value, outcome: Result<Value, Failure>) -> Self {
        match outcome {
            Ok(result) => Self::Success { jsonrpc: Version, id, result },
            Err(error) => Self::Failure { jsonrpc: Version, id, error },
        }
    }

    pub(crate) fn item(id: Value, item: Value) -> Self {
        Self::Item { jsonrpc: Version, method: "item".into(), params: Item { id, item } }
    }
}

/// The text `"2.0"`, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("2.0")
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "2.0" { Ok(Self) } else { Err(serde::de::Error::custom("jsonrpc must be 2.0")) }
    }
}

/// One message as it goes over the socket, with its line feed.
pub(crate) fn line(message: &impl Serialize) -> Vec<u8> {
    // Nothing in these types can fail to be written as JSON; an empty line is skipped by readers.
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Whether the other side takes the line.
pub(crate) fn fits(line: &[u8]) -> bool {
    u64::try_from(line.len()).is_ok_and(|length| length <= LINE_LIMIT)
}

/// The next line without its line feed; none at the end of the stream.
///
/// # Errors
/// When reading fails, and `InvalidData` for a line beyond [`LINE_LIMIT`].
pub(crate) async fn read_line<R: AsyncBufRead + Unpin>(
    reader: &mut R,
) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = reader.take(LINE_LIMIT).read_until(b'\n', &mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if u64::try_from(read).unwrap_or(u64::MAX) >= LINE_LIMIT {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the line is too long"));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_and_replies_have_the_form_of_the_standard() {
        let request: Request =
            serde_json::from_value(json!({"jsonrpc": "2.0", "id": 1, "method": "status"})).unwrap();
        assert_eq!((request.id, request.params), (Some(json!(1)), Value::Null));
        let wrong = json!({"jsonrpc": "1.0", "id": 1, "method": "status"});
        assert!(serde_json::from_value::<Request>(wrong).is_err());
        let reply = serde_json::to_value(Reply::new(json!("a"), Ok(Value::Null))).unwrap();
        assert_eq!(reply, json!({"jsonrpc": "2.0", "id": "a", "result": null}));
        let failure = Failure::new(METHOD_NOT_FOUND, "no");
        let reply = serde_json::to_value(Reply::new(json!(2), Err(failure))).unwrap();
        assert_eq!(
            reply,
            json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -32601, "message": "no"}})
        );
    }

    #[test]
    fn a_null_result_reads_back_as_a_result() {
        let text = line(&Reply::new(json!(1), Ok(Value::Null)));
        let reply: Reply = serde_json::from_slice(&text).unwrap();
        assert!(matches!(reply, Reply::Success { result: Value::Null, .. }));
    }
}
