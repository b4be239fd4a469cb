//! The one task that owns the engine and the peer table.
//!
//! It sleeps until something comes in or a deadline passes, takes in everything that is ready,
//! and only then sends out what the engine has to say: so acknowledgements and packets that belong
//! together leave in one write.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use threephone_address::PublicKey;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alarm::Alarm;
use super::command::{Command, Handover, Input, Released, Reply};
use super::fastpath::{FastPath, Remote};
use super::forward::Forwards;
use super::inbox::{self, Inbox, Told};
use super::link::Link;
use super::listener::Doors;
use super::manners::Beacons;
use super::meter::LinkMeter;
use super::outgoing::Leaving;
use super::outside::Outside;
use super::peer::{Counters, Peers};
use super::tally::{Meter, SleepWatch, Tally};
use super::transport::Transports;
use crate::bus::TopicPolicy;
use crate::engine::{Action, Engine, Opened};
use crate::ledger::Cause;
use crate::message::{MessageId, SendState};
use crate::node::NodeEvent;
use crate::power::{Power, PowerMode};
use crate::wire::frame::Packet;
use crate::{LinkId, Prefix};

/// Inputs taken in before the answers are sent out.
const BATCH: usize = 64;

/// The ends of the channels that the core reads.
pub(crate) struct Inlets {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) released: mpsc::UnboundedReceiver<Released>,
}

/// What the core starts from.
pub(crate) struct CoreParts {
    pub(crate) engine: Engine,
    pub(crate) peers: Peers,
    pub(crate) power: Power,
    pub(crate) policy: TopicPolicy,
    /// Bytes of the largest message.
    pub(crate) limit: usize,
    pub(crate) transports: Arc<Transports>,
    pub(crate) doors: Doors,
    pub(crate) beacons: Option<Beacons>,
    pub(crate) outside: Outside,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    pub(crate) fast: Arc<FastPath>,
    /// Given to readers and diallers.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Given to readers of messages.
    pub(crate) released: mpsc::UnboundedSender<Released>,
    pub(crate) tracker: TaskTracker,
    pub(crate) closing: CancellationToken,
}

pub(crate) struct Core {
    pub(super) engine: Engine,
    pub(super) peers: Peers,
    pub(super) power: Power,
    pub(super) links: HashMap<LinkId, Link>,
    pub(super) inbox: Inbox,
    pub(super) waiting: HashMap<MessageId, Vec<Reply<SendState>>>,
    /// Requests whose reply somebody waits for, and from whom it must come.
    pub(super) requests: HashMap<MessageId, (Ipv6Addr, Reply<Handover>)>,
    pub(super) policy: TopicPolicy,
    /// The same moment by both clocks, for times in answers.
    pub(super) started: (Instant, SystemTime),
    pub(super) forwards: Forwards,
    /// Bytes of the largest message.
    pub(super) limit: usize,
    pub(super) resolving: Vec<(Ipv6Addr, Reply<PublicKey>)>,
    pub(super) transports: Arc<Transports>,
    pub(super) fast: Arc<FastPath>,
    events: broadcast::Sender<NodeEvent>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) tracker: TaskTracker,
    pub(super) closing: CancellationToken,
    pub(super) next_link: u64,
    /// What went over links.
    pub(super) meter: LinkMeter,
    /// Whether readers of messages may find something they did not find last time.
    pub(super) deliverable: bool,
    pub(super) leaving: Leaving,
    pub(super) doors: Doors,
    pub(super) beacons: Option<Beacons>,
    pub(super) tally: Tally,
    pub(super) outside: Outside,
    sleep_watch: SleepWatch,
}

impl Core {
    pub(crate) fn new(parts: CoreParts) -> Self {
        let now = Instant::now();
        Self {
            engine: parts.engine,
            peers: parts.peers,
            power: parts.power,
            links: HashMap::new(),
            inbox: Inbox::new(parts.released),
            waiting: HashMap::new(),
            requests: HashMap::new(),
            policy: parts.policy,
            started: (Instant::now(), SystemTime::now()),
            limit: parts.limit,
            forwards: Forwards::new(parts.tracker.clone(), parts.closing.clone()),
            resolving: Vec::new(),
            transports: parts.transports,
            fast: parts.fast,
            events: parts.events,
            inputs: parts.inputs,
            tracker: parts.tracker,
            closing: parts.closing,
            next_link: 0,
            meter: LinkMeter::default(),
            deliverable: false,
            leaving: Leaving::default(),
            doors: parts.doors,
            beacons: parts.beacons,
            tally: Tally::new(now),
            sleep_watch: SleepWatch::new(Arc::clone(&parts.outside.sleep_clock), now),
            outside: parts.outside,
        }
    }

