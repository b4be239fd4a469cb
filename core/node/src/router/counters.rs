//! What the router refused, lost and noticed, for whoever watches a node.

/// Counts since the node started. None of them is reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouterCounters {
    /// Updates that no node may send: outside of the overlay, too short, not around the address of
    /// their key, or for a key without a secret.
    pub filtered: u64,
    /// Updates worse than what this node advertised itself.
    pub infeasible: u64,
    /// Updates for a /64 by another key than the first one seen there.
    pub other_key: u64,
    /// Updates that brought a further router id of a key that is reachable under another one.
    pub other_router_id: u64,
    /// Updates for the own prefix that this node never sent: somebody pretends to be it.
    pub own_forged: u64,
    /// How often this node took a new router id because somebody forged what it cannot overtake.
    pub lives: u64,
    /// Hellos above the rate of one peer.
    pub hellos_over_rate: u64,
    /// IHUs above the rate of one peer, and those that nothing asked for.
    pub ihus_over_rate: u64,
    /// Updates above the rate of one peer.
    pub updates_over_rate: u64,
    /// Route requests above the rate of one peer.
    pub route_requests_over_rate: u64,
    /// Seqno requests above the rate of one peer.
    pub seqno_requests_over_rate: u64,
    /// Route requests that make no sense here: too short, foreign, or forwarded too often.
    pub requests_refused: u64,
    /// Lookups not started because one failed just now or too many run.
    pub lookups_refused: u64,
    /// Own lookups that got no answer.
    pub lookups_failed: u64,
    /// Routes not taken in because the tables are full.
    pub routes_refused: u64,
    /// Routes not taken in because nobody asked for them and the tables are above the soft limit.
    pub routes_unwanted: u64,
    /// Unused routes given up to make room for wanted ones.
    pub routes_evicted: u64,
    /// Announcements put off because the route comes and goes too often.
    pub damped: u64,
    /// Extra Hellos sent over links that carried traffic and brought nothing.
    pub probes: u64,
    /// Links found silent, whose routes were then avoided.
    pub silences: u64,
    /// Routes avoided because nothing came back from the node behind them.
    pub undelivered: u64,
    /// Packets not sent because the link is too slow for them.
    pub held_back: u64,
}
