//! How much of this node's memory and time strangers can claim through the routing protocol.
//!
//! Keys and valid prefixes cost an attacker almost nothing, so every table that a peer can fill is
//! bounded; the figures are for a phone with a few peers in a network of tens of thousands of nodes.

/// Bounds of every table of the router. All are counts unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterLimits {
    /// Links at once. More are refused by closing them.
    pub links: usize,
    /// Prefixes learnt through one peer. A route costs about 300 bytes, so one peer can claim about
    /// 10 MB; networks beyond this size are reached by lookups, since unused routes make room.
    pub prefixes_per_link: usize,
    /// Route entries in all, over all peers.
    pub entries: usize,
    /// Source table entries. They outlive routes (1800 s), so there are more of them than routes.
    pub sources: usize,
    /// Lookups running at once, our own and those forwarded for others.
    pub lookups: usize,
    /// Failed lookups remembered.
    pub failures: usize,
    /// Seqno requests remembered for suppressing repeats.
    pub seqno_requests: usize,
    /// Route requests a peer may have answered or forwarded at once, after a pause.
    pub requests_burst: u32,
    /// Route requests and seqno requests of one peer handled per second in the long run.
    pub requests_per_second: u32,
    /// Wildcard requests of one peer answered in a burst; each returns the whole table.
    pub wildcards_burst: u32,
    /// Seconds until a peer may ask for the whole table once more.
    pub wildcard_seconds: u32,
    /// Packets waiting to be taken out of the router; beyond, new announcements for others are
    /// dropped. Whoever drives the router takes them out after each call, so this bounds one call.
    pub outputs: usize,
}

impl Default for RouterLimits {
    fn default() -> Self {
        Self {
            links: 256,
            prefixes_per_link: 32_768,
            entries: 131_072,
            sources: 262_144,
            lookups: 4_096,
            failures: 4_096,
            seqno_requests: 8_192,
            requests_burst: 500,
            requests_per_second: 100,
            wildcards_burst: 2,
            wildcard_seconds: 30,
            outputs: 262_144,
        }
    }
}
