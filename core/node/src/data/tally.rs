//! What happened to packets, counted by cause, from any task.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::seal::OpenError;

/// Why a packet is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    HopLimit,
    Unopened,
    Reflected,
    Replayed,
    Malformed,
    Spoofed,
    NoRoute,
    QueueFull,
    L3,
    Errors,
    Refused,
    Delivered,
    DeviceFull,
    Forwarded,
    Sent,
    Echoed,
    Reports,
}

const CAUSES: usize = Cause::Reports as usize + 1;

/// What happened to packets since the node started. All are counts of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataCounters {
    /// The hop limit ran out.
    pub hop_limit: u64,
    /// Not sealed by whom they claim to come from.
    pub unopened: u64,
    /// Own packets that somebody sent back.
    pub reflected: u64,
    /// Opened before, or too old to tell.
    pub replayed: u64,
    /// Opened, but making no sense; or claiming to come from this node.
    pub malformed: u64,
    /// IP packets whose addresses are not those of the packet they came in.
    pub spoofed: u64,
    /// No route, or no room to wait for one.
    pub no_route: u64,
    /// Dropped because the queue of a link was full.
    pub queue_full: u64,
    /// IP packets, for which there is no TUN.
    pub l3: u64,
    /// Valid error reports.
    pub errors: u64,
    /// Packets from the TUN that may not leave.
    pub refused: u64,
    /// IP packets given to the TUN.
    pub delivered: u64,
    /// IP packets that the system did not take from the TUN.
    pub device_full: u64,
    /// Packets of others sent on.
    pub forwarded: u64,
    /// IP packets from the TUN sealed and sent.
    pub sent: u64,
    /// Pings answered without a TUN.
    pub echoed: u64,
    /// Error reports sent to others.
    pub reports: u64,
}

/// The counters as they are being counted.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; CAUSES]);

impl Tally {
    pub(crate) fn count(&self, cause: Cause) {
        self.add(cause, 1);
    }

    pub(crate) fn add(&self, cause: Cause, packets: u64) {
        if packets > 0
            && let Some(counter) = self.0.get(cause as usize)
        {
            counter.fetch_add(packets, Ordering::Relaxed);
        }
    }

    pub(crate) fn counters(&self) -> DataCounters {
        let of = |cause: Cause| {
            self.0.get(cause as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
        };
        DataCounters {
            hop_limit: of(Cause::HopLimit),
            unopened: of(Cause::Unopened),
            reflected: of(Cause::Reflected),
            replayed: of(Cause::Replayed),
            malformed: of(Cause::Malformed),
            spoofed: of(Cause::Spoofed),
            no_route: of(Cause::NoRoute),
            queue_full: of(Cause::QueueFull),
            l3: of(Cause::L3),
            errors: of(Cause::Errors),
            refused: of(Cause::Refused),
            delivered: of(Cause::Delivered),
            device_full: of(Cause::DeviceFull),
            forwarded: of(Cause::Forwarded),
            sent: of(Cause::Sent),
            echoed: of(Cause::Echoed),
            reports: of(Cause::Reports),
        }
    }
}

impl From<OpenError> for Cause {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Short | OpenError::Forged => Self::Unopened,
            OpenError::Reflected => Self::Reflected,
            OpenError::Replayed => Self::Replayed,
        }
    }
}
