//! `status`: the running node at a glance.

use std::fmt::Write as _;

use super::Context;
use super::peer::peer_line;
use crate::door::Door;
use crate::error::CliError;
use crate::print::one_line;
use crate::view::{MetricsView, StatusView};

pub(super) async fn run(context: &Context, metrics: bool) -> Result<(), CliError> {
    let mut door = Door::daemon(&context.global).await?;
    if metrics {
        let page: MetricsView = door.call("metrics", ()).await?;
        return context.format.print(&page, |page| page.text.trim_end().to_owned());
    }
    let status: StatusView = door.call("status", ()).await?;
    context.format.print(&status, text)
}

fn text(status: &StatusView) -> String {
    let mut text = format!(
        "name        {}\naddress     {}\npublic key  {}\nmyc         {}\nsubnet      {}\nup          {} s, process {}\n\
         listening   {}\nroutes      {}\noutbox      {}",
        one_line(&status.name),
        status.address,
        status.public_key,
        status.myc,
        status.subnet,
        status.uptime_seconds,
        status.pid,
        or_nothing(&status.listening),
        status.routes,
        or_nothing(&status.outbox.iter().map(|(s, n)| format!("{n} {s}")).collect::<Vec<_>>()),
    );
    let interfaces = &status.interfaces;
    for (name, address) in [
        ("http api", &interfaces.http),
        ("rpc api", &interfaces.rpc),
        ("metrics", &interfaces.metrics),
    ] {
        if let Some(address) = address {
            let _ = write!(text, "\n{name:<12}http://{address}");
        }
    }
    for peer in &status.peers {
        let _ = write!(text, "\npeer        {}", peer_line(peer));
    }
    text
}

fn or_nothing(parts: &[String]) -> String {
    if parts.is_empty() { "-".into() } else { parts.join(", ") }
}
