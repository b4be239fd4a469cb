//! A peer that a test speaks for: it keeps its links alive and says nothing by itself.

use std::collections::VecDeque;

use threephone_node::LinkId;
use threephone_node::engine::{Action, Class};
use threephone_node::wire::control::{Ihu, Tlv};
use threephone_node::wire::frame::Packet;

use crate::stock::encoded;

/// What is remembered of what it was told.
const MEMORY: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Hostile {
    pub(crate) heard: VecDeque<Tlv>,
    pub(crate) data: u64,
    pub(crate) outputs: VecDeque<Action>,
}

impl Hostile {
    pub(crate) fn handle(&mut self, link: LinkId, packet: Packet) {
        let tlv = match packet {
            Packet::Control(tlv) => tlv,
            Packet::Data(_) => {
                self.data += 1;
                return;
            }
        };
        if let Tlv::Hello(_) = tlv {
            let bytes = encoded(&Tlv::Ihu(Ihu { rxcost: 1000, interval: 6000 }));
            self.outputs.push_back(Action::Transmit { link, class: Class::Control, bytes });
        }
        if self.heard.len() >= MEMORY {
            self.heard.pop_front();
        }
        self.heard.push_back(tlv);
    }
}
