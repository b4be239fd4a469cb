//! What a router tells whoever drives it.

use std::time::Instant;

use crate::wire::control::Tlv;
use crate::{LinkId, Prefix, PublicKey, RouterId};

/// Why the router gives up a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// No IHU for 43 s.
    Dead,
    /// The router has all the links it may have.
    TooManyLinks,
}

/// What the router wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouterOutput {
    /// Send this to that peer.
    Send {
        /// To whom.
        link: LinkId,
        /// What.
        tlv: Tlv,
    },
    /// Close this link; the router has forgotten it already.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// A prefix has a selected route that had none.
    RouteAcquired {
        /// The exact prefix.
        prefix: Prefix,
        /// The key of the node that owns it.
        key: PublicKey,
    },
    /// A prefix has no selected route any more.
    RouteLost {
        /// The exact prefix.
        prefix: Prefix,
    },
    /// A lookup that this node started got no answer within 15 s.
    LookupFailed {
        /// The /64 looked up.
        prefix: Prefix,
    },
    /// Of an idle router's own lookup, after a second: none of its few peers had an answer yet. Also
    /// where packets stay unanswered on the only way there is.
    LookupUnanswered {
        /// The /64 looked up.
        prefix: Prefix,
    },
    /// The other end of this link is this node itself, or says so.
    LinkToItself {
        /// Which.
        link: LinkId,
    },
    /// A link takes packets and brings nothing, so its routes are avoided.
    LinkSilent {
        /// Which.
        link: LinkId,
    },
    /// A link that was silent works again.
    LinkSpeaks {
        /// Which.
        link: LinkId,
    },
}

/// The longest match for a destination. Running lookups have no part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteLookup {
    /// Send it this way.
    Selected {
        /// The next hop.
        link: LinkId,
        /// The key of the destination's node.
        key: PublicKey,
        /// The prefix that matched.
        prefix: Prefix,
    },
    /// The node is known, but nothing leads there now.
    Unselected {
        /// The key of the destination's node.
        key: PublicKey,
    },
    /// Nothing is known.
    Unknown,
}

/// What became of the wish to look something up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupState {
    /// Requests are on their way.
    Started,
    /// They were already.
    Running,
    /// One failed some seconds ago, or too many run; ask again later.
    RecentlyFailed,
}

/// A lookup that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryInfo {
    /// What is looked for.
    pub prefix: Prefix,
    /// When it is given up.
    pub expires: Instant,
}

/// One route entry, for status displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    /// Announced prefix.
    pub prefix: Prefix,
    /// Key of the node that owns it.
    pub key: PublicKey,
    /// The life of that node which announced it: routes are free of loops per router id.
    pub router_id: RouterId,
    /// Next hop.
    pub link: LinkId,
    /// As received: without the cost of the own link. 65535 when retracted.
    pub metric: u16,
    /// The source's sequence number.
    pub seqno: u16,
    /// Whether packets go this way.
    pub selected: bool,
    /// When it ends unless refreshed.
    pub expires: Instant,
}
