//! How much of other nodes' and of our own applications' messages is held at the moment.

use super::{Receiver, Sender};

/// Messages that are held now, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusLoad {
    /// Outgoing, not yet received by their node.
    pub outgoing: u64,
    /// Bytes of those.
    pub outgoing_bytes: u64,
    /// Incoming, not yet whole.
    pub incoming: u64,
    /// Bytes of those that have come.
    pub incoming_bytes: u64,
    /// Whole, and not yet taken by an application.
    pub ready: u64,
    /// Bytes of those.
    pub ready_bytes: u64,
}

impl BusLoad {
    /// What the two sides hold.
    pub(crate) fn of(sender: &Sender, receiver: &Receiver) -> Self {
        let (outgoing, outgoing_bytes) = sender.load();
        let (incoming, incoming_bytes) = receiver.incoming_load();
        let (ready, ready_bytes) = receiver.ready_load();
        Self {
            outgoing: outgoing as u64,
            outgoing_bytes: outgoing_bytes as u64,
            incoming: incoming as u64,
            incoming_bytes: incoming_bytes as u64,
            ready: ready as u64,
            ready_bytes: ready_bytes as u64,
        }
    }
}
