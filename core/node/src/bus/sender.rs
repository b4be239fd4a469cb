//! The sending side: many messages to many nodes, each repeated until it is acknowledged.
//!
//! A flow is everything on its way to one /64. It has one model of the path and one window, in which
//! large and small messages take turns. A message is written as INIT, chunks and DONE without
//! waiting for answers in between; what is lost is seen by later chunks being acknowledged, or by a
//! timer. A receiver forgets the chunks it has when an INIT is repeated, so
//! after a repeated INIT and its answer everything is sent again; and when DONE stays unanswered although every
//! chunk was acknowledged, that may be just what happened, so then the message starts over.
//!
//! Acknowledgements only mark things; [`Sender::pump`] sends, so a batch of them costs one round.

mod answer;
mod answered;
mod end;
mod ended;
mod flow;
mod outgoing;
mod path;
mod pump;
mod search;
mod waiting;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use threephone_address::Target;

use self::answered::Answered;
use self::ended::Ended;
use self::flow::Flow;
pub(crate) use self::flow::Route;
use self::outgoing::{Due, Message};
use super::{BusCounters, Info, Outgoing};
use crate::data::subnet_bits;
use crate::limits::BusLimits;
use crate::message::{SendError, SendState};
use crate::wire::message::MessageId;

/// Flows kept for what they know of the path after their last message.
const IDLE_FLOWS: usize = 1024;

/// A message as the caller gives it.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) to: Target,
    /// Where that is: an address takes its time to compute from a key.
    pub(crate) destination: Ipv6Addr,
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    /// The message it answers, whose id it then has.
    pub(crate) reply: Option<MessageId>,
    /// When it is given up.
    pub(crate) patience: Duration,
}

/// What the sender tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message has a new state.
    State { id: MessageId, state: SendState },
    /// A route to this address is wanted.
    Lookup { destination: Ipv6Addr },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Message(MessageId),
    Lookup(u64),
    Pace(u64),
}

type Messages = HashMap<MessageId, Message>;
type Timers = BinaryHeap<Reverse<(Instant, Timer)>>;

/// All outgoing messages of a node.
pub(crate) struct Sender {
    limits: BusLimits,
    random: ChaCha20Rng,
    messages: Messages,
    bytes: usize,
    flows: HashMap<u64, Flow>,
    /// Flows that may have something to send.
    dirty: Vec<u64>,
    timers: Timers,
    /// When each message is given up.
    expiry: BTreeSet<(Instant, MessageId)>,
    ended: Ended,
    answered: Answered,
    /// Only what is counted since the start.
    counters: BusCounters,
    out: VecDeque<Outgoing>,
    events: VecDeque<Event>,
}

