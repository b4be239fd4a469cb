//! Two QUIC endpoints of this crate on one machine, and what of them a node's tests cannot see: the
//! size of the first packets, silence, who goes first on a slow path, and what is kept of a flood.

mod slow;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use tokio::time::timeout;

use self::slow::Gate;
use super::reader::KEPT;
use super::*;
use crate::driver::outbox::{Ingress, Outbox};
use crate::driver::peer::Counters;
use crate::driver::transport::PacketWriter;

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

/// Both ends of one connection, and what keeps them open.
struct Pair {
    ours: Connection,
    theirs: Connection,
    send: SendStream,
    receive: RecvStream,
    /// Where packets of ours pass.
    gate: Arc<Gate>,
    _endpoints: [quinn::Endpoint; 2],
}

/// `name` is the address of both. Ours dials.
async fn pair(name: &str) -> Pair {
    let address = SocketAddr::new(name.parse().unwrap(), 0);
    let configs = Configs::new("name").unwrap();
    let there = bind(address, Some(configs.server(address.ip()))).unwrap();
    let (here, gate) = slow::endpoint(address);
    let dialling = async {
        let client = configs.client(address.ip());
        let ours = here.connect_with(client, there.address, SERVER_NAME).unwrap().await.unwrap();
        let (mut send, _) = ours.open_bi().await.unwrap();
        send.write_all(b"?").await.unwrap();
        (ours, send)
    };
    let accepting = async {
        let theirs = there.endpoint.accept().await.unwrap().await.unwrap();
        let (_, mut receive) = theirs.accept_bi().await.unwrap();
        assert_eq!(receive.read_chunk(1, true).await.unwrap().unwrap().bytes, "?");
        (theirs, receive)
    };
    let both = async { tokio::join!(dialling, accepting) };
    let ((ours, send), (theirs, receive)) = timeout(LONG, both).await.unwrap();
    Pair { ours, theirs, send, receive, gate, _endpoints: [here, there.endpoint] }
}

/// Waits, turn by turn, for what the other tasks do.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, waiting).await.unwrap();
}

#[tokio::test]
async fn over_ipv6_the_first_packets_leave_room_for_its_larger_header() {
    for (name, header, largest) in [("127.0.0.1", 28, 1472), ("::1", 48, 1452)] {
        let pair = pair(name).await;
        for connection in [&pair.ours, &pair.theirs] {
            assert_eq!(connection.stats().path.current_mtu, largest, "over {name}");
            assert!(largest + header <= 1500);
        }
        // A full datagram, before anything was learnt of the path.
        let size = pair.ours.max_datagram_size().unwrap();
        pair.ours.send_datagram(vec![7; size].into()).unwrap();
        assert_eq!(pair.theirs.read_datagram().await.unwrap().len(), size);
        let sent = pair.gate.longest();
        let spare = usize::from(largest).checked_sub(sent);
        assert!(spare.is_some_and(|spare| spare < 16), "{sent}"); // numbers may take less than assumed
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_says_something_every_twenty_seconds_and_stays() {
    let pair = pair("127.0.0.1").await;
    let both = [&pair.ours, &pair.theirs];
    let pings = || both.iter().map(|of| of.stats().frame_tx.ping).sum::<u64>();
    let before = pings();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(both.iter().all(|of| of.close_reason().is_none()));
    // One end's word spares the other its own.
    let pings = pings() - before;
    assert!((10..=30).contains(&pings), "{pings} in 300 s");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_for_a_minute_is_gone() {
    let pair = pair("127.0.0.1").await;
    pair.gate.lose_all();
    let start = tokio::time::Instant::now();
    assert_eq!(pair.theirs.closed().await, quinn::ConnectionError::TimedOut);
    let after = start.elapsed().as_secs();
    assert!((55..=65).contains(&after), "{after} s");
}

/// Datagrams go before the stream in every QUIC packet. On a path that is slower than what comes there
/// are always some, and of small ones so many in a packet that nothing else has room beside them.
#[tokio::test]
async fn control_gets_through_beside_datagrams_that_never_run_out() {
    let Pair { ours, theirs, send, mut receive, gate, _endpoints } = pair("127.0.0.1").await;
    let (outbox, counters) = (Arc::new(Outbox::default()), Counters::default());
    gate.close();
    let mut writer = QuicWriter::new(ours.clone(), send);
    let writing = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move { writer.write_from(&outbox, &counters).await }
    });
    let small = Bytes::from(vec![7; 20]);
    let more = |count| {
        let (_, dropped) = outbox.push_all(Ingress::Own, vec![small.clone(); count]);
        assert_eq!(dropped, 0);
        outbox.wake();
    };
    more(5000);
    until(|| ours.datagram_send_buffer_space() < small.len()).await;
    outbox.push_control(Bytes::from_static(b"!"));
    outbox.wake();
    let control = tokio::spawn(async move { receive.read_chunk(1, true).await });
    let mut packets = 0;
    while !control.is_finished() {
        // What the queue holds is sent in some 40 packets, and thrice that before the writer pauses.
        assert!(packets < 300, "{packets} packets, and no control among them");
        let before = theirs.stats().udp_rx.datagrams;
        gate.let_one_pass();
        until(|| theirs.stats().udp_rx.datagrams > before).await;
        packets += 1;
        more(70); // than fit a packet
    }
    assert_eq!(control.await.unwrap().unwrap().unwrap().bytes, "!");
    println!("control came with packet {packets}");
    writing.abort();
}

#[tokio::test]
async fn of_a_flood_that_comes_while_nothing_is_read_a_little_is_kept() {
    let Pair { ours, theirs, receive, _endpoints, .. } = pair("127.0.0.1").await;
    let mut reader = QuicReader::new(theirs.clone(), receive);
    let count = 3 * KEPT as u64;
    let flood = async {
        for number in 0..count {
            ours.send_datagram(Bytes::copy_from_slice(&number.to_be_bytes())).unwrap();
            until(|| theirs.stats().frame_rx.datagram > number).await;
        }
    };
    tokio::select! {
        () = reader.take_aside() => panic!("the connection is there"),
        () = flood => {}
    }
    // The last may still be where it came from, and nothing else is.
    tokio::select! {
        biased;
        () = reader.take_aside() => panic!("the connection is there"),
        () = std::future::ready(()) => {}
    }
    let kept: Vec<_> = reader.kept().map(|datagram| datagram.to_vec()).collect();
    let latest: Vec<_> = (count - KEPT as u64..count).map(|number| number.to_be_bytes()).collect();
    assert!(kept == latest, "{} datagrams, from {:?}", kept.len(), kept.first());
}
