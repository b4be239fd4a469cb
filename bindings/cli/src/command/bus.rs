//! `bus`: messages of any bytes, as every node of the network understands them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};
use threephone::node::limits::BusLimits;

use super::Context;
use crate::args::Bus;
use crate::door::Door;
use crate::error::CliError;
use crate::input::{self, Limit};
use crate::print::{Format, one_line, print_bytes, print_line, remark};
use crate::view::{BusView, SentView};

pub(super) async fn run(context: &Context, command: Bus) -> Result<(), CliError> {
    match command {
        Bus::Send { address, topic, wait, wait_reply, reply_to, data } => {
            // Before standard input is read, which may take its time.
            let mut door = Door::daemon(&context.global).await?;
            let mut message = json!({
                "to": address.to_string(),
                "topic": BASE64.encode(topic.as_bytes()),
                "payload": BASE64.encode(&payload(data).await?),
            });
            match wait_reply {
                Some(timeout) => {
                    message["timeout"] = json!(timeout.as_secs_f64());
                    ask(context, &mut door, message).await
                }
                None => {
                    message["reply_to"] = json!(reply_to);
                    send(context, &mut door, message, wait).await
                }
            }
        }
        Bus::Receive { topic, timeout, peek } => {
            receive(context, topic.as_deref(), timeout, peek).await
        }
    }
}

async fn payload(data: Option<OsString>) -> Result<Vec<u8>, CliError> {
    match data {
        None => Ok(Vec::new()),
        Some(data) if data == "-" => {
            let bytes = BusLimits::default().message_bytes;
            input::stdin(Limit { bytes, of: "a message" }).await
        }
        Some(data) => Ok(data.into_vec()),
    }
}

async fn send(
    context: &Context,
    door: &mut Door,
    message: Value,
    wait: Option<Duration>,
) -> Result<(), CliError> {
    let mut sent: SentView = door.call("bus.send", message).await?;
    let Some(wait) = wait else {
        return context.format.print_done(&sent, |sent| sent.id.clone());
    };
    if context.format == Format::Text {
        // Whoever waits in vain still knows which message it was.
        print_line(&sent.id).map_err(CliError::but_done)?;
    }
    let params = json!({ "id": sent.id, "timeout": wait.as_secs_f64() });
    sent = door.call("bus.wait", params).await?;
    if context.format == Format::Json {
        context.format.print_done(&sent, |_| String::new())?;
    }
    match sent.state.as_str() {
        "received" | "read" => Ok(()),
        "aborted" => Err(CliError::failed("the node gave the message up; see its log")),
        _ => Err(CliError::NothingInTime),
    }
}

/// Sends a message and prints the reply.
async fn ask(context: &Context, door: &mut Door, message: Value) -> Result<(), CliError> {
    let mut id = None;
    let sent = |sent: SentView| {
        id = Some(sent.id);
        Ok(())
    };
    let reply: Option<BusView> = door.call_with("bus.ask", message, sent).await?;
    match (reply, id) {
        (Some(reply), _) => print_message(context, &reply),
        (None, Some(id)) => unanswered(context, door, &id).await,
        (None, None) => Err(CliError::NothingInTime),
    }
}

/// No reply came in time. Whoever waits on still has to know for which message, and standard output
/// is the reply's where nothing says what is printed there.
async fn unanswered(context: &Context, door: &mut Door, id: &str) -> Result<(), CliError> {
    let sent: SentView = door.call("bus.wait", json!({ "id": id, "timeout": 0 })).await?;
    match context.format {
        Format::Json => context.format.print(&sent, |_| String::new())?,
        Format::Text => remark(&format!("id={} state={}", sent.id, sent.state)),
    }
    Err(CliError::NothingInTime)
}

async fn receive(
    context: &Context,
    topic: Option<&OsStr>,
    timeout: Duration,
    peek: bool,
) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let topic = topic.map(|topic| BASE64.encode(topic.as_bytes()));
    let params =
        json!({ "topic": topic, "timeout": timeout.as_secs_f64(), "peek": peek, "confirm": !peek });
    let message: Option<BusView> = door.call("bus.receive", params).await?;
    let message = message.ok_or(CliError::NothingInTime)?;
    let printed = print_message(context, &message);
    if peek {
        return printed;
    }
    // What nobody could read stays for the next, also when its reader has gone.
    let taken = printed.is_ok();
    let params = json!({ "id": message.id, "src": message.src, "taken": taken });
    let settled: Result<Value, CliError> = door.call("bus.confirm", params).await;
    match printed {
        Ok(()) => settled.map(drop),
        Err(CliError::OutputClosed) => Err(CliError::failed(format!(
            "the reader of standard output has gone; {}",
            kept(&settled)
        ))),
        Err(error) => Err(CliError::Failed(format!("{error}; {}", kept(&settled)))),
    }
}

fn kept(settled: &Result<Value, CliError>) -> &'static str {
    match settled {
        Ok(_) => "the message is still there for the next `bus receive`",
        Err(_) => "the message is lost, for the node stopped too",
    }
}

fn print_message(context: &Context, message: &BusView) -> Result<(), CliError> {
    if context.format == Format::Json {
        return context.format.print(message, |_| String::new());
    }
    let payload = BASE64
        .decode(message.payload.as_bytes())
        .map_err(|_| CliError::failed("the daemon's answer is of another version"))?;
    let topic = one_line(&message.topic);
    remark(&format!("id={} src={} topic={topic}", message.id, message.src));
    print_bytes(&payload)
}
