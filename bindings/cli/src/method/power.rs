//! `power`: what the node has cost, and how much it may do on its own.

use serde::{Deserialize, Serialize};
use threephone::Phone;
use threephone::node::ledger::{Ledger, Use};
use threephone::node::{PeerStatus, PowerMode, PowerPolicy};

use super::node::{kind_name, state_name};
use crate::args::Power;
use crate::rpc::Failure;
use crate::view::{CauseView, PeerUseView, PowerView, ProcessView};

#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Change {
    /// auto, active or idle
    pub(crate) set: Option<String>,
}

pub(super) async fn ledger(phone: &Phone, change: Change) -> Result<PowerView, Failure> {
    if let Some(set) = change.set {
        let power = <Power as clap::ValueEnum>::from_str(&set, false).map_err(super::invalid)?;
        phone.set_power(PowerPolicy::from(power)).await?;
    }
    Ok(view(&phone.ledger().await?))
}

fn view(ledger: &Ledger) -> PowerView {
    let seconds = ledger.running_for.as_secs_f64();
    PowerView {
        mode: match ledger.mode {
            PowerMode::Active => "active",
            PowerMode::Idle => "idle",
            PowerMode::Suspended => "suspended",
        }
        .into(),
        running_seconds: seconds,
        sleeps: ledger.sleeps,
        network_changes: ledger.network_changes,
        process: ledger.process.map(|process| ProcessView {
            wake_ups: process.wake_ups,
            wake_ups_per_hour: per_hour(process.wake_ups, seconds),
            cpu_seconds: process.cpu.as_secs_f64(),
        }),
        causes: ledger
            .causes
            .iter()
            .map(|(cause, Use { wake_ups, cpu })| CauseView {
                cause: cause.name().into(),
                wake_ups: *wake_ups,
                wake_ups_per_hour: per_hour(*wake_ups, seconds),
                cpu_seconds: cpu.as_secs_f64(),
            })
            .collect(),
        peers: ledger.peers.iter().map(peer).collect(),
    }
}

fn peer(peer: &PeerStatus) -> PeerUseView {
    PeerUseView {
        endpoint: peer.endpoint.to_string(),
        kind: kind_name(Some(peer.kind)).into(),
        state: state_name(Some(peer.state)).into(),
        wake_ups: peer.wake_ups,
        cpu_seconds: peer.cpu.as_secs_f64(),
        tx_bytes: peer.tx_bytes,
        rx_bytes: peer.rx_bytes,
        tx_packets: peer.tx_packets,
        rx_packets: peer.rx_packets,
        connects: peer.connects,
        connected_seconds_ago: peer.last_connected.map(|ago| ago.as_secs_f64()),
        known_seconds: peer.known_for.as_secs_f64(),
        link_cost: peer.link_cost.map(u64::from),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_hour(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { (count as f64 * 3600.0 / seconds).round() } else { 0.0 }
}

impl From<Power> for PowerPolicy {
    fn from(power: Power) -> Self {
        match power {
            Power::Auto => Self::Auto,
            Power::Active => Self::Always(PowerMode::Active),
            Power::Idle => Self::Always(PowerMode::Idle),
        }
    }
}
