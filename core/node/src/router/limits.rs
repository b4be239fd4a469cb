//! How much of this node's memory and time strangers can claim through the routing protocol.
//!
//! Keys and valid prefixes cost an attacker almost nothing, so every table that a peer can fill is
//! bounded. One peer may announce a network of 150,000 nodes at once, as a router in the middle of it
//! would when asked for its table: about 270 bytes a route, so 40 MB; two such peers find the second
//! limit. All tables full, by attackers on many links, take about 150 MB.

/// Bounds of every table of the router. All are counts unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterLimits {
    /// Links at once, 4,096 at most. More are refused by closing them.
    pub links: usize,
    /// Routes learnt through one peer. Networks beyond this size are reached by lookups, since
    /// unused routes make room.
    pub prefixes_per_link: usize,
    /// Routes in all above which none is taken in that nobody asked for, except for those of direct
    /// neighbours and to prefixes in use.
    pub soft_entries: usize,
    /// Routes in all, over all peers.
    pub entries: usize,
    /// Feasibility distances. They are made by what is passed on to others and outlive the routes
    /// (1800 s).
    pub sources: usize,
    /// Lookups running at once, our own and those forwarded for others, who have half of it.
    pub lookups: usize,
    /// Lookups running for one peer.
    pub lookups_per_link: usize,
    /// Failed lookups remembered.
    pub failures: usize,
    /// Seqno requests remembered for suppressing repeats.
    pub seqno_requests: usize,
    /// Keys of nodes that answered, remembered so that no other key takes their /64.
    pub pins: usize,
    /// Hellos of one peer answered at once, after a pause. As many IHUs are looked at.
    pub hellos_burst: u32,
    /// Hellos of one peer answered per second in the long run. Two nodes that tell each other a
    /// whole table ask twenty times a second whether it was read.
    pub hellos_per_second: u32,
    /// Updates of one peer looked at at once, after a pause: a whole table. Retractions of routes it
    /// announced are not counted.
    pub updates_burst: u32,
    /// Updates of one peer looked at per second in the long run.
    pub updates_per_second: u32,
    /// Route requests a peer may have answered or forwarded at once, after a pause; seqno requests
    /// likewise.
    pub requests_burst: u32,
    /// Route requests of one peer handled per second in the long run; seqno requests likewise.
    pub requests_per_second: u32,
    /// Wildcard requests of one peer answered in a burst; each returns the whole table.
    pub wildcards_burst: u32,
    /// Seconds until a peer may ask for the whole table once more.
    pub wildcard_seconds: u32,
}

impl Default for RouterLimits {
    fn default() -> Self {
        Self {
            links: 256,
            prefixes_per_link: 150_000,
            soft_entries: 150_000,
            entries: 200_000,
            sources: 200_000,
            lookups: 4_096,
            lookups_per_link: 512,
            failures: 4_096,
            seqno_requests: 4_096,
            pins: 4_096,
            hellos_burst: 200,
            hellos_per_second: 50,
            updates_burst: 150_000,
            updates_per_second: 2_000,
            requests_burst: 500,
            requests_per_second: 100,
            wildcards_burst: 2,
            wildcard_seconds: 30,
        }
    }
}
