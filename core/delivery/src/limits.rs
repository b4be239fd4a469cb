//! Every bound of this room, with its reason.

/// The largest body, in bytes: a mail with a photo or two. The node carries messages of twice that;
/// what is larger still will travel as blobs.
pub const MAX_BODY_BYTES: usize = 8 << 20;
/// The longest noun.
pub(crate) const MAX_NOUN_BYTES: usize = 32;
/// What an envelope adds to its body at most: two maps, a noun, keys, a signature (about 250).
pub(crate) const ENVELOPE_OVERHEAD: usize = 512;
/// The longest envelope that is looked at.
pub(crate) const MAX_ENVELOPE_BYTES: usize = MAX_BODY_BYTES + ENVELOPE_OVERHEAD;
/// How deep an envelope's CBOR may nest, unknown fields included.
pub(crate) const MAX_DEPTH: usize = 8;
/// Sequences that one sender may have open towards one receiver: the receiver remembers a bit for
/// each, 512 bytes a sender.
pub(crate) const WINDOW: u64 = 4096;
/// Entries in one acknowledgement: about 28 KB.
pub(crate) const MAX_ACKS: usize = 512;
/// Acknowledgements on their way to one peer; while they are, further entries gather.
pub(crate) const ACKS_IN_FLIGHT: usize = 4;
/// Acknowledgements waiting for one peer; more are dropped, since its repeats ask again.
pub(crate) const MAX_PENDING_ACKS: usize = 8192;
/// Envelopes on their way to one peer or not yet acknowledged by it. At 20 ms for a round trip with
/// two commits that is 12,000 a second.
pub(crate) const IN_FLIGHT: usize = 256;
/// The same for a peer that has not answered since it was last silent: many of those must not fill
/// the node's queue. The first answer opens the whole window.
pub(crate) const UNCONFIRMED_IN_FLIGHT: usize = 16;
/// Bodies over so many bytes are large: they go in a lane of their own, and only to a peer that
/// answered or to which a way was found within [`CONFIRMED_FOR_MS`].
pub(crate) const LARGE: usize = 64 << 10;
/// Routes live for minutes; a lookup of one that is known costs nothing.
pub(crate) const CONFIRMED_FOR_MS: u64 = 60_000;
/// Bytes of small bodies on their way to one peer.
pub(crate) const PEER_SMALL_BYTES: usize = 4 << 20;
/// Bytes of large bodies on their way to one peer: one of the largest, or some photos.
pub(crate) const PEER_LARGE_BYTES: usize = MAX_BODY_BYTES;
/// Bytes of small bodies on their way to all peers; beyond it each peer may have one.
pub(crate) const ALL_SMALL_BYTES: usize = 8 << 20;
/// Bytes of large bodies on their way to all peers.
pub(crate) const ALL_LARGE_BYTES: usize = 24 << 20;
/// Received envelopes between the link and the commit.
pub(crate) const APPLYING: usize = 256;
/// Bytes of those.
pub(crate) const APPLYING_BYTES: usize = 32 << 20;
/// Failed envelopes kept for the counts, without their bodies.
pub(crate) const FAILED_KEPT: usize = 1000;

/// What strangers (addresses that nothing was ever sent to) can make this device keep.
///
/// A stranger over a bound is not acknowledged and tries again later; it gets through once the user
/// has written to it. Nobody is forgotten to make room: a forgotten window would let a replay in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Strangers remembered at all, about 700 bytes each.
    pub strangers: u64,
    /// Envelopes kept from one stranger.
    pub stranger_envelopes: u64,
    /// Bytes of bodies kept from one stranger.
    pub stranger_bytes: u64,
    /// Bytes of bodies kept from all strangers together.
    pub all_strangers_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            strangers: 4096,
            stranger_envelopes: 20_000,
            stranger_bytes: 64 << 20,
            all_strangers_bytes: 256 << 20,
        }
    }
}

/// How long delivery waits before it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The first wait after a failure; an answer crosses the network in well under a second.
    pub retry_first_ms: u64,
    /// The longest wait: what a peer that comes back unnoticed costs at most.
    pub retry_last_ms: u64,
    /// How long an acknowledgement may take before the first repeat: two commits, two crossings, and
    /// a receiver with a full window before this one.
    pub ack_wait_ms: u64,
    /// After which time a service hears that the peer's node has taken an envelope; a quick peer's
    /// acknowledgement is there before, and saves the transaction.
    pub sent_report_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry_first_ms: 1_000,
            retry_last_ms: 15 * 60_000,
            ack_wait_ms: 5_000,
            sent_report_ms: 300,
        }
    }
}
