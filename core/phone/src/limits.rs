//! What this room bounds.

use std::time::Duration;

/// Events kept for readers that are behind. At some 64 bytes each this is about half a megabyte;
/// a reader that misses more lists anew, which is cheaper than replaying that many changes.
pub const EVENTS_KEPT: usize = 8_192;

/// How long closing waits for the tasks of the node and the services before it gives up on them.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(20);

/// Peers remembered in a profile.
pub const PEERS_REMEMBERED: u32 = 256;
