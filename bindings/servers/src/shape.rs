//! The JSON that goes in and out, as the reference daemon writes it (spec 10.1).

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use threephone_node::{PublicKey, Target};

use crate::error::ApiError;
use crate::parse::Base64;

/// The node itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Info {
    pub(crate) node_subnet: String,
    pub(crate) node_ip: Ipv6Addr,
    pub(crate) node_pubkey: String,
    /// Unix seconds.
    pub(crate) node_start_time: u64,
}

/// A peer's underlay address.
#[derive(Debug, Serialize)]
pub(crate) struct Endpoint {
    pub(crate) proto: &'static str,
    pub(crate) addr: EndpointAddress,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum EndpointAddress {
    Socket(String),
    Vsock { cid: u32, port: u32 },
}

/// One row of the peer table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeerStats {
    pub(crate) endpoint: Endpoint,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) connection_state: &'static str,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_bytes: u64,
    /// Seconds ago.
    pub(crate) discovered: u64,
    /// Seconds ago; null when there never was a link.
    pub(crate) last_connected: Option<u64>,
}

/// One route entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Route {
    pub(crate) subnet: String,
    pub(crate) next_hop: String,
    pub(crate) metric: Metric,
    pub(crate) seqno: u16,
}

/// The metric as the neighbour announced it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Metric {
    Value(u16),
    Infinite(&'static str),
}

impl Metric {
    pub(crate) fn new(metric: u16) -> Self {
        match metric {
            u16::MAX => Self::Infinite("infinite"),
            metric => Self::Value(metric),
        }
    }
}

/// A prefix that is being looked for.
#[derive(Debug, Serialize)]
pub(crate) struct QueriedSubnet {
    pub(crate) subnet: String,
    /// Seconds left, as text.
    pub(crate) expiration: String,
}

/// Data packets that went through this node.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PacketStatistics {
    pub(crate) by_source: Vec<PacketCount>,
    pub(crate) by_destination: Vec<PacketCount>,
}

/// Those from or to one address.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PacketCount {
    pub(crate) ip: Ipv6Addr,
    pub(crate) packet_count: u64,
    /// Of the sealed payloads.
    pub(crate) byte_count: u64,
}

/// To whom a message goes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Destination {
    Ip(IpAddr),
    Pk(String),
}

/// A message to be sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageSendInfo {
    pub(crate) dst: Destination,
    #[serde(default)]
    pub(crate) topic: Option<Base64>,
    pub(crate) payload: Base64,
}

impl Destination {
    /// # Errors
    /// For what names no node; says what would.
    pub(crate) fn target(&self) -> Result<Target, String> {
        match self {
            Self::Ip(IpAddr::V6(address)) => Ok(Target::Address(*address)),
            Self::Ip(IpAddr::V4(_)) => Err(ApiError::NotIpv6.to_string()),
            Self::Pk(key) => match key.parse::<PublicKey>() {
                Ok(key) => Ok(Target::Key(key)),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

/// A message that was received.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageReceiveInfo {
    pub(crate) id: String,
    pub(crate) src_ip: Ipv6Addr,
    pub(crate) src_pk: String,
    pub(crate) dst_ip: Ipv6Addr,
    pub(crate) dst_pk: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<Base64>,
    pub(crate) payload: Base64,
}

/// The name of a message that is on its way.
#[derive(Debug, Serialize)]
pub(crate) struct MessageIdReply {
    pub(crate) id: String,
}

/// How far a message is that was sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageInfo {
    /// Also of a message to a key: its address.
    pub(crate) dst: Ipv6Addr,
    pub(crate) state: MessageState,
    /// Unix seconds.
    pub(crate) created: u64,
    /// Unix seconds.
    pub(crate) deadline: u64,
    pub(crate) msg_len: usize,
}

/// Its state; while it is being sent, how many chunks are how far.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MessageState {
    Pending,
    Sending { pending: usize, sent: usize, acked: usize },
    Received,
    Read,
    Aborted,
}
