//! What the node costs: how often it wakes, how long it computes, for what and for whom.
//!
//! A wake-up is one turn of the node's core, whatever came in during it; its processor time is told
//! to the cause, and the peer, that began it. Bytes are counted per peer. What the process does
//! besides (services, disk, the sealing of forwarded packets) shows in the figures of the process.

use std::time::Duration;

use crate::PeerStatus;
use crate::power::PowerMode;

/// Why the node woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Something was due.
    Timer,
    /// A peer sent packets.
    Packets,
    /// A link came, ended, or could not be made.
    Connection,
    /// Somebody was heard on the local network.
    Beacon,
    /// The application asked for something, or took something.
    Call,
}

impl Cause {
    /// All causes, in the order of [`Ledger::causes`].
    pub const ALL: [Self; 5] =
        [Self::Timer, Self::Packets, Self::Connection, Self::Beacon, Self::Call];

    /// Its name for reports, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Packets => "packets",
            Self::Connection => "connection",
            Self::Beacon => "beacon",
            Self::Call => "call",
        }
    }
}

/// What one cause took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// How often the node woke up for it.
    pub wake_ups: u64,
    /// Processor time spent.
    pub cpu: Duration,
}

/// What the whole process took, by the system's own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessUse {
    /// How often one of its threads went to sleep and was woken.
    pub wake_ups: u64,
    /// Processor time of all threads.
    pub cpu: Duration,
}

/// What a node has cost since it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Since the start.
    pub running_for: Duration,
    /// The power mode now.
    pub mode: PowerMode,
    /// How often the machine was found to have slept.
    pub sleeps: u64,
    /// How often the network changed, by what the node was told and by sleeps.
    pub network_changes: u64,
    /// By cause, all of them.
    pub causes: Vec<(Cause, Use)>,
    /// The peer table, with wake-ups, processor time and bytes of each.
    pub peers: Vec<PeerStatus>,
    /// The process; none where the system does not tell.
    pub process: Option<ProcessUse>,
}
