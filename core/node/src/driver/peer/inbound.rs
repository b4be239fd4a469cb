//! Those who dial us: how many, who makes room, and what becomes of a peer that we dial as well.
//!
//! Over QUIC a peer dials from the port on which it listens, so its connection is of the endpoint
//! that we dial ourselves. It takes over from the link we have, for the peer knows better whether
//! that is still alive. Only where both dialled at the same time that would end both links: each
//! side would keep the one it was dialled over and close its own. There the connection stays that
//! has the smaller [`Tie`], which both sides know.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::entry::{Crossing, Peer, State};
use super::{Accepted, Peers};
use crate::LinkId;
use crate::driver::transport::Tie;
use crate::endpoint::{Endpoint, PeerAddress};
use crate::node::PeerKind;

/// Places that whoever dials us cannot take, for the peers that we dial: otherwise strangers could
/// cut a node off from those that its owner chose. Half of them where there are few.
const OWN_PLACES: usize = 32;
/// Carrier-grade NAT and test set-ups put dozens of honest nodes behind one address; a single
/// stranger still cannot take more than an eighth of the places. IPv6 strangers own a /64.
pub(super) const INBOUND_PEERS_PER_SOURCE: usize = 32;

/// Why a connection is hung up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The table is full for this source.
    #[error("too many inbound peers")]
    TooMany,
    /// This node has dialled itself.
    #[error("it is one of this node's own")]
    Itself,
    /// The other side hangs up on it too.
    #[error("it crossed one of ours, which stays")]
    Crossed,
}

/// Of all links that there may be, those for who dials us. Every inbound peer is sent every
/// announcement and costs two tasks and two queues; a home router serves far fewer than the 224
/// there are by default, and a phone hardly any.
pub(super) fn inbound_places(links: usize) -> usize {
    links - OWN_PLACES.min(links.div_ceil(2))
}

impl Peers {
    /// Somebody connected. When the endpoint is in the table already the new link takes over from
    /// the old one, unless the two crossed; a static peer stays one. When there is no place, the
    /// oldest link that has brought nothing makes room: a node announces itself at once, so it costs
    /// no honest peer its place, and connections that say nothing keep nobody out.
    pub(crate) fn accept(
        &mut self,
        endpoint: Endpoint,
        link: LinkId,
        tie: Option<Tie>,
        now: Instant,
    ) -> Result<Accepted, Refused> {
        let state = State::Silent { link, since: now };
        let address = PeerAddress::from(endpoint);
        if let Some(peer) = self.peers.get_mut(&address) {
            match peer.crossing(false, tie, now) {
                Crossing::OldStays => return Err(Refused::Crossed),
                Crossing::Itself => {
                    peer.is_itself = true;
                    return Err(Refused::Itself);
                }
                Crossing::None | Crossing::NewStays => {}
            }
            let replaced = peer.state.link();
            peer.connected(state, false, tie, now);
            return Ok(Accepted { counters: Arc::clone(&peer.counters), replaced });
        }
        let replaced = self.make_room(source_of(&endpoint))?;
        let mut peer = Peer::new(PeerKind::Inbound, State::Connecting, now);
        peer.connected(state, false, tie, now);
        let counters = Arc::clone(&peer.counters);
        self.peers.insert(address, peer);
        Ok(Accepted { counters, replaced })
    }

    /// Forgets the inbound peer that is to give its place to one from `source`, if one has to;
    /// gives its link.
    fn make_room(&mut self, source: u128) -> Result<Option<LinkId>, Refused> {
        let from_source = |peer: &PeerAddress| {
            peer.as_endpoint().is_some_and(|endpoint| source_of(&endpoint) == source)
        };
        let silent = if self.count_inbound(from_source) >= INBOUND_PEERS_PER_SOURCE {
            self.oldest_silent(from_source)
        } else if self.count(PeerKind::Inbound) >= self.inbound_places {
            self.oldest_silent(|_| true)
        } else {
            return Ok(None);
        };
        let (link, endpoint) = silent.ok_or(Refused::TooMany)?;
        self.peers.remove(&endpoint);
        Ok(Some(link))
    }

    fn count_inbound(&self, wanted: impl Fn(&PeerAddress) -> bool) -> usize {
        let inbound = self.peers.iter().filter(|(_, peer)| peer.kind == PeerKind::Inbound);
        inbound.filter(|(endpoint, _)| wanted(endpoint)).count()
    }

    /// Links are numbered in the order in which they were opened.
    fn oldest_silent(
        &self,
        wanted: impl Fn(&PeerAddress) -> bool,
    ) -> Option<(LinkId, PeerAddress)> {
        let inbound = self.peers.iter().filter(|(_, peer)| peer.kind == PeerKind::Inbound);
        let silent = inbound.filter_map(|(endpoint, peer)| match peer.state {
            State::Silent { link, .. } if wanted(endpoint) => Some((link, endpoint.clone())),
            _ => None,
        });
        silent.min_by_key(|(link, _)| link.0)
    }
}

/// Whom an inbound limit holds against: an IPv4 address, or the /64 an IPv6 host commands.
pub(crate) fn source_of(endpoint: &Endpoint) -> u128 {
    match endpoint.address().map(|address| address.ip().to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
        Some(IpAddr::V6(address)) => address.to_bits() >> 64 << 64,
        None => 0, // what does not come over IP is of one source
    }
}
