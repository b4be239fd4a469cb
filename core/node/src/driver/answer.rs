//! The core's answers to the calls of the handle.

use std::collections::HashMap;
use std::time::Instant;

use super::command::{Command, Handover, Patience, Reply, Taking};
use super::core::Core;
use super::inbox::Engine;
use crate::bus::TopicPolicy;
use crate::endpoint::PeerAddress;
use crate::engine::{QueryInfo, RouteInfo};
use crate::message::{
    MessageId, MessageInfo, OutgoingMessage, ReceivedMessage, SendError, SendState,
};
use crate::node::{NodeError, PeerStatus, QueryStatus, RouteStatus};

impl Core {
    pub(super) fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Send { message, reply } => {
                let sent = self.engine.send_draft(message, now);
                // Whoever left before hearing the id cannot want the message sent.
                if let Err(Ok(id)) = reply.send(sent) {
                    self.engine.cancel_message(id, now);
                }
            }
            Command::Request { message, reply, answer } => {
                self.request(message, reply, answer, now)
            }
            Command::Respond { to, id, payload, reply } => {
                drop(reply.send(self.engine.reply(to, id, payload, now)));
            }
            Command::Info { id, reply } => drop(reply.send(self.message_info(id))),
            Command::BusCounters { reply } => drop(reply.send(self.engine.bus_counters())),
            Command::Policy { reply } => drop(reply.send(TopicPolicy::clone(&self.policy))),
            Command::SetPolicy { policy, reply } => {
                self.engine.set_topic_policy(policy.clone());
                self.policy = policy;
                self.deliverable = true; // a topic may have a service now
                let _ = reply.send(()); // who left does not want to know
            }
            Command::Wait { id, reply } => self.wait(id, reply),
            Command::Cancel { id } => self.engine.cancel_message(id, now),
            Command::Receive { filter, taking, wait, reply } => {
                // A message that got whole in this same turn is its service's all the same.
                self.forward(now);
                match self.inbox.find(&filter, taking, &mut Engine(&mut self.engine, now)) {
                    // Dropped unread, the hand-over brings the message back.
                    Some(message) => drop(reply.send(Some(self.inbox.hand_over(message, taking)))),
                    None if wait == Patience::Waits => self.inbox.park(filter, taking, reply),
                    None => drop(reply.send(None)),
                }
            }
            Command::Subscribe { topic, reply } => {
                // Dropped unheard, the subscription's end of the channel closes: as good as never.
                self.engine.reserve_topic(topic.clone());
                let _ = reply.send(self.inbox.subscribe(topic));
                self.deliverable = true;
            }
            Command::Resolve { address, reply } => match self.engine.key_of(address) {
                Some(key) => drop(reply.send(key)),
                None => {
                    self.engine.lookup(address, now);
                    self.resolving.retain(|(_, reply)| !reply.is_closed());
                    self.resolving.push((address, reply));
                }
            },
            Command::AddPeer { peer, reply } => {
                drop(reply.send(self.add_peer(peer, now)));
            }
            Command::RemovePeer { peer, reply } => {
                let removed = self.peers.remove(peer);
                if let Ok(Some(link)) = removed {
                    self.close_link(link, "the peer was removed", now);
                }
                drop(reply.send(removed.map(|_| ())));
            }
            Command::Peers { reply } => {
                drop(reply.send(self.peer_statuses(now)));
            }
            Command::Metrics { reply } => drop(reply.send(self.metrics(now))),
            Command::Routes { reply } => drop(reply.send(self.route_statuses())),
            Command::Queries { reply } => drop(reply.send(self.query_statuses(now))),
            Command::RouterCounters { reply } => drop(reply.send(self.engine.router_counters())),
            Command::Ledger { reply } => drop(reply.send(self.ledger(now))),
            Command::NetworkChanged => self.network_changed(now),
            Command::SetPower { policy, reply } => {
                self.power.set_policy(policy, now);
                self.follow_power(now);
                let _ = reply.send(self.peers.mode()); // who left does not want to know
            }
        }
    }

    /// Sends a message whose reply goes to `answer` and to nobody else.
    fn request(
        &mut self,
        message: OutgoingMessage,
        reply: Reply<Result<MessageId, SendError>>,
        answer: Reply<Handover>,
        now: Instant,
    ) {
        let to = message.to.address();
        let sent = self.engine.send_draft(message, now);
        if let Ok(id) = sent {
            self.engine.open_request(id, to);
            self.requests.insert(id, (to, answer));
        }
        if let Err(Ok(id)) = reply.send(sent) {
            self.close_request(id);
            self.engine.cancel_message(id, now);
        }
    }

    /// Nobody waits for this reply any more, or none will come.
    pub(super) fn close_request(&mut self, id: MessageId) {
        if let Some((from, _)) = self.requests.remove(&id) {
            self.engine.close_request(id, from);
        }
    }

    pub(super) fn answer_request(&mut self, message: ReceivedMessage) {
        if let Some((_, answer)) = self.requests.remove(&message.id) {
            // A reader who left in this moment gives it back by dropping it.
            drop(answer.send(self.inbox.hand_over(message, Taking::Take)));
        }
    }

    fn message_info(&self, id: MessageId) -> Option<MessageInfo> {
        let info = self.engine.message_info(id)?;
        let (instant, time) = self.started;
        let by_clock = |at: Instant| match at.checked_duration_since(instant) {
            Some(after) => time + after,
            None => time - instant.saturating_duration_since(at),
        };
        Some(MessageInfo {
            to: info.to,
            state: info.state,
            progress: info.progress,
            created: by_clock(info.created),
            deadline: by_clock(info.deadline),
            length: info.length,
        })
    }

    fn wait(&mut self, id: MessageId, reply: Reply<SendState>) {
        // A forgotten message is one that was given up or done long ago.
        let state = self.engine.message_state(id).unwrap_or(SendState::Aborted);
        if state != SendState::Pending {
            let _ = reply.send(state); // who left does not want to know
            return;
        }
        let waiting = self.waiting.entry(id).or_default();
        waiting.retain(|reply| !reply.is_closed());
        waiting.push(reply);
    }

    fn peer_statuses(&self, now: Instant) -> Vec<PeerStatus> {
        let mut statuses = self.peers.statuses(|link| self.engine.link_cost(link), now);
        let remotes: HashMap<_, _> =
            self.links.values().map(|link| (&link.peer, link.remote)).collect();
        for status in &mut statuses {
            status.remote = remotes.get(&status.endpoint).copied();
        }
        statuses
    }

    fn add_peer(&mut self, peer: PeerAddress, now: Instant) -> Result<(), NodeError> {
        match self.transports.allow_peer(&peer) {
            Ok(()) => self.peers.add(peer, now),
            Err(error) => Err(NodeError::NotDiallable { peer, error }),
        }
    }

    fn route_statuses(&self) -> Vec<RouteStatus> {
        let status = |route: RouteInfo| RouteStatus {
            prefix: route.prefix,
            key: route.key,
            next_hop: self.links.get(&route.link).map(|link| link.remote),
            next_hop_local: self.links.get(&route.link).and_then(|link| link.local),
            router_id: route.router_id,
            metric: route.metric,
            seqno: route.seqno,
            selected: route.selected,
        };
        self.engine.routes().map(status).collect()
    }

    fn query_statuses(&self, now: Instant) -> Vec<QueryStatus> {
        let status = |query: QueryInfo| QueryStatus {
            prefix: query.prefix,
            expires_in: query.expires.saturating_duration_since(now),
        };
        self.engine.queries().map(status).collect()
    }
}
