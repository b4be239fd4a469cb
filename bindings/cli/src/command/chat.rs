//! `chat`: lines between two people.

use serde_json::{Value, json};

use super::Context;
use crate::args::Chat;
use crate::door::Door;
use crate::error::CliError;
use crate::print::{one_line, time};
use crate::view::{LineView, ReadView};

pub(super) async fn run(context: &Context, command: Chat) -> Result<(), CliError> {
    if matches!(command, Chat::Follow) {
        return follow(context).await;
    }
    let mut door = Door::open(&context.global).await?;
    let done = run_with(context, &mut door, command).await;
    door.close().await;
    done
}

async fn run_with(context: &Context, door: &mut Door, command: Chat) -> Result<(), CliError> {
    match command {
        Chat::Send { address, text } => {
            let params = json!({ "to": address.to_string(), "text": text });
            let line: LineView = door.call("chat.send", params).await?;
            context.format.print_done(&line, |line| line.id.clone())
        }
        Chat::List { with, limit } => {
            let params = json!({ "with": with.map(|with| with.to_string()), "limit": limit });
            let lines: Vec<LineView> = door.call("chat.list", params).await?;
            for line in &lines {
                context.format.print(line, line_text)?;
            }
            Ok(())
        }
        Chat::Read { address } => {
            let params = json!({ "with": address.to_string() });
            let read: ReadView = door.call("chat.read", params).await?;
            context.format.print_done(&read, |read| format!("{} read", read.read))
        }
        Chat::Follow => Ok(()),
    }
}

/// Until interrupted: the signal ends the process, and with it the connection.
async fn follow(context: &Context) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let print = |line: LineView| context.format.print(&line, line_text);
    let _: Value = door.call_with("chat.follow", (), print).await?;
    Ok(())
}

fn line_text(line: &LineView) -> String {
    let (sent_at, text) = (time(line.sent_at), one_line(&line.text));
    format!("{sent_at}  {} -> {}  [{}]  {text}", line.from, line.to, line.state)
}
