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
        Bus::Send { address, topic, wait, data } => {
            send(context, address, &topic, wait, data).await
        }
        Bus::Receive { topic, timeout } => receive(context, topic.as_deref(), timeout).await,
    }
}

async fn send(
    context: &Context,
    address: Target,
    topic: &OsStr,
    wait: Option<Duration>,
    data: Option<OsString>,
) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let payload = match data {
        None => Vec::new(),
        Some(data) if data == "-" => super::read_stdin().await?,
        Some(data) => data.into_vec(),
    };
    let params = json!({
        "to": address.to_string(),
        "topic": BASE64.encode(topic.as_bytes()),
        "payload": BASE64.encode(&payload),
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

async fn receive(
    context: &Context,
    topic: Option<&OsStr>,
    timeout: Duration,
) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let topic = topic.map(|topic| BASE64.encode(topic.as_bytes()));
    let params = json!({ "topic": topic, "timeout": timeout.as_secs_f64() });
    let message: Option<BusView> = door.call("bus.receive", params).await?;
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