impl Sender {
    pub(crate) fn new(limits: BusLimits, random: ChaCha20Rng) -> Self {
        Self {
            ended: Ended::new(limits.ended),
            answered: Answered::new(limits.ended),
            limits,
            counters: BusCounters::default(),
            random,
            messages: HashMap::new(),
            bytes: 0,
            flows: HashMap::new(),
            dirty: Vec::new(),
            timers: BinaryHeap::new(),
            expiry: BTreeSet::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Queues a message. `route` is whether its destination can be reached now.
    pub(crate) fn send(
        &mut self,
        draft: Draft,
        route: Route,
        now: Instant,
    ) -> Result<MessageId, SendError> {
        let (length, limit) = (draft.payload.len(), self.limits.message_bytes);
        if draft.topic.len() > 255 {
            return Err(SendError::TopicTooLong(draft.topic.len()));
        }
        if length > limit {
            return Err(SendError::TooLarge { length, limit });
        }
        let full = self.messages.len() >= self.limits.outgoing
            || self.bytes.saturating_add(length) > self.limits.outgoing_bytes;
        if full {
            return Err(SendError::QueueFull);
        }
        let destination = draft.destination;
        let subnet = subnet_bits(destination);
        if draft.reply.is_some_and(|id| self.answered.contains(subnet, id, now)) {
            return Err(SendError::Answered);
        }
        let id = draft.reply.unwrap_or_else(|| {
            let mut id = MessageId([0; 8]);
            self.random.fill_bytes(&mut id.0);
            id
        });
        if self.messages.contains_key(&id) {
            return Err(SendError::IdInUse);
        }
        self.bytes += length;
        self.counters.accepted += 1;
        self.counters.accepted_bytes += length as u64;
        let topic = draft.topic.clone();
        let message = Message::new(draft, now);
        self.expiry.insert((message.expires, id));
        self.messages.insert(id, message);
        let flow = self.flows.entry(subnet).or_insert_with(|| Flow::new(destination, now));
        flow.destination = destination;
        flow.waiting.push(&topic, id);
        flow.messages += 1;
        flow.route = route;
        self.search(subnet, now);
        self.mark(subnet);
        Ok(id)
    }

    pub(crate) fn state(&self, id: MessageId) -> Option<SendState> {
        if self.messages.contains_key(&id) {
            return Some(SendState::Pending);
        }
        self.ended.info(id).map(|info| info.state)
    }

    pub(crate) fn info(&self, id: MessageId) -> Option<Info> {
        let message = self.messages.get(&id).map(|message| message.info(SendState::Pending));
        message.or_else(|| self.ended.info(id))
    }

    /// Whether a message with this id is on its way to `subnet` or was, as far as is remembered:
    /// only then can anything from there be an answer to it.
    pub(crate) fn has_sent(&self, id: MessageId, subnet: u64) -> bool {
        let begun = |message: &Message| message.subnet == subnet && message.has_begun();
        self.messages.get(&id).is_some_and(begun) || self.ended.contains(id, subnet)
    }

    /// An address in a /64 that messages go to, if any do.
    pub(crate) fn destination(&self, subnet: u64) -> Option<Ipv6Addr> {
        self.flows.get(&subnet).map(|flow| flow.destination)
    }

    /// Tells whether a /64 can be reached. When it can again, everything unanswered is repeated.
    pub(crate) fn set_route(&mut self, subnet: u64, route: Route, now: Instant) {
        let Some(flow) = self.flows.get_mut(&subnet) else { return };
        let was = std::mem::replace(&mut flow.route, route);
        if was == route {
            return;
        }
        match route {
            Route::Exists => {
                for id in flow.begun() {
                    self.expire_message(id, now, Due::Now);
                }
                self.mark(subnet);
            }
            Route::None => self.search(subnet, now),
        }
    }

    /// Adds what this side counts.
    pub(crate) fn count(&self, counters: &mut BusCounters) {
        let own = &self.counters;
        counters.accepted = own.accepted;
        counters.accepted_bytes = own.accepted_bytes;
        counters.delivered = own.delivered;
        counters.aborted = own.aborted;
        counters.chunks_sent = own.chunks_sent;
        counters.chunks_repeated = own.chunks_repeated;
        counters.outgoing = self.messages.len() as u64;
        counters.outgoing_bytes = self.bytes as u64;
    }

    /// Counts anew; panics where a bound is not kept or a sum is wrong. For fuzzers.
    pub(crate) fn check(&self) {
        let bytes = self.messages.values().map(|message| message.payload.len()).sum::<usize>();
        assert_eq!(bytes, self.bytes);
        assert!(bytes <= self.limits.outgoing_bytes, "{bytes} bytes");
        assert!(self.messages.len() <= self.limits.outgoing);
        assert_eq!(self.expiry.len(), self.messages.len(), "each is given up some time");
        let busy = self.flows.values().filter(|flow| flow.messages > 0).count();
        assert!(self.flows.len() <= busy + IDLE_FLOWS);
        assert_eq!(
            self.flows.values().map(|flow| flow.messages).sum::<usize>(),
            self.messages.len()
        );
        assert!(self.ended.count() <= self.limits.ended);
        assert!(self.answered.count() <= self.limits.ended);
    }

    /// The next packet to send.
    pub(crate) fn poll_packet(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// The next thing to tell.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let expiry = self.expiry.first().map(|(at, _)| *at);
        [timer, expiry].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            match timer {
                Timer::Message(id) => {
                    if let Some(message) = self.messages.get_mut(&id) {
                        message.timer = None;
                        self.expire_message(id, now, Due::ByDeadline);
                    }
                }
                Timer::Lookup(subnet) => self.search_due(subnet, at, now),
                Timer::Pace(subnet) => {
                    if let Some(flow) = self.flows.get_mut(&subnet) {
                        flow.timer = None;
                    }
                    self.mark(subnet);
                }
            }
        }
        while let Some(first) = self.expiry.first().copied().filter(|(at, _)| *at <= now) {
            self.expiry.remove(&first);
            self.abort(first.1, now);
        }
        self.ended.expire(now);
    }

    fn mark(&mut self, subnet: u64) {
        if let Some(flow) = self.flows.get_mut(&subnet)
            && !flow.is_dirty
        {
            flow.is_dirty = true;
            self.dirty.push(subnet);
        }
    }

    /// Everything in queues, for telling whether they grow.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let flows =
            self.flows.values().map(|flow| flow.waiting.len() + flow.ready.len() + flow.log.len());
        self.expiry.len() + self.timers.len() + flows.sum::<usize>()
    }
}
