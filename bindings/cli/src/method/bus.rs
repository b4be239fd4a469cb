//! `bus.*`

use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use threephone::Phone;
use threephone::address::Target;
use threephone::node::{MessageId, ReceivedMessage, SendState};

use super::{Sink, base64, invalid};
use crate::rpc::Failure;
use crate::view::{BusView, SentView};

#[derive(Deserialize)]
pub(super) struct Send {
    to: String,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    payload: String,
    /// The message of `to` that this answers; it has no topic then.
    reply_to: Option<String>,
}

pub(super) async fn send(phone: &Phone, params: Send) -> Result<SentView, Failure> {
    let to: Target = params.to.parse().map_err(invalid)?;
    let (topic, payload) = (base64(&params.topic)?, base64(&params.payload)?);
    let id = match &params.reply_to {
        None => phone.bus()?.send(to, &topic, payload.into()).await?,
        Some(id) => {
            let id = message_id(id)?;
            phone.bus()?.reply(to, id, payload.into()).await?;
            id
        }
    };
    Ok(SentView { id: id.to_string(), state: "queued".into() })
}

#[derive(Deserialize)]
pub(super) struct Ask {
    to: String,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    payload: String,
    timeout: f64,
}

/// Yields the message's id, then gives the reply.
pub(super) async fn ask(
    phone: &Phone,
    params: Ask,
    sink: &Sink,
) -> Result<Option<BusView>, Failure> {
    let to: Target = params.to.parse().map_err(invalid)?;
    let (topic, payload) = (base64(&params.topic)?, base64(&params.payload)?);
    let timeout = duration(params.timeout)?;
    let (id, reply) = phone.bus()?.send_for_reply(to, &topic, payload.into(), timeout).await?;
    sink.item(&SentView { id: id.to_string(), state: "queued".into() }).await?;
    Ok(reply.as_ref().map(view))
}

#[derive(Deserialize)]
pub(super) struct Wait {
    id: String,
    #[serde(default)]
    timeout: f64,
}

pub(super) async fn wait(phone: &Phone, params: Wait) -> Result<SentView, Failure> {
    let id = message_id(&params.id)?;
    let state = match phone.bus()?.wait(id, duration(params.timeout)?).await {
        SendState::Pending => "pending",
        SendState::Received => "received",
        SendState::Read => "read",
        SendState::Aborted => "aborted",
    };
    Ok(SentView { id: params.id, state: state.into() })
}

#[derive(Deserialize, Default)]
pub(super) struct Receive {
    topic: Option<String>,
    #[serde(default)]
    timeout: f64,
    #[serde(default)]
    peek: bool,
    /// The message is taken only with `bus.confirm`.
    #[serde(default)]
    confirm: bool,
}

pub(super) async fn receive(
    phone: &Phone,
    params: Receive,
    sink: &Sink,
) -> Result<Option<BusView>, Failure> {
    let topic = params.topic.as_deref().map(base64).transpose()?;
    let timeout = duration(params.timeout)?;
    let bus = phone.bus()?;
    if let (true, false, Some(held)) = (params.confirm, params.peek, sink.held()) {
        if !held.has_room() {
            return Err(Failure::failed("too many messages wait to be confirmed; confirm some"));
        }
        let Some(message) = bus.hold(topic.as_deref(), timeout).await? else { return Ok(None) };
        let shown = view(message.message());
        held.keep(message);
        return Ok(Some(shown));
    }
    let message = match params.peek {
        true => bus.peek(topic.as_deref(), timeout).await?,
        false => bus.receive(topic.as_deref(), timeout).await?,
    };
    Ok(message.as_ref().map(view))
}

fn message_id(text: &str) -> Result<MessageId, Failure> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map(MessageId).ok_or_else(|| invalid("the id of a message is 16 hexadecimal digits"))
}

fn view(message: &ReceivedMessage) -> BusView {
    BusView {
        id: message.id.to_string(),
        topic: String::from_utf8_lossy(&message.topic).into_owned(),
        topic_base64: BASE64.encode(&message.topic),
        src: message.source.to_string(),
        src_public_key: message.source_key.to_string(),
        payload: BASE64.encode(&message.payload),
    }
}

fn duration(seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds).map_err(invalid)
}
