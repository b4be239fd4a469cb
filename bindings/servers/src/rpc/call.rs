//! From the bytes of a request, or of a batch of them, to the bytes of its answer.

use serde_json::Value;

use super::request::{Failure, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Params, Request};
use super::{Rpc, message, method};

/// The answer; none where all were notifications.
pub(super) async fn answer(rpc: &Rpc, bytes: &[u8]) -> Option<Vec<u8>> {
    let answer = match serde_json::from_slice(bytes) {
        Ok(Value::Array(requests)) => batch(rpc, requests).await,
        Ok(request) => one(rpc, request).await,
        Err(error) => {
            Some(Failure::new(PARSE_ERROR, format!("not JSON: {error}")).into_answer(Value::Null))
        }
    };
    // Whatever is in a `Value` can be written.
    answer.map(|answer| answer.to_string().into_bytes())
}

/// In turn, so that a batch means the same each time.
async fn batch(rpc: &Rpc, requests: Vec<Value>) -> Option<Value> {
    let refused = |hint: String| Some(Failure::new(INVALID_REQUEST, hint).into_answer(Value::Null));
    if requests.is_empty() {
        return refused("the batch is empty".into());
    }
    if requests.len() > rpc.batch {
        return refused(format!("a batch holds at most {} requests", rpc.batch));
    }
    let mut answers = Vec::new();
    for request in requests {
        answers.extend(one(rpc, request).await);
    }
    (!answers.is_empty()).then_some(Value::Array(answers))
}

async fn one(rpc: &Rpc, request: Value) -> Option<Value> {
    let Request { id, method, params } = match Request::read(request) {
        Ok(request) => request,
        Err(answer) => return Some(answer),
    };
    let outcome = call(rpc, &method, params).await;
    let id = id?;
    Some(match outcome {
        Ok(result) => serde_json::json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(failure) => failure.into_answer(id),
    })
}

async fn call(rpc: &Rpc, name: &str, params: Value) -> Result<Value, Failure> {
    let Some(method) = method::find(name) else {
        return Err(Failure::new(METHOD_NOT_FOUND, "there is no such method; see rpc.discover"));
    };
    let params = Params::bind(method, params)?;
    match message::call(&rpc.api, method.name, &params).await {
        Some(outcome) => outcome,
        None => super::admin::call(&rpc.api, method.name, &params).await,
    }
}
