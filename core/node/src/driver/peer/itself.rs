//! Peers that turn out to be this node: a list that all machines share names each of them too.
//!
//! Over QUIC both ends of the connection have the same tie, which is seen at once where they meet at
//! one endpoint. Everywhere else the router says so with the first announcement that comes back.

use std::time::Instant;

use super::Peers;
use super::entry::{ITSELF_PAUSE, State};
use crate::LinkId;
use crate::endpoint::PeerAddress;
use crate::node::PeerKind;

impl Peers {
    /// The other end of a link is this node. Says whether it is to be closed: a link that was
    /// accepted ends with the one that was dialled, and if it does not, somebody only said so.
    pub(crate) fn note_itself(&mut self, endpoint: &PeerAddress, link: LinkId) -> bool {
        let peer = self.peers.get_mut(endpoint);
        let Some(peer) = peer.filter(|peer| peer.state.link() == Some(link)) else { return false };
        peer.is_itself |= peer.is_outbound;
        peer.is_outbound
    }

    /// Whether the owner named this node as its own peer, and has not been told yet.
    pub(crate) fn is_itself_news(&mut self, endpoint: &PeerAddress) -> bool {
        let Some(peer) = self.peers.get_mut(endpoint) else { return false };
        let is_named = peer.kind == PeerKind::Static && peer.is_itself;
        is_named && !std::mem::replace(&mut peer.is_told, true)
    }

    pub(super) fn put_off_itself(&mut self, endpoint: &PeerAddress, now: Instant) {
        let Some(peer) = self.peers.get_mut(endpoint) else { return };
        let until = now + ITSELF_PAUSE;
        match peer.kind {
            PeerKind::Static => peer.state = State::Waiting { until },
            PeerKind::Public => self.put_off_public(endpoint, until),
            PeerKind::Discovered | PeerKind::Inbound => drop(self.peers.remove(endpoint)),
        }
    }
}
