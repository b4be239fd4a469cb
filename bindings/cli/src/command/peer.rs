//! `peer`: whom the node connects to.

use serde_json::{Value, json};

use super::Context;
use crate::args::Peer;
use crate::door::Door;
use crate::error::CliError;
use crate::print::size;
use crate::view::{DoneView, PeerView};

pub(super) async fn run(context: &Context, command: Peer) -> Result<(), CliError> {
    let mut door = Door::open(&context.global).await?;
    let done = match command {
        Peer::Add { endpoint } => change(context, &mut door, "peer.add", &endpoint).await,
        Peer::Remove { endpoint } => change(context, &mut door, "peer.remove", &endpoint).await,
        Peer::List => list(context, &mut door).await,
    };
    door.close().await;
    done
}

async fn change(
    context: &Context,
    door: &mut Door,
    method: &str,
    endpoint: &threephone::node::PeerAddress,
) -> Result<(), CliError> {
    let _: Value = door.call(method, json!({ "endpoint": endpoint.to_string() })).await?;
    context.format.print_done(&DoneView { done: true }, |_| String::new())
}

async fn list(context: &Context, door: &mut Door) -> Result<(), CliError> {
    let peers: Vec<PeerView> = door.call("peer.list", ()).await?;
    for peer in &peers {
        context.format.print(peer, peer_line)?;
    }
    Ok(())
}

pub(super) fn peer_line(peer: &PeerView) -> String {
    let remembered = if peer.remembered { ", remembered" } else { "" };
    let cost = peer.link_cost.map(|cost| format!(", cost {cost}")).unwrap_or_default();
    let state = match peer.state.as_str() {
        "itself" => "this node itself; remove it with `threephone peer remove`",
        state => state,
    };
    format!(
        "{}  {state} ({}{remembered}{cost}), {} out, {} in",
        peer.endpoint,
        peer.kind,
        size(peer.tx_bytes),
        size(peer.rx_bytes)
    )
}