    /// Runs until the node closes. Links close as the core is dropped.
    pub(crate) async fn run(mut self, mut inlets: Inlets) {
        let closing = self.closing.clone();
        let mut alarm = Alarm::new();
        loop {
            let now = Instant::now();
            self.follow_power(now);
            self.tend_beacons(now);
            self.dial_due(now);
            let deadline = self.deadline(now);
            let arrival = tokio::select! {
                () = closing.cancelled() => return,
                () = alarm.wait(deadline, now) => None,
                command = inlets.commands.recv() => command.map(Arrival::Command),
                input = inlets.inputs.recv() => input.map(Arrival::Input),
                released = inlets.released.recv() => released.map(Arrival::Released),
            };
            let (meter, now) = (Meter::start(), Instant::now());
            let (cause, counters) = self.account_of(arrival.as_ref());
            self.turn(arrival, &mut inlets, now);
            self.tally.note(cause, counters.as_deref(), meter.stop());
        }
    }

    /// Everything that there is to do once something happened.
    fn turn(&mut self, arrival: Option<Arrival>, inlets: &mut Inlets, now: Instant) {
        if self.sleep_watch.slept(now) {
            self.tally.sleeps = self.tally.sleeps.saturating_add(1);
            self.network_changed(now);
        }
        if let Some(arrival) = arrival {
            self.take_in_released(inlets, now);
            self.take_in(arrival, now);
        }
        self.take_in_ready(inlets, now);
        self.close_overdue(now);
        if self.engine.poll_timeout().is_some_and(|timeout| timeout <= now) {
            self.engine.handle_timeout(now);
        }
        self.close_surplus(now);
        self.fast.revalidate(&self.engine);
        self.send_out(now);
    }

    /// Whom a turn that begins with this is told to in the ledger.
    fn account_of(&self, arrival: Option<&Arrival>) -> (Cause, Option<Arc<Counters>>) {
        let of = |link| self.links.get(&link).map(|link: &Link| Arc::clone(&link.counters));
        match arrival {
            None => (Cause::Timer, None),
            Some(Arrival::Input(Input::Packets { link, .. })) => (Cause::Packets, of(*link)),
            Some(Arrival::Input(Input::Ip { .. } | Input::Traffic)) => (Cause::Packets, None),
            Some(Arrival::Input(Input::Down { link, .. })) => (Cause::Connection, of(*link)),
            Some(Arrival::Input(Input::Beacon(_))) => (Cause::Beacon, None),
            Some(Arrival::Input(_)) => (Cause::Connection, None),
            Some(Arrival::Command(_) | Arrival::Released(_)) => (Cause::Call, None),
        }
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.peers.mode() == PowerMode::Suspended {
            return None;
        }
        let parts = [
            self.engine.poll_timeout(),
            self.peers.poll_timeout(),
            self.power.poll_timeout(now),
            self.beacons.as_ref().and_then(Beacons::poll_timeout),
        ];
        parts.into_iter().flatten().min()
    }

    fn take_in_ready(&mut self, inlets: &mut Inlets, now: Instant) {
        for _ in 0..BATCH {
            let command = inlets.commands.try_recv().ok().map(Arrival::Command);
            let input = inlets.inputs.try_recv().ok().map(Arrival::Input);
            let some_released = self.take_in_released(inlets, now);
            if command.is_none() && input.is_none() && !some_released {
                return;
            }
            for arrival in [command, input].into_iter().flatten() {
                self.take_in(arrival, now);
            }
        }
    }

    /// What was given up is out of the way before anything that came later: an answer must not be
    /// taken for a request that its caller had given up when it was written. False if there was
    /// nothing.
    fn take_in_released(&mut self, inlets: &mut Inlets, now: Instant) -> bool {
        let count = inlets.released.len();
        for _ in 0..count {
            if let Ok(released) = inlets.released.try_recv() {
                self.take_in(Arrival::Released(released), now);
            }
        }
        count > 0
    }

    fn take_in(&mut self, arrival: Arrival, now: Instant) {
        match arrival {
            Arrival::Command(command) => self.handle_command(command, now),
            Arrival::Input(input) => self.handle_input(input, now),
            Arrival::Released(Released::Message(message)) => {
                self.inbox.give_back(message, Told::Read);
                self.deliverable = true;
            }
            Arrival::Released(Released::Outgoing(id)) => self.engine.cancel_message(id, now),
            Arrival::Released(Released::Request(id)) => self.close_request(id),
            Arrival::Released(Released::Forwarded { message, answer }) => {
                self.forwarded(message, answer, now);
            }
            Arrival::Released(Released::Room) => self.deliverable = true,
        }
    }

