//! The methods of the control socket, run on an open phone. Commands without a daemon call them
//! directly, so there is one way that things are done.

mod bus;
mod chat;
mod event;
mod held;
mod mail;
mod node;
mod power;
mod transfer;

pub(crate) use chat::state as line_state;
pub(crate) use held::Held;
pub(crate) use power::Change;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use threephone::{Phone, PhoneError};
use tokio::sync::mpsc;

use crate::rpc::{self, Failure, Reply};

/// Where a method puts what it yields before its result.
pub(crate) enum Sink {
    /// To a client of the control socket, for the request with this id; beside it the messages that
    /// its connection has not confirmed.
    Client(Value, mpsc::Sender<Vec<u8>>, Arc<Held>),
    /// To the command that runs in this process.
    Command(mpsc::Sender<Value>),
}

impl Sink {
    /// Where messages wait until they are confirmed; nowhere without a connection.
    fn held(&self) -> Option<&Held> {
        match self {
            Self::Client(_, _, held) => Some(held),
            Self::Command(_) => None,
        }
    }

    /// # Errors
    /// When nobody listens any more.
    async fn item(&self, item: &impl Serialize) -> Result<(), Failure> {
        let item = to_value(item)?;
        let taken = match self {
            Self::Client(id, replies, _) => {
                replies.send(rpc::line(&Reply::item(id.clone(), item))).await.is_ok()
            }
            Self::Command(items) => items.send(item).await.is_ok(),
        };
        if taken { Ok(()) } else { Err(Failure::failed("nobody listens")) }
    }
}

/// Runs one method.
pub(crate) async fn call(
    phone: &Phone,
    method: &str,
    params: Value,
    sink: &Sink,
) -> Result<Value, Failure> {
    match method {
        "status" => to_value(&node::status(phone).await?),
        "power" => to_value(&power::ledger(phone, read_or_default(params)?).await?),
        "metrics" => to_value(&node::metrics(phone).await?),
        "peer.list" => to_value(&node::peers(phone).await?),
        "peer.add" => to_value(&node::add_peer(phone, read(params)?).await?),
        "peer.remove" => to_value(&node::remove_peer(phone, read(params)?).await?),
        "chat.send" => to_value(&chat::send(phone, read(params)?).await?),
        "chat.list" => to_value(&chat::list(phone, read_or_default(params)?).await?),
        "chat.read" => to_value(&chat::mark_read(phone, read(params)?).await?),
        "chat.follow" => to_value(&chat::follow(phone, sink).await?),
        "mail.send" => to_value(&mail::send(phone, read(params)?).await?),
        "mail.list" => to_value(&mail::list(phone, read_or_default(params)?).await?),
        "mail.search" => to_value(&mail::search(phone, read(params)?).await?),
        "mail.show" => to_value(&mail::show(phone, read(params)?).await?),
        "mail.raw" => to_value(&mail::raw(phone, read(params)?).await?),
        "mail.import" => to_value(&transfer::import(phone, read(params)?, sink).await?),
        "mail.export" => to_value(&transfer::export(phone, read(params)?, sink).await?),
        "bus.send" => to_value(&bus::send(phone, read(params)?).await?),
        "bus.ask" => to_value(&bus::ask(phone, read(params)?, sink).await?),
        "bus.wait" => to_value(&bus::wait(phone, read(params)?).await?),
        "bus.receive" => to_value(&bus::receive(phone, read_or_default(params)?, sink).await?),
        "bus.confirm" => to_value(&held::settle(read(params)?, sink)?),
        "event.next" => to_value(&event::next(phone, read_or_default(params)?).await?),
        _ => Err(Failure::new(rpc::METHOD_NOT_FOUND, format!("there is no method '{method}'"))),
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    serde_json::from_value(params).map_err(invalid)
}

/// For methods all of whose parameters may be left out.
fn read_or_default<T: DeserializeOwned + Default>(params: Value) -> Result<T, Failure> {
    if params.is_null() { Ok(T::default()) } else { read(params) }
}

fn invalid(error: impl ToString) -> Failure {
    Failure::new(rpc::INVALID_PARAMS, error)
}

fn to_value(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(Failure::failed)
}

/// The wall clock, in unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or_default()
}

impl From<PhoneError> for Failure {
    fn from(error: PhoneError) -> Self {
        let code = match error {
            PhoneError::Offline => rpc::NEEDS_NODE,
            _ => rpc::FAILED,
        };
        Self::new(code, error)
    }
}

fn base64(text: &str) -> Result<Vec<u8>, Failure> {
    data_encoding::BASE64
        .decode(text.as_bytes())
        .map_err(|error| invalid(format!("not base64: {error}")))
}
