//! One source that opens connection after connection, in a process of its own: memory is measured.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use threephone_node::wire::control::{Hello, Tlv};
use threephone_node::{
    Endpoint, Node, NodeConfig, PeerKind, SecretKey, SendState, Target, TopicFilter,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

async fn start(name: u8, listen: &[&str], peers: &[Endpoint]) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = listen.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    config.peers = peers.iter().map(|peer| (*peer).into()).collect();
    Node::start(config).await.unwrap()
}

async fn exchange(from: &Node, to: &Node) {
    let payload = Bytes::from_static(b"hello");
    let sent = from.send_and_wait(Target::Address(to.address()), b"", payload, LONG).await;
    assert_eq!(sent, Ok(SendState::Received));
    assert!(to.receive(TopicFilter::Any, LONG).await.is_some());
}

async fn inbound(node: &Node) -> usize {
    node.peers().await.iter().filter(|peer| peer.kind == PeerKind::Inbound).count()
}

fn hello() -> Bytes {
    let mut out = BytesMut::new();
    Tlv::Hello(Hello { seqno: 0, interval: 2000 }).encode(&mut out);
    out.freeze()
}

/// Bytes of this process that no file lies behind; none where the system does not tell.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
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

/// 32 places for one source, each with a read buffer of 64 KiB and queues for what it is told, which
/// is little; the rest is what the test itself holds, and what the allocator keeps.
const UNDER_ATTACK: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_that_never_read_and_send_single_bytes_cost_little() {
    let ann = start(1, &["tcp://127.0.0.1:0", "tcp://[::1]:0"], &[]).await;
    let ben = start(2, &[], &ann.listening()[1..]).await;
    let usual = latency(&ben, &ann).await;
    let before = memory();
    let address = ann.listening()[0].address().unwrap();
    // As many at a time as the attacker has file descriptors for.
    let mut held = std::collections::VecDeque::new();
    let hello = hello();
    for number in 0..10_000_usize {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some say enough to be taken for nodes; whoever was hung up on meanwhile may fail.
        let sent = if number % 50 == 0 { hello.len() } else { 1 };
        let _ = stream.write_all(&hello[..sent]).await;
        held.push_back(stream);
        if held.len() > 256 {
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
    if let (Some(before), Some(after)) = (before, memory()) {
        let grown = after.saturating_sub(before);
        assert!(grown < UNDER_ATTACK, "{grown} bytes more");
    }
    assert!(inbound(&ann).await <= 32 + 1);
    ann.close().await;
    ben.close().await;
}
