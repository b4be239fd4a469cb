//! Router, data plane and message bus as one pure state machine: packets and time in, packets out.
//!
//! The parts do not know each other. The engine carries what one says to the others: messages that
//! the data plane opened to the bus, packets of the bus to the data plane, routes that came and went
//! to both. What arrives only marks things; packets are made when actions are asked for, so that a
//! batch of acknowledgements costs one round of sending.

mod action;
mod settle;

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use threephone_address::Target;

pub use self::action::{Action, Class, CloseReason};
use crate::bus::{BusCounters, Draft, Info, Receiver, Route, Sender, TopicPolicy, Wanted};
pub use crate::data::{DataCounters, Opened};
use crate::data::{DataPlane, Known, Shared};
use crate::identity::{RouterId, SecretKey};
use crate::limits::Limits;
use crate::message::{
    LONGEST_DEADLINE, MessageId, OutgoingMessage, ReceivedMessage, SendError, SendState,
};
use crate::router::{self, RouteLookup, Router, RouterConfig};
pub use crate::router::{LookupState, QueryInfo, RouteInfo, RouterCounters};
use crate::wire::frame::Packet;
use crate::{LinkId, Prefix, PublicKey};

/// What speaks for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// How many of the nodes that were looked for are reached over it.
    pub(crate) wanted: usize,
    /// How many nodes are.
    pub(crate) routes: usize,
    pub(crate) cost: u16,
}

/// What an engine starts from. All randomness comes from here.
pub struct EngineConfig {
    /// The node's identity.
    pub secret: SecretKey,
    /// The part of the router id that is new at every start.
    pub router_random: [u8; 6],
    /// Fresh random bytes, at every start others.
    pub seed: [u8; 32],
    /// What others may claim.
    pub limits: Limits,
}

/// One node, without sockets and clock.
pub struct Engine {
    address: Ipv6Addr,
    key: PublicKey,
    router: Router,
    data: DataPlane,
    sender: Sender,
    receiver: Receiver,
    actions: VecDeque<Action>,
    /// Messages that applications have been handed, and their bytes.
    taken: (u64, u64),
    /// Whose packet was told to the router last, and when.
    confirmed: Option<(PublicKey, Instant)>,
    /// The last time told, for what is put off until actions are asked for.
    now: Instant,
    /// Whether anything happened since.
    is_unsettled: bool,
}

impl Engine {
    /// An engine without links.
    pub fn new(config: EngineConfig, now: Instant) -> Self {
        let key = config.secret.public_key();
        let address = key.address();
        let random =
            |context: &str| ChaCha20Rng::from_seed(blake3::derive_key(context, &config.seed));
        let router = RouterConfig {
            router_id: RouterId::new(key, config.router_random),
            prefix: Prefix::subnet_of(address),
            seed: blake3::derive_key("threephone node 1 router", &config.seed),
            limits: config.limits.router,
        };
        let (nonces, ids) = (random("threephone node 1 nonces"), random("threephone node 1 ids"));
        Self {
            address,
            key,
            router: Router::new(router, now),
            data: DataPlane::new(config.secret, config.limits.data, nonces, now),
            sender: Sender::new(config.limits.bus.clone(), ids),
            receiver: Receiver::new(config.limits.bus),
            actions: VecDeque::new(),
            taken: (0, 0),
            confirmed: None,
            now,
            is_unsettled: true,
        }
    }

    /// The node's public key.
    pub fn public_key(&self) -> PublicKey {
        self.key
    }

    /// The node's address.
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// A link is up. `static_cost` is that of its transport.
    pub fn link_up(&mut self, link: LinkId, static_cost: u16, now: Instant) {
        self.touch(now);
        self.router.link_up(link, static_cost, now);
        self.sender.link_up(now);
    }

    /// The owner of this node chose the peer of this link: where routes conflict, its count more.
    pub fn trust(&mut self, link: LinkId) {
        self.router.trust(link);
    }

