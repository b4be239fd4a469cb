//! How the parts of an engine hear of each other.

use std::net::Ipv6Addr;

use bytes::BytesMut;

use super::{Action, Class, Engine};
use crate::bus::{Event, Origin, Outgoing};
use crate::data::{Output, Way, subnet_bits};
use crate::router::RouterOutput;
use crate::wire::message::{MessageBody, MessagePacket};
use crate::{LinkId, Prefix};

/// Message packets that follow each other to one node: the way is looked up once for all of them.
struct Run {
    ends: (Ipv6Addr, Ipv6Addr),
    /// Whether the router knows that they want an answer.
    expects_answer: bool,
    way: Option<Way>,
}

impl Engine {
    /// Brings what one part says to the others until all are silent.
    pub(super) fn settle(&mut self) {
        self.drain_router();
        self.drain_data();
        self.sender.pump(self.now);
        self.drain_bus();
        self.drain_data();
        self.drain_router(); // using routes and looking them up makes requests
    }

    pub(super) fn drain_router(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                RouterOutput::Send { link, tlv } => {
                    let mut bytes = BytesMut::new();
                    tlv.encode(&mut bytes);
                    let (class, bytes) = (Class::Control, bytes.freeze());
                    self.actions.push_back(Action::Transmit { link, class, bytes });
                }
                RouterOutput::Close { link, reason } => {
                    self.actions.push_back(Action::Close { link, reason: reason.into() });
                }
                RouterOutput::RouteAcquired { prefix, key } => {
                    self.data.release(prefix, &mut self.router, self.now);
                    self.update_route(prefix);
                    self.actions.push_back(Action::RouteAcquired { prefix, key });
                }
                RouterOutput::RouteLost { prefix } => {
                    self.update_route(prefix);
                    self.actions.push_back(Action::RouteLost { prefix });
                }
                RouterOutput::LookupFailed { prefix } => {
                    self.data.lookup_failed(prefix.address(), self.now);
                    self.actions.push_back(Action::LookupFailed { prefix });
                }
                RouterOutput::LookupUnanswered { prefix } => {
                    self.actions.push_back(Action::LookupUnanswered { prefix });
                }
                RouterOutput::LinkToItself { link } => {
                    self.actions.push_back(Action::LinkToItself { link });
                }
                RouterOutput::LinkSilent { link } => {
                    self.actions.push_back(Action::LinkSilent { link });
                }
                RouterOutput::LinkSpeaks { link } => {
                    self.actions.push_back(Action::LinkSpeaks { link });
                }
            }
        }
    }

    /// A prefix may be a part of the /64 that messages go to, so what counts is where they go.
    fn update_route(&mut self, prefix: Prefix) {
        let subnet = subnet_bits(prefix.address());
        if let Some(destination) = self.sender.destination(subnet) {
            let route = self.route(destination);
            self.sender.set_route(subnet, route, self.now);
        }
    }

    pub(super) fn drain_data(&mut self) {
        let mut last: Option<LinkId> = None;
        while let Some(output) = self.data.poll_output() {
            match output {
                Output::Transmit { link, bytes } => {
                    // Whether anything was sent counts, not how much.
                    if last.replace(link) != Some(link) {
                        self.router.note_traffic(link, 1, 0, self.now);
                    }
                    self.actions.push_back(Action::Transmit { link, class: Class::Data, bytes });
                }
                Output::Deliver(packet) => self.actions.push_back(Action::Deliver { packet }),
                Output::Message { source, destination, key, body } => {
                    // Once for each moment: packets come in batches.
                    if self.confirmed.replace((key, self.now)) != Some((key, self.now)) {
                        self.router.confirm(key, self.now);
                    }
                    // What makes no sense is dropped and nothing else.
                    if let Ok(packet) = MessagePacket::decode(body) {
                        if packet.body.is_answer() {
                            self.router.confirm_answer(key, self.now);
                        }
                        self.handle_message(Origin { source, destination, key }, packet);
                    }
                }
            }
        }
    }

    fn handle_message(&mut self, origin: Origin, packet: MessagePacket) {
        self.sender.handle(origin.source, &packet, self.now);
        // Whoever was sent nothing can answer nothing.
        if matches!(packet.body, MessageBody::Init { reply: true, .. })
            && !self.sender.has_sent(packet.id, subnet_bits(origin.source))
        {
            return;
        }
        self.receiver.handle(origin, packet, self.now);
    }

    fn drain_bus(&mut self) {
        while let Some(event) = self.sender.poll_event() {
            match event {
                Event::State { id, state } => {
                    self.actions.push_back(Action::MessageState { id, state });
                }
                Event::Lookup { destination } => {
                    self.router.lookup(destination, self.now);
                }
            }
        }
        while let Some(reply) = self.receiver.poll_reply() {
            self.note_taken(&reply);
            self.actions.push_back(Action::Reply(reply));
        }
        while let Some(topic) = self.receiver.poll_ready() {
            self.actions.push_back(Action::MessageReady { topic });
        }
        self.send_packets();
        self.data.note_sent();
    }

    fn send_packets(&mut self) {
        let mut run: Option<Run> = None;
        loop {
            let acknowledgement = self.receiver.poll_packet();
            let expects_answer = acknowledgement.is_none();
            let packet = acknowledgement.or_else(|| self.sender.poll_packet());
            let Some(packet) = packet else { return };
            let ends = (packet.source.unwrap_or(self.address), packet.destination);
            if self.is_own(packet.destination) {
                let origin = Origin { source: ends.0, destination: ends.1, key: self.key };
                self.handle_message(origin, packet.packet);
                self.is_unsettled = true; // answers may make room for more
                continue;
            }
            let run = match &mut run {
                Some(run) if run.ends == ends && run.expects_answer >= expects_answer => run,
                other => other.insert(self.begin_run(ends, expects_answer)),
            };
            // One that cannot go is like one that was lost: it is repeated.
            if let Some(way) = &run.way {
                self.send_packet(ends, way, &packet);
            }
        }
    }

    fn begin_run(&mut self, ends: (Ipv6Addr, Ipv6Addr), expects_answer: bool) -> Run {
        if expects_answer {
            self.router.expect_answer(ends.1, self.now);
            self.confirmed = None; // what comes from now on may be the answer
        }
        let way = self.data.way(ends.1, &mut self.router, self.now);
        Run { ends, expects_answer, way }
    }

    fn send_packet(&mut self, ends: (Ipv6Addr, Ipv6Addr), way: &Way, packet: &Outgoing) {
        if packet.key.is_none_or(|key| key == way.key) {
            let length = packet.packet.encoded_length();
            let write = |out: &mut BytesMut| packet.packet.encode(out);
            self.data.send_message(ends, way, length, write);
        }
    }
}
