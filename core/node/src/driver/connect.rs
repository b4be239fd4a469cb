//! How the core's links come and go.

use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::dial;
use super::link::Link;
use super::peer::{Counters, Refused};
use super::transport::Connection;
use crate::LinkId;
use crate::endpoint::PeerAddress;
use crate::node::NodeEvent;
use crate::power::PowerMode;

impl Core {
    pub(super) fn dial_due(&mut self, now: Instant) {
        for peer in self.peers.take_due(now) {
            let (transports, inputs) = (Arc::clone(&self.transports), self.inputs.clone());
            let dial = dial::dial(peer, transports, self.outside.resolver.clone(), inputs);
            let dial = self.doors.watch().while_open(dial);
            self.tracker.spawn(self.closing.clone().run_until_cancelled_owned(dial));
        }
    }

    pub(super) fn dialled(&mut self, connection: Connection, peer: PeerAddress, now: Instant) {
        let link = self.number_link();
        if let Some(accepted) = self.peers.dialled(&peer, link, connection.tie, now) {
            self.make_way(accepted.replaced, now);
            self.open_link(link, peer.clone(), connection, accepted.counters, now);
            self.trust_static(&peer, link);
            if self.peers.is_alive(&peer) {
                self.announce_up(link);
            }
        }
        self.tell_of_itself(&peer);
    }

    /// The owner named this node as its own peer, by a list that all its machines share perhaps.
    pub(super) fn leads_to_itself(&mut self, id: LinkId, now: Instant) {
        let Some(link) = self.links.get(&id) else { return };
        let peer = link.peer.clone();
        if self.peers.note_itself(&peer, id) {
            self.close_link(id, "that is this node itself", now);
            self.tell_of_itself(&peer);
        }
    }

    fn tell_of_itself(&mut self, peer: &PeerAddress) {
        if self.peers.is_itself_news(peer) {
            tracing::warn!(%peer, "that is this node itself; remove it from the peers");
        }
    }

    pub(super) fn accept(&mut self, connection: Connection, now: Instant) {
        if self.peers.mode() == PowerMode::Suspended {
            return;
        }
        let link = self.number_link();
        let remote = connection.remote;
        match self.peers.accept(remote, link, connection.tie, now) {
            Ok(accepted) => {
                self.make_way(accepted.replaced, now);
                self.open_link(link, remote.into(), connection, accepted.counters, now);
                self.trust_static(&remote.into(), link);
            }
            Err(error @ (Refused::Crossed | Refused::Itself)) => {
                tracing::debug!(endpoint = %remote, %error, "a connection was refused");
                self.tell_of_itself(&remote.into());
            }
            Err(error @ Refused::TooMany) => {
                tracing::warn!(endpoint = %remote, %error, "a connection was refused");
            }
        }
    }

    /// Whoever dials whom: the handshake shows that an address is its own.
    fn trust_static(&mut self, peer: &PeerAddress, link: LinkId) {
        if self.peers.is_static(peer) {
            self.engine.trust(link);
        }
    }

    fn make_way(&mut self, replaced: Option<LinkId>, now: Instant) {
        if let Some(old) = replaced {
            self.close_link(old, "a new connection takes its place", now);
        }
    }

    fn number_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId(self.next_link)
    }

    fn open_link(
        &mut self,
        id: LinkId,
        peer: PeerAddress,
        connection: Connection,
        counters: Arc<Counters>,
        now: Instant,
    ) {
        tracing::debug!(endpoint = %peer, remote = %connection.remote, "connected");
        let cost = connection.remote.static_cost();
        let link = Link::start(
            id,
            peer,
            connection,
            counters,
            self.inputs.clone(),
            &self.fast,
            &self.tracker,
        );
        self.meter.opened(id, &link.counters);
        self.fast.link_up(id, Arc::clone(&link.outbox), Arc::clone(&link.counters));
        self.links.insert(id, link);
        self.engine.link_up(id, cost, now);
        // What others could not tell, the new peer may know.
        for (address, _) in self.resolving.iter().filter(|(_, reply)| !reply.is_closed()) {
            self.engine.lookup(*address, now);
        }
    }

    /// A link has brought a packet.
    pub(super) fn note_heard(&mut self, id: LinkId, now: Instant) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.heard) else { return };
        link.heard = true;
        self.peers.heard(&link.peer, id, now);
        self.announce_up(id);
    }

    /// Tells of a link once: of one we dialled when it is open, of one that was accepted when it
    /// has brought a packet, for until then it may be anything.
    pub(super) fn announce_up(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.announced) else { return };
        link.announced = true;
        let endpoint = link.peer.clone();
        tracing::info!(%endpoint, "link up");
        self.announce(NodeEvent::PeerUp { endpoint });
    }

    pub(super) fn close_overdue(&mut self, now: Instant) {
        for (link, reason) in self.peers.overdue(now) {
            self.close_link(link, reason, now);
        }
    }

    /// Ends a link, whoever wanted that; a link that is gone already is left alone.
    pub(super) fn close_link(&mut self, id: LinkId, reason: &str, now: Instant) {
        let Some(link) = self.links.remove(&id) else { return };
        self.meter.closed(id);
        self.engine.link_down(id, now);
        self.fast.link_down(id);
        self.peers.link_down(&link.peer, id, now);
        // Strangers that connect and say nothing are no news.
        if !link.announced {
            tracing::debug!(endpoint = %link.peer, reason, "closed before its first packet");
            return;
        }
        tracing::info!(endpoint = %link.peer, reason, "link down");
        self.announce(NodeEvent::PeerDown { endpoint: link.peer.clone() });
    }
}
