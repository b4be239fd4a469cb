//! Methods about messages and topics.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use threephone_node::{MessageId, Prefix};

use super::admin::value;
use super::request::{Failure, INVALID_PARAMS, Params};
use crate::api::{Api, Sent, Taking};
use crate::parse::{self, Base64, Unreadable};
use crate::shape::MessageSendInfo;

/// None for a method of another kind.
pub(super) async fn call(
    api: &Api,
    method: &str,
    params: &Params,
) -> Option<Result<Value, Failure>> {
    Some(match method {
        "popMessage" => pop(api, params).await,
        "pushMessage" => push(api, params).await,
        "pushMessageReply" => reply(api, params).await,
        "getMessageInfo" => info(api, params).await,
        "getDefaultTopicAction" => Ok(json!(api.accepts_by_default().await)),
        "getTopics" => value(&api.topics().await.into_iter().map(Base64).collect::<Vec<_>>()),
        "getTopicSources" => sources(api, params).await,
        "getTopicForwardSocket" => forward_socket(api, params).await,
        "setDefaultTopicAction"
        | "addTopic"
        | "removeTopic"
        | "addTopicSource"
        | "removeTopicSource"
        | "setTopicForwardSocket"
        | "removeTopicForwardSocket" => configure(api, method, params).await.map(|()| json!(true)),
        _ => return None,
    })
}

async fn pop(api: &Api, params: &Params) -> Result<Value, Failure> {
    let (peek, timeout): (Option<bool>, Option<u64>) = (params.get(0)?, params.get(1)?);
    let topic = params.get::<Option<String>>(2)?;
    let topic = topic.map(|text| read(parse::topic(&text), -32_013)).transpose()?;
    let timeout = Duration::from_secs(timeout.unwrap_or(0));
    value(&api.receive(topic, Taking::peek(peek), timeout).await?)
}

async fn push(api: &Api, params: &Params) -> Result<Value, Failure> {
    let message: MessageSendInfo = params.get(0)?;
    let reply_timeout: Option<u64> = params.get(1)?;
    let to = message.dst.target().map_err(|error| Failure::new(INVALID_PARAMS, error))?;
    let topic = message.topic.map(|topic| topic.0).unwrap_or_default();
    let reply_within = reply_timeout.map(Duration::from_secs);
    match api.send(to, topic, message.payload.0, reply_within).await? {
        Sent::Id(id) => value(&id),
        Sent::Reply(reply) => value(&reply),
    }
}

async fn reply(api: &Api, params: &Params) -> Result<Value, Failure> {
    let id = message_id(params, -32_018)?;
    let message: MessageSendInfo = params.get(1)?;
    let to = message.dst.target().map_err(|error| Failure::new(INVALID_PARAMS, error))?;
    api.reply(to, id, message.payload.0).await?;
    Ok(json!(true))
}

async fn info(api: &Api, params: &Params) -> Result<Value, Failure> {
    value(&api.message_info(message_id(params, -32_020)?).await?)
}

async fn sources(api: &Api, params: &Params) -> Result<Value, Failure> {
    value(&api.topic_sources(&topic(params)?).await?)
}

async fn forward_socket(api: &Api, params: &Params) -> Result<Value, Failure> {
    value(&api.forward_socket(&topic(params)?).await)
}

async fn configure(api: &Api, method: &str, params: &Params) -> Result<(), Failure> {
    match method {
        "setDefaultTopicAction" => api.set_default(params.get(0)?).await?,
        "addTopic" => api.add_topic(topic(params)?).await?,
        "removeTopic" => api.remove_topic(&topic(params)?).await?,
        "addTopicSource" => api.add_source(topic(params)?, subnet(params)?).await?,
        "removeTopicSource" => api.remove_source(&topic(params)?, subnet(params)?).await?,
        "setTopicForwardSocket" => {
            api.set_forward_socket(&topic(params)?, Some(params.get(1)?)).await?;
        }
        _ => api.set_forward_socket(&topic(params)?, None).await?,
    }
    Ok(())
}

fn topic(params: &Params) -> Result<Bytes, Failure> {
    read(parse::topic(&params.get::<String>(0)?), -32_021)
}

fn subnet(params: &Params) -> Result<Prefix, Failure> {
    read(parse::subnet(&params.get::<String>(1)?), -32_023)
}

fn message_id(params: &Params, code: i64) -> Result<MessageId, Failure> {
    read(parse::message_id(&params.get::<String>(0)?), code)
}

fn read<T>(parsed: Result<T, Unreadable>, code: i64) -> Result<T, Failure> {
    parsed.map_err(|error| Failure::new(code, error))
}
