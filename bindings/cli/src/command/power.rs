//! `power`: what the node costs.

use std::fmt::Write as _;

use super::Context;
use crate::args::Power;
use crate::door::Door;
use crate::error::CliError;
use crate::method::Change;
use crate::view::PowerView;

pub(super) async fn run(context: &Context, set: Option<Power>) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    let set = set.map(|mode| match mode {
        Power::Auto => "auto".to_owned(),
        Power::Active => "active".to_owned(),
        Power::Idle => "idle".to_owned(),
    });
    let power: PowerView = door.call("power", Change { set }).await?;
    context.format.print(&power, text)
}

fn text(power: &PowerView) -> String {
    let PowerView { mode, running_seconds, sleeps, network_changes, .. } = power;
    let mut text = format!(
        "mode        {mode}\nrunning     {running_seconds:.0} s, slept {sleeps} times, {network_changes} changes of network"
    );
    if let Some(process) = &power.process {
        let _ = write!(
            text,
            "\nprocess     {} wake-ups ({:.0} an hour), {:.3} s of processor time",
            process.wake_ups, process.wake_ups_per_hour, process.cpu_seconds
        );
    }
    for cause in &power.causes {
        let _ = write!(
            text,
            "\n{:<11} {} wake-ups ({:.0} an hour), {:.3} s",
            cause.cause, cause.wake_ups, cause.wake_ups_per_hour, cause.cpu_seconds
        );
    }
    for peer in &power.peers {
        let _ = write!(
            text,
            "\npeer        {} {} {}, {} wake-ups, {:.3} s, {} bytes out, {} in",
            peer.endpoint,
            peer.kind,
            peer.state,
            peer.wake_ups,
            peer.cpu_seconds,
            peer.tx_bytes,
            peer.rx_bytes
        );
    }
    text
}
