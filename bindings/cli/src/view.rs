//! What `--json` prints and the control socket answers. The field names are an interface: they are
//! described in `docs/cli-json.md`, may be added to, and do not change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `init`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InitView {
    pub(crate) address: String,
    pub(crate) public_key: String,
    /// The address as text ending in `.myc`, which names the key.
    pub(crate) myc: String,
    pub(crate) home: String,
}

/// `up`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadyView {
    pub(crate) address: String,
    pub(crate) public_key: String,
}

/// `status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusView {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) public_key: String,
    /// The address as text ending in `.myc`, which names the key.
    pub(crate) myc: String,
    pub(crate) subnet: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) listening: Vec<String>,
    pub(crate) peers: Vec<PeerView>,
    pub(crate) routes: u64,
    pub(crate) outbox: BTreeMap<String, u64>,
    /// Of a running `up`.
    #[serde(default)]
    pub(crate) interfaces: InterfacesView,
    pub(crate) pid: u32,
    pub(crate) version: String,
}

/// Where the interfaces of the network's own daemon are served, with actual ports; null where not
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InterfacesView {
    pub(crate) http: Option<String>,
    pub(crate) rpc: Option<String>,
    pub(crate) metrics: Option<String>,
}

impl InterfacesView {
    pub(crate) fn new(addresses: threephone_servers::Addresses) -> Self {
        let text = |address: Option<std::net::SocketAddr>| address.map(|a| a.to_string());
        Self {
            http: text(addresses.http),
            rpc: text(addresses.rpc),
            metrics: text(addresses.metrics),
        }
    }
}

/// `status --metrics`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetricsView {
    /// As Prometheus reads it.
    pub(crate) text: String,
}

/// One line of `peer list`, and of `peers` in `status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerView {
    pub(crate) endpoint: String,
    /// static, inbound, discovered, public
    pub(crate) kind: String,
    /// connecting, connected, disconnected; itself when it is this node; offline when the node does not run
    pub(crate) state: String,
    pub(crate) remembered: bool,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_bytes: u64,
    /// Absent while there is no link.
    pub(crate) link_cost: Option<u64>,
}

/// `power`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PowerView {
    /// active, idle, suspended
    pub(crate) mode: String,
    pub(crate) running_seconds: f64,
    /// How often the machine was found to have slept.
    pub(crate) sleeps: u64,
    pub(crate) network_changes: u64,
    /// By the system's count; absent where it does not tell.
    pub(crate) process: Option<ProcessView>,
    pub(crate) causes: Vec<CauseView>,
    pub(crate) peers: Vec<PeerUseView>,
}

/// What the whole process took
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProcessView {
    pub(crate) wake_ups: u64,
    pub(crate) wake_ups_per_hour: f64,
    pub(crate) cpu_seconds: f64,
}

/// What the node did for one cause
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CauseView {
    /// timer, packets, connection, beacon, call
    pub(crate) cause: String,
    pub(crate) wake_ups: u64,
    pub(crate) wake_ups_per_hour: f64,
    pub(crate) cpu_seconds: f64,
}

/// What one peer cost
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerUseView {
    pub(crate) endpoint: String,
    /// static, inbound, discovered, public
    pub(crate) kind: String,
    /// connecting, connected, disconnected, itself
    pub(crate) state: String,
    pub(crate) wake_ups: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) rx_packets: u64,
    /// How often it was connected.
    pub(crate) connects: u64,
    /// Absent when it never was.
    pub(crate) connected_seconds_ago: Option<f64>,
    pub(crate) known_seconds: f64,
    /// Absent while there is no link.
    pub(crate) link_cost: Option<u64>,
}

/// One line of `chat list` and `chat follow`, and `chat send`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineView {
    pub(crate) id: String,
    /// The other person's address.
    pub(crate) chat: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) text: String,
    /// Unix milliseconds, by the author's clock.
    pub(crate) sent_at: i64,
    pub(crate) state: String,
}

/// `chat read`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadView {
    /// How many lines were unread.
    pub(crate) read: u64,
}

/// One line of `mail list` and `mail search`, and `mail send`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailView {
    pub(crate) id: String,
    pub(crate) mailbox: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    /// Unix milliseconds.
    pub(crate) date: i64,
    /// Bytes of the message as stored.
    pub(crate) size: u64,
    /// How many.
    pub(crate) attachments: u64,
    pub(crate) flags: Vec<String>,
    /// Of sent mail: how far it has got, by recipient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recipients: Vec<RecipientView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecipientView {
    pub(crate) address: String,
    pub(crate) state: String,
}

/// `mail show`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailDetailView {
    #[serde(flatten)]
    pub(crate) mail: MailView,
    /// From the HTML where there is only that.
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    pub(crate) files: Vec<FileView>,
}

/// An attached file
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileView {
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) size: u64,
}

/// `mail show --raw` and `mail export`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RawView {
    pub(crate) id: String,
    /// Base64.
    pub(crate) raw: String,
}

/// `mail import`, and how far it is
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportView {
    pub(crate) imported: u64,
    /// Passed over since the mailbox holds the same bytes.
    pub(crate) duplicates: u64,
    /// Passed over since they are larger than an import takes.
    pub(crate) too_large: u64,
    /// Of a single message: its id, new or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Of the file.
    pub(crate) bytes: u64,
}

/// `mail export` of a mailbox or into a file, and how far it is
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportView {
    pub(crate) exported: u64,
    pub(crate) bytes: u64,
    /// What was written since the last one, in base64; only on the control socket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) data: String,
}

/// `bus send`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentView {
    pub(crate) id: String,
    /// queued, or with `--wait` how it ended: received, pending, aborted
    pub(crate) state: String,
}

/// `bus receive`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BusView {
    pub(crate) id: String,
    /// As text; what is no UTF-8 is replaced.
    pub(crate) topic: String,
    /// As it is.
    pub(crate) topic_base64: String,
    pub(crate) src: String,
    pub(crate) src_public_key: String,
    /// Base64.
    pub(crate) payload: String,
}

/// What was done where there is nothing else to say
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DoneView {
    pub(crate) done: bool,
}

/// `event.next` of the control socket
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchView {
    /// What to name in the next call.
    pub(crate) cursor: u64,
    pub(crate) events: Vec<EventView>,
}

/// Something changed: what kind of thing, and its id where it has one
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventView {
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<u64>,
}
