//! The core's answers to the calls of the handle.

use std::time::Instant;

use super::command::{Command, Patience, Reply};
use super::core::Core;
use crate::engine::{QueryInfo, RouteInfo};
use crate::message::{MessageId, SendState};
use crate::node::{QueryStatus, RouteStatus};

impl Core {
    pub(super) fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Send { to, topic, payload, reply } => {
                let sent = self.engine.send_message(to, topic, payload, now);
                // Whoever left before hearing the id cannot want the message sent.
                if let Err(Ok(id)) = reply.send(sent) {
                    self.engine.cancel_message(id, now);
                }
            }
            Command::Wait { id, reply } => self.wait(id, reply),
            Command::Cancel { id } => self.engine.cancel_message(id, now),
            Command::Receive { filter, wait, reply } => {
                let engine = &mut self.engine;
                match self.inbox.find(&filter, &mut |wanted| engine.take_wanted(wanted, now)) {
                    Some(message) => {
                        // Dropped unread, the hand-over brings the message back.
                        drop(reply.send(Some(self.inbox.hand_over(message))));
                    }
                    None if wait == Patience::Waits => self.inbox.park(filter, reply),
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
            Command::AddPeer { endpoint, reply } => {
                drop(reply.send(self.peers.add(endpoint, now)));
            }
            Command::RemovePeer { endpoint, reply } => {
                let removed = self.peers.remove(endpoint);
                if let Ok(Some(link)) = removed {
                    self.close_link(link, "the peer was removed", now);
                }
                drop(reply.send(removed.map(|_| ())));
            }
            Command::Peers { reply } => {
                drop(reply.send(self.peers.statuses(|link| self.engine.link_cost(link), now)));
            }
            Command::Routes { reply } => drop(reply.send(self.route_statuses())),
            Command::Queries { reply } => drop(reply.send(self.query_statuses(now))),
            Command::RouterCounters { reply } => drop(reply.send(self.engine.router_counters())),
            Command::NetworkChanged => self.network_changed(now),
            Command::SetPower { policy, reply } => {
                self.power.set_policy(policy, now);
                self.follow_power(now);
                let _ = reply.send(self.peers.mode()); // who left does not want to know
            }
        }
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

    fn route_statuses(&self) -> Vec<RouteStatus> {
        let status = |route: RouteInfo| RouteStatus {
            prefix: route.prefix,
            key: route.key,
            next_hop: self.links.get(&route.link).map(|link| link.endpoint),
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