    /// A link is gone.
    pub fn link_down(&mut self, link: LinkId, now: Instant) {
        self.touch(now);
        self.router.link_down(link, now);
    }

    /// Asks the peer of a link for a sign of life, unless it has been asked already.
    pub fn probe(&mut self, link: LinkId, now: Instant) {
        self.touch(now);
        self.router.probe(link, now);
    }

    /// Whether the router asks its peers less often whether they live.
    pub fn set_idle(&mut self, is_idle: bool, now: Instant) {
        self.touch(now);
        self.router.set_idle(is_idle, now);
    }

    /// A packet arrived over a link.
    pub fn handle_packet(&mut self, link: LinkId, packet: Packet, now: Instant) {
        self.touch(now);
        match packet {
            Packet::Control(tlv) => {
                self.router.handle_tlv(link, tlv, now);
                self.drain_router();
            }
            Packet::Data(packet) => {
                self.router.note_traffic(link, 0, 1, now);
                self.data.handle(link, packet, &mut self.router, now);
                self.drain_data();
            }
        }
    }

    /// A data packet for this node was opened beside the engine.
    pub fn handle_opened(&mut self, opened: Opened, now: Instant) {
        self.touch(now);
        self.data.handle_opened(opened, &mut self.router, now);
        self.drain_data();
    }

    /// From now on IP packets for this node are delivered instead of dropped.
    pub fn attach_tun(&mut self) {
        self.data.attach_tun();
    }

    /// The own host sends an IP packet.
    pub fn handle_ip(&mut self, packet: Bytes, now: Instant) {
        self.touch(now);
        self.data.handle_ip(packet, &mut self.router, now);
        self.drain_data();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.data.shared()
    }

    pub(crate) fn known(&mut self, address: Ipv6Addr, with_sealer: bool) -> Option<Known> {
        self.data.known(address, with_sealer, &self.router)
    }

    /// Whether what was known of an address still holds.
    pub(crate) fn is_known(&self, address: Ipv6Addr, known: &Known) -> bool {
        let (link, key) = match self.router.route(address) {
            RouteLookup::Selected { link, key, .. } => (Some(link), key),
            RouteLookup::Unselected { key } => (None, key),
            RouteLookup::Unknown => return false,
        };
        let sealer = known.sealer.as_ref();
        link == known.link
            && key == known.key
            && sealer.is_none_or(|sealer| self.data.holds(&key, sealer))
    }

    /// As long as this number stays the same, everything that was known still holds.
    pub(crate) fn changes(&self) -> u64 {
        self.router.selections() + self.data.evictions()
    }