    fn handle_input(&mut self, input: Input, now: Instant) {
        match input {
            // The holds and the link's turn end here, when all of the packets are handled.
            Input::Packets { link, packets, opened, held: _held, turn: _turn } => {
                self.take_in_packets(link, packets, opened, now);
            }
            Input::Ip { packets } => {
                self.power.note_use(now);
                for (held, packet) in packets {
                    self.engine.handle_ip(packet, now);
                    if let Some(held) = held {
                        self.fast.learn(Remote::Peer(held.address()), &mut self.engine);
                    }
                }
            }
            Input::Traffic => {
                self.power.note_use(now);
                self.fast.report(&mut self.engine, now);
            }
            Input::Down { link, reason } => self.close_link(link, &reason, now),
            Input::Beacon(heard) => self.heard_beacon(heard, now),
            Input::Accepted(connection) => self.accept(connection, now),
            Input::Dialled { peer, result: Ok(connection) } => self.dialled(connection, peer, now),
            Input::Dialled { peer, result: Err(error) } => {
                if self.peers.dial_failed(&peer, now) {
                    tracing::warn!(%peer, %error, "a peer cannot be reached; it is tried on");
                } else {
                    tracing::debug!(%peer, %error, "a peer cannot be reached");
                }
            }
        }
    }

    fn take_in_packets(
        &mut self,
        link: LinkId,
        packets: Vec<Packet>,
        opened: Vec<Opened>,
        now: Instant,
    ) {
        // A reader may have had packets under way when its link was closed.
        let known = self.links.get(&link);
        if let Some(known) = known {
            let count = u64::try_from(packets.len()).unwrap_or(u64::MAX);
            known.counters.rx_packets.fetch_add(count, Ordering::Relaxed);
            self.note_heard(link, now);
        }
        let is_known = self.links.contains_key(&link);
        if is_known && !opened.is_empty() {
            self.power.note_use(now);
            opened.into_iter().for_each(|opened| self.engine.handle_opened(opened, now));
        }
        for packet in packets {
            let remote = match &packet {
                Packet::Data(data) => {
                    Some(Remote::of(self.fast.shared(), data.source, data.destination))
                }
                Packet::Control(_) => None,
            };
            if is_known {
                self.engine.handle_packet(link, packet, now);
            }
            if let Some(remote) = remote {
                self.power.note_use(now);
                self.fast.learn(remote, &mut self.engine);
            }
        }
    }

    pub(super) fn announce(&self, event: NodeEvent) {
        let _ = self.events.send(event); // nobody listening is fine
    }

    /// Carries out what the engine wants, until it wants nothing more.
    fn send_out(&mut self, now: Instant) {
        loop {
            while let Some(action) = self.engine.poll_action() {
                self.act(action, now);
            }
            self.flush(now);
            if !std::mem::take(&mut self.deliverable) {
                break;
            }
            // Taking a message tells its sender, so the engine has more to say afterwards.
            self.forward(now);
            self.inbox.deliver(&mut inbox::Engine(&mut self.engine, now));
        }
        self.wake_writers();
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::Transmit { link, class, bytes } => self.transmit(link, class, bytes, now),
            Action::Deliver { packet } => self.fast.deliver(&packet),
            Action::Close { link, reason } => self.close_link(link, &reason.to_string(), now),
            Action::MessageState { id, state } => self.answer_waiting(id, state),
            Action::Reply(message) => self.answer_request(message),
            Action::RouteAcquired { prefix, key } => {
                self.answer_resolving(prefix, key);
                self.announce(NodeEvent::Reachable { prefix, key });
            }
            Action::RouteLost { prefix } => self.announce(NodeEvent::Unreachable { prefix }),
            Action::MessageReady { .. } => self.deliverable = true,
            Action::LookupUnanswered { prefix } => self.peers.look_around(prefix, now),
            Action::LinkToItself { link } => self.leads_to_itself(link, now),
            Action::LinkSilent { link } => self.peers.note_silence(link, true, now),
            Action::LinkSpeaks { link } => self.peers.note_silence(link, false, now),
            Action::LookupFailed { .. } => {} // who waits for the key waits on: a peer may come
        }
    }

    fn answer_waiting(&mut self, id: MessageId, state: SendState) {
        if state == SendState::Pending {
            return;
        }
        if state == SendState::Aborted {
            self.close_request(id); // what did not arrive is not answered
        }
        for reply in self.waiting.remove(&id).unwrap_or_default() {
            let _ = reply.send(state); // who left does not want to know
        }
    }

    fn answer_resolving(&mut self, prefix: Prefix, key: PublicKey) {
        for (address, reply) in std::mem::take(&mut self.resolving) {
            if prefix.contains(address) {
                let _ = reply.send(key); // who left does not want to know
            } else if !reply.is_closed() {
                self.resolving.push((address, reply));
            }
        }
    }
}

enum Arrival {
    Command(Command),
    Input(Input),
    Released(Released),
}
