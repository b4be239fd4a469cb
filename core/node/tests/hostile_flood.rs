//! One source that floods a node: what it gets of the node's memory, measured, and that others are
//! served meanwhile. In a process of its own, since the memory is the whole process's.
//!
//! How long others' messages take then is measured by `threephone-bench --only hostile`, with the
//! attacker in a process of its own; here both share one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test fails by panicking

#[path = "hostile/peer.rs"]
mod peer;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use peer::{encoded, exchange, hello, inbound, start, until};
use threephone_node::wire::control::{Hello, Ihu, RouteRequest, SeqnoRequest, Tlv, Update};
use threephone_node::wire::data::DataPacket;
use threephone_node::{Node, Prefix, PublicKey, RouterId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// Bytes that one source gets of a node's memory, whatever it sends: 150,000 routes of 270 bytes
/// (40 MB), 20 MB of packets waiting for routes and keys, and buffers. What of it each flood here can
/// claim is less.
const ONE_SOURCE: u64 = 64 << 20;
/// 32 places for one source, each with a read buffer of 64 KiB and queues for what it is told, which
/// is little; the rest is what the test itself holds, and what the allocator keeps.
const CONNECTIONS: u64 = 16 << 20;
/// Packets of each kind in one flood.
const PACKETS: u64 = 20_000;

/// Memory is measured by one test at a time.
static MEASURING: Mutex<()> = Mutex::const_new(());

/// Bytes of this process that no file lies behind; none where the system does not tell.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// What the process has more of than before, where the system tells.
fn grown(before: Option<u64>) -> u64 {
    memory().zip(before).map_or(0, |(after, before)| after.saturating_sub(before))
}

/// The median time of some messages with their acknowledgements.
async fn latency(from: &Node, to: &Node) -> Duration {
    let mut took = Vec::new();
    for _ in 0..30 {
        let begun = Instant::now();
        exchange(from, to).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[took.len() / 2]
}

/// How many connections may be held at once: 10,000, or a third of the file descriptors there are.
fn most_held() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(1024);
    10_000.min(soft / 3_usize)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_that_never_read_and_send_single_bytes_cost_little() {
    let _measuring = MEASURING.lock().await;
    let ann = start(1, &["tcp://127.0.0.1:0", "tcp://[::1]:0"], &[]).await;
    let ben = start(2, &[], &ann.listening()[1..]).await;
    let usual = latency(&ben, &ann).await;
    let address = ann.listening()[0].address().unwrap();
    let most_held = most_held();
    println!("{most_held} connections are held at once; with `ulimit -n 30000` it is all of them");
    let mut held = VecDeque::with_capacity(most_held);
    let before = memory();
    let hello = hello();
    for number in 0..10_000_usize {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some say enough to be taken for nodes; whoever was hung up on meanwhile may fail.
        let sent = if number % 50 == 0 { hello.len() } else { 1 };
        let _ = stream.write_all(&hello[..sent]).await;
        held.push_back(stream);
        if held.len() > most_held {
            held.pop_front();
        }
        if number % 1000 == 0 {
            assert!(inbound(&ann).await <= 32 + 1);
        }
    }
    // One more byte of each that is still there, again and again, while others talk.
    let drip = async {
        loop {
            for stream in &mut held {
                let _ = stream.write_all(&[1]).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let attacked = tokio::select! {
        attacked = latency(&ben, &ann) => attacked,
        () = drip => unreachable!(),
    };
    // Twice the usual, and no less than what a busy machine makes of any two measurements.
    let allowed = (2 * usual).max(usual + Duration::from_millis(50));
    assert!(attacked <= allowed, "{attacked:?} instead of {usual:?}");
    let grown = grown(before);
    println!("{grown} bytes more; messages took {attacked:?} instead of {usual:?}");
    assert!(grown < CONNECTIONS, "{grown} bytes more");
    assert!(inbound(&ann).await <= 32 + 1);
    ann.close().await;
    ben.close().await;
}

/// A key that nobody has, and its /64.
fn made_up(number: u64) -> (RouterId, Prefix) {
    let mut bytes = [0x77; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let key = PublicKey::from_bytes(bytes);
    (RouterId::new(key, [3; 6]), Prefix::subnet_of(key.address()))
}

/// What is flooded with.
#[derive(Debug, Clone, Copy)]
enum Flood {
    Hello,
    Ihu,
    Update,
    /// New router ids and numbers of few keys.
    Lives,
    RouteRequest,
    Wildcard,
    SeqnoRequest,
    /// For nodes that there are not.
    Data,
    /// From nodes that there are not.
    Sources,
}

const FLOODS: [Flood; 9] = [
    Flood::Hello,
    Flood::Ihu,
    Flood::Update,
    Flood::Lives,
    Flood::RouteRequest,
    Flood::Wildcard,
    Flood::SeqnoRequest,
    Flood::Data,
    Flood::Sources,
];

fn packet(flood: Flood, number: u64, target: &Node) -> Bytes {
    let (router_id, prefix) = made_up(number);
    let update = Update { interval: 30_000, seqno: 0, metric: 5, prefix, router_id };
    let data = |source, destination| {
        let mut out = BytesMut::new();
        let payload = vec![0; 1000].into();
        DataPacket { hop_limit: 64, source, destination, payload }.encode(&mut out);
        out.freeze()
    };
    let tlv = match flood {
        Flood::Hello => Tlv::Hello(Hello { seqno: number as u16, interval: 0 }),
        Flood::Ihu => Tlv::Ihu(Ihu { rxcost: 0, interval: 0 }),
        Flood::Update => Tlv::Update(update),
        Flood::Lives => {
            let (router_id, prefix) = made_up(number % 10);
            let mut random = [0; 6];
            random[..4].copy_from_slice(&(number as u32).to_le_bytes());
            let router_id = RouterId::new(router_id.public_key(), random);
            let seqno = (number as u16).wrapping_mul(2000);
            Tlv::Update(Update { seqno, prefix, router_id, ..update })
        }
        Flood::RouteRequest => {
            Tlv::RouteRequest(RouteRequest { generation: 0, prefix: Some(prefix) })
        }
        Flood::Wildcard => Tlv::RouteRequest(RouteRequest { generation: 0, prefix: None }),
        Flood::SeqnoRequest => {
            Tlv::SeqnoRequest(SeqnoRequest { seqno: 9, hop_count: 64, router_id, prefix })
        }
        Flood::Data => return data(made_up(u64::MAX).1.address(), prefix.address()),
        Flood::Sources => return data(prefix.address(), target.address()),
    };
    encoded(&tlv)
}

/// Says everything, as often as it is hung up on; reads, or does not.
async fn flood(address: SocketAddr, packets: &[u8], reads: bool) {
    let mut rest = packets;
    while !rest.is_empty() {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let reading = async {
            let mut buffer = vec![0; 65_536];
            if !reads {
                std::future::pending::<()>().await;
            }
            while reader.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {}
        };
        let writing = async {
            while !rest.is_empty() && writer.write_buf(&mut rest).await.is_ok_and(|n| n > 0) {}
        };
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_any_kind_of_packet_costs_bounded_memory_whether_its_sender_reads_or_not() {
    let _measuring = MEASURING.lock().await;
    let ann = start(1, &["tcp://127.0.0.1:0", "tcp://[::1]:0"], &[]).await;
    let ben = start(2, &[], &ann.listening()[1..]).await;
    exchange(&ben, &ann).await;
    let address = ann.listening()[0].address().unwrap();
    let before = memory();
    for kind in FLOODS {
        for reads in [true, false] {
            let packets: BytesMut =
                (0..PACKETS).flat_map(|number| packet(kind, number, &ann)).collect();
            let others = async {
                for _ in 0..5 {
                    exchange(&ben, &ann).await;
                }
            };
            tokio::join!(flood(address, &packets, reads), others);
            exchange(&ann, &ben).await;
            drop(packets);
            println!("{kind:?}, {reads}: {} bytes more than at first", grown(before));
        }
        until(async || inbound(&ann).await == 1).await;
    }
    // All one after the other, so that what one left behind shows too.
    let grown = grown(before);
    assert!(grown < ONE_SOURCE, "{grown} bytes more");
    ann.close().await;
    ben.close().await;
}