    /// Packets took the way to an address beside the engine.
    pub(crate) fn note_use(&mut self, address: Ipv6Addr, known: &Known, now: Instant) {
        self.touch(now);
        self.router.use_route(address, now);
        if known.sealer.is_some() {
            self.data.note_use(&known.key);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.touch(now);
        self.router.handle_timeout(now);
        self.drain_router();
        self.data.handle_timeout(now);
        self.sender.handle_timeout(now);
        self.receiver.handle_timeout(now);
    }

    /// When to call [`Engine::handle_timeout`] next; may change with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let parts = [
            self.router.poll_timeout(),
            self.data.poll_timeout(),
            self.sender.poll_timeout(),
            self.receiver.poll_timeout(),
        ];
        parts.into_iter().flatten().min()
    }

    /// The next thing to do; call until none. Much is put off until this is called, so hand in a
    /// whole batch of packets first.
    pub fn poll_action(&mut self) -> Option<Action> {
        while self.actions.is_empty() && std::mem::take(&mut self.is_unsettled) {
            self.settle();
        }
        self.actions.pop_front()
    }

    /// Queues a message, with or without a route. It is given up after five minutes. One for this
    /// node itself takes the same way without leaving it.
    pub fn send_message(
        &mut self,
        to: Target,
        topic: Bytes,
        payload: Bytes,
        now: Instant,
    ) -> Result<MessageId, SendError> {
        self.send_draft(OutgoingMessage { to, topic, payload, deadline: None }, now)
    }

    /// As [`Engine::send_message`], given up when its own deadline has passed.
    pub fn send_draft(
        &mut self,
        message: OutgoingMessage,
        now: Instant,
    ) -> Result<MessageId, SendError> {
        let OutgoingMessage { to, topic, payload, deadline } = message;
        let patience = deadline.unwrap_or(LONGEST_DEADLINE).min(LONGEST_DEADLINE);
        let destination = to.address();
        self.send(Draft { to, destination, topic, payload, reply: None, patience }, now)
    }

    /// Answers a message that came from `to`: its id, no topic.
    pub fn reply(
        &mut self,
        to: Target,
        id: MessageId,
        payload: Bytes,
        now: Instant,
    ) -> Result<(), SendError> {
        let (topic, reply, patience) = (Bytes::new(), Some(id), LONGEST_DEADLINE);
        let destination = to.address();
        self.send(Draft { to, destination, topic, payload, reply, patience }, now).map(|_| ())
    }

    fn send(&mut self, draft: Draft, now: Instant) -> Result<MessageId, SendError> {
        let destination = draft.destination;
        if !crate::in_overlay(destination) {
            return Err(SendError::NotInOverlay);
        }
        if draft.to.key().is_some_and(|key| router::is_low_order(&key)) {
            return Err(SendError::BadKey);
        }
        self.touch(now);
        let route = self.route(destination);
        self.sender.send(draft, route, now)
    }

    /// Somebody waits for the reply of `from` to the message `id`: it comes as
    /// [`Action::Reply`], once, and is no matter of the topic policy.
    pub fn open_request(&mut self, id: MessageId, from: Ipv6Addr) {
        self.receiver.open_request(id, from);
    }

    /// Nobody waits for that reply any more; what still comes is a message like others.
    pub fn close_request(&mut self, id: MessageId, from: Ipv6Addr) {
        self.receiver.close_request(id, from);
    }

    /// Who may send on which topic, for messages that begin from now on.
    pub fn set_topic_policy(&mut self, policy: TopicPolicy) {
        self.receiver.set_policy(policy);
    }

    /// Gives an outgoing message up. Its peer may have it nevertheless.
    pub fn cancel_message(&mut self, id: MessageId, now: Instant) {
        self.touch(now);
        self.sender.cancel(id, now);
    }

    /// How far an outgoing message is; none when it is forgotten or never was.
    pub fn message_state(&self, id: MessageId) -> Option<SendState> {
        self.sender.state(id)
    }

    /// What is known of an outgoing message; none when it is forgotten or never was.
    pub(crate) fn message_info(&self, id: MessageId) -> Option<Info> {
        self.sender.info(id)
    }

    /// Takes the oldest whole message whose topic is wanted, and tells its sender.
    pub fn take(
        &mut self,
        wanted: &dyn Fn(&Bytes) -> bool,
        now: Instant,
    ) -> Option<ReceivedMessage> {
        self.take_wanted(&Wanted::Passing(wanted), now)
    }

    /// As [`Engine::take`]; for one topic it need not look at the others.
    pub(crate) fn take_wanted(
        &mut self,
        wanted: &Wanted<'_>,
        now: Instant,
    ) -> Option<ReceivedMessage> {
        let message = self.receiver.take(wanted, now)?;
        self.touch(now);
        self.note_taken(&message);
        Some(message)
    }

    /// A copy of what [`Engine::take_wanted`] would take; its sender is told all the same.
    pub(crate) fn peek_wanted(
        &mut self,
        wanted: &Wanted<'_>,
        now: Instant,
    ) -> Option<ReceivedMessage> {
        let message = self.receiver.peek(wanted)?;
        self.touch(now);
        Some(message)
    }

    /// Takes the oldest message of a topic for a service: its sender is not told that somebody
    /// read it, unless [`Engine::tell_read`] follows.
    pub(crate) fn take_untold(&mut self, topic: &Bytes, now: Instant) -> Option<ReceivedMessage> {
        let message = self.receiver.take_untold(&Wanted::Topic(topic), now)?;
        self.touch(now);
        self.note_taken(&message);
        Some(message)
    }

    /// Tells the sender of a message that an application has it.
    pub(crate) fn tell_read(&mut self, message: &ReceivedMessage, now: Instant) {
        self.touch(now);
        self.receiver.tell_read(message);
    }

    /// Somebody waits for messages of this topic: they have room when those of others have none.
    pub fn reserve_topic(&mut self, topic: Bytes) {
        self.receiver.reserve(topic);
    }

    /// The key behind an address, where known.
    pub fn key_of(&self, address: Ipv6Addr) -> Option<PublicKey> {
        self.router.key_of(address)
    }

    /// Looks for the node of an address.
    pub fn lookup(&mut self, address: Ipv6Addr, now: Instant) -> LookupState {
        self.touch(now);
        self.router.lookup(address, now)
    }

    /// All route entries.
    pub fn routes(&self) -> impl Iterator<Item = RouteInfo> + '_ {
        self.router.routes()
    }

    /// The route that packets to this address take.
    pub fn selected_route(&self, destination: Ipv6Addr) -> Option<RouteInfo> {
        self.router.selected(destination)
    }

    /// As long as this number stays the same, packets take the same ways.
    pub fn selections(&self) -> u64 {
        self.router.selections()
    }

    /// The lookups that still wait for an answer.
    pub fn queries(&self) -> impl Iterator<Item = QueryInfo> + '_ {
        self.router.queries()
    }

    /// What the router refused and noticed.
    pub fn router_counters(&self) -> RouterCounters {
        self.router.counters()
    }

    /// Data packets that went over a link, and came over it, beside the engine: those that pass
    /// through it are noted by itself. A link that only takes is probed.
    pub fn note_traffic(&mut self, link: LinkId, sent: u32, received: u32, now: Instant) {
        self.touch(now);
        self.router.note_traffic(link, sent, received, now);
    }

    /// Cost of a link: smoothed round trip in milliseconds plus its static cost.
    pub fn link_cost(&self, link: LinkId) -> Option<u16> {
        self.router.link_cost(link)
    }

    /// What speaks for a link, where not all are kept; `wanted` are nodes that were looked for.
    pub(crate) fn standing(&self, link: LinkId, wanted: &[Prefix]) -> Standing {
        let (routes, wanted) = self.router.reach(link, wanted);
        let cost = self.router.link_cost(link).unwrap_or(u16::MAX);
        Standing { wanted, routes, cost }
    }

    /// What became of packets that went nowhere.
    pub fn data_counters(&self) -> DataCounters {
        self.data.counters()
    }

    fn note_taken(&mut self, message: &ReceivedMessage) {
        self.taken.0 += 1;
        self.taken.1 += message.payload.len() as u64;
    }

    /// What the message bus has done and holds.
    pub fn bus_counters(&self) -> BusCounters {
        let mut counters = BusCounters::default();
        self.sender.count(&mut counters);
        self.receiver.count(&mut counters);
        (counters.taken, counters.taken_bytes) = self.taken;
        counters
    }

    fn touch(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.is_unsettled = true;
    }

    fn is_own(&self, address: Ipv6Addr) -> bool {
        crate::same_subnet(address, self.address)
    }

    fn route(&self, destination: Ipv6Addr) -> Route {
        if self.is_own(destination) {
            return Route::Exists;
        }
        match self.router.route(destination) {
            RouteLookup::Selected { .. } => Route::Exists,
            RouteLookup::Unselected { .. } | RouteLookup::Unknown => Route::None,
        }
    }
}
