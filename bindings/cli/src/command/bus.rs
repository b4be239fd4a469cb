//! `bus`: messages of any bytes, as every node of the network understands them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::json;
use threephone::address::Target;

use super::Context;
use crate::args::Bus;
use crate::door::Door;
use crate::error::CliError;
use crate::print::{Format, one_line, print_bytes, print_line, remark};
use crate::view::{BusView, SentView};

pub(super) async fn run(context: &Context, command: Bus) -> Result<(), CliError> {
    match command {
        Bus::Send { address, topic, wait, wait_reply, reply_to, data } => {
            let payload = payload(data).await?;
            if let Some(timeout) = wait_reply {
                return ask(context, address, &topic, payload, timeout).await;
            }
            send(context, address, &topic, reply_to, wait, payload).await
        }
        Bus::Receive { topic, timeout, peek } => {
            receive(context, topic.as_deref(), timeout, peek).await
        }
    }
}

async fn payload(data: Option<OsString>) -> Result<Vec<u8>, CliError> {
    match data {
        None => Ok(Vec::new()),
        Some(data) if data == "-" => super::read_stdin().await,
        Some(data) => Ok(data.into_vec()),
    }
}

async fn send(
    context: &Context,
    address: Target,
    topic: &OsStr,
    reply_to: Option<String>,
    wait: Option<Duration>,
    payload: Vec<u8>,
) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let params = json!({
        "to": address.to_string(),
        "topic": BASE64.encode(topic.as_bytes()),
        "payload": BASE64.encode(&payload),
        "reply_to": reply_to,
    });
    let mut sent: SentView = door.call("bus.send", params).await?;
    let Some(wait) = wait else {
        return context.format.print(&sent, |sent| sent.id.clone());
    };
    if context.format == Format::Text {
        // Whoever waits in vain still knows which message it was.
        print_line(&sent.id)?;
    }
    let params = json!({ "id": sent.id, "timeout": wait.as_secs_f64() });
    sent = door.call("bus.wait", params).await?;
    if context.format == Format::Json {
        context.format.print(&sent, |_| String::new())?;
    }
    match sent.state.as_str() {
        "received" | "read" => Ok(()),
        "aborted" => Err(CliError::failed("the node gave the message up; see its log")),
        _ => Err(CliError::NothingInTime),
    }
}

/// Sends a message and prints the reply.
async fn ask(
    context: &Context,
    address: Target,
    topic: &OsStr,
    payload: Vec<u8>,
    timeout: Duration,
) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let params = json!({
        "to": address.to_string(),
        "topic": BASE64.encode(topic.as_bytes()),
        "payload": BASE64.encode(&payload),
        "timeout": timeout.as_secs_f64(),
    });
    let reply: Option<BusView> = door.call("bus.ask", params).await?;
    print_message(context, reply)
}

async fn receive(
    context: &Context,
    topic: Option<&OsStr>,
    timeout: Duration,
    peek: bool,
) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let topic = topic.map(|topic| BASE64.encode(topic.as_bytes()));
    let params = json!({ "topic": topic, "timeout": timeout.as_secs_f64(), "peek": peek });
    let message: Option<BusView> = door.call("bus.receive", params).await?;
    print_message(context, message)
}

fn print_message(context: &Context, message: Option<BusView>) -> Result<(), CliError> {
    let message = message.ok_or(CliError::NothingInTime)?;
    if context.format == Format::Json {
        return context.format.print(&message, |_| String::new());
    }
    let payload = BASE64
        .decode(message.payload.as_bytes())
        .map_err(|_| CliError::failed("the daemon's answer is of another version"))?;
    let topic = one_line(&message.topic);
    remark(&format!("id={} src={} topic={topic}", message.id, message.src));
    print_bytes(&payload)
}
