//! Sender against receiver, without keys, routes and sockets.

mod hostile;
mod legacy;
mod room;
mod transfer;
mod world;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use threephone_address::Target;

use self::world::{BAD, CLEAN, Path, World, assert_each_once};
use super::{Draft, Event, Origin, Outgoing, Receiver, Route, Sender, Wanted};
use crate::SecretKey;
use crate::limits::BusLimits;
use crate::message::{LONGEST_DEADLINE, MessageId, ReceivedMessage, SendError, SendState};
use crate::wire::message::{MessageBody, MessagePacket};

const ANN: Ipv6Addr = Ipv6Addr::new(0x400, 1, 1, 1, 0, 0, 0, 1);
const BEN: Ipv6Addr = Ipv6Addr::new(0x400, 2, 2, 2, 0, 0, 0, 2);
const ANY: Wanted<'static> = Wanted::Passing(&|_| true);
const MALLORY: Ipv6Addr = Ipv6Addr::new(0x400, 3, 3, 3, 0, 0, 0, 3);
/// Where old nodes are known to be particular, and others.
const SIZES: [usize; 8] = [0, 1, 249, 1300, 1310, 1549, 2601, 5000];

fn draft(topic: &'static [u8], payload: Vec<u8>) -> Draft {
    Draft {
        to: Target::Address(BEN),
        destination: BEN,
        topic: Bytes::from_static(topic),
        payload: payload.into(),
        reply: None,
        patience: LONGEST_DEADLINE,
    }
}

fn origin(source: Ipv6Addr) -> Origin {
    let key = SecretKey::from_bytes([1; 32]).public_key();
    Origin { source, destination: BEN, key }
}

fn payload(length: usize, salt: u8) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8 ^ salt).collect()
}

fn init(length: u64) -> MessageBody {
    MessageBody::Init { length, topic: Bytes::new(), reply: false }
}
