//! Nodes over real TCP with peers that flood, hang, or are themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "hostile/peer.rs"]
mod peer;

use std::time::{Duration, Instant};

use bytes::BytesMut;
use peer::{LONG, announcement, exchange, hello, inbound, start, until};
use threephone_node::wire::control::Tlv;
use threephone_node::wire::data::DataPacket;
use threephone_node::wire::frame::{Decoder, Packet};
use threephone_node::{
    Endpoint, Events, Node, NodeConfig, NodeEvent, PeerAddress, PeerState, PublicKey, SecretKey,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn wait_for(events: &mut Events, wanted: impl Fn(&NodeEvent) -> bool) {
    let search = async { while !wanted(&events.next().await.expect("the node is open")) {} };
    tokio::time::timeout(LONG, search).await.expect("it happens at all");
}

async fn alive(node: &Node) -> usize {
    node.peers().await.iter().filter(|peer| peer.state == PeerState::Alive).count()
}

/// Reads until the other side hangs up.
async fn hung_up_on(stream: &mut TcpStream) {
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut Vec::new())).await;
    let _ = read.expect("the node hangs up"); // a reset is as good an end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_talkative_connections_from_one_source_take_32_places_and_hurt_nobody() {
    let ann = start(1, &["tcp://127.0.0.1:0", "tcp://[::1]:0"], &[]).await;
    let ben = start(2, &[], &ann.listening()[1..]).await;
    exchange(&ann, &ben).await;
    let address = ann.listening()[0].address().unwrap();
    let mut streams = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number < 32 {
            stream.write_all(&hello()).await.unwrap();
            // Nobody gives way any more once it has been heard.
            until(async || alive(&ann).await == number + 1 + 1).await;
        }
        streams.push(stream);
    }
    let mut refused = 0;
    for stream in &mut streams {
        // Who is let in is greeted; who is not sees the end.
        let read = tokio::time::timeout(LONG, stream.read(&mut [0; 100])).await.unwrap();
        refused += usize::from(!read.is_ok_and(|bytes| bytes > 0));
    }
    assert_eq!(refused, 200 - 32);
    assert_eq!(inbound(&ann).await, 32 + 1);
    exchange(&ben, &ann).await;
    drop(streams);
    until(async || inbound(&ann).await == 1).await;
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_silent_connections_keep_no_node_out() {
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.limits.links.first_packet = 10 * LONG; // they do not go by themselves
    let ann = Node::start(config).await.unwrap();
    let mut events = ann.events();
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(TcpStream::connect(ann.listening()[0].address().unwrap()).await.unwrap());
    }
    for stream in &mut streams[..200 - 32] {
        hung_up_on(stream).await;
    }
    assert_eq!((inbound(&ann).await, alive(&ann).await), (32, 0));
    let ben = start(2, &[], ann.listening()).await;
    exchange(&ben, &ann).await;
    exchange(&ann, &ben).await;
    assert_eq!((inbound(&ann).await, alive(&ann).await), (32, 1));
    let first = tokio::time::timeout(LONG, events.next()).await.unwrap().unwrap();
    let NodeEvent::PeerUp { endpoint } = first else { panic!("{first:?}") };
    let peers = ann.peers().await;
    let heard = peers.iter().find(|peer| peer.state == PeerState::Alive).unwrap();
    assert_eq!(heard.endpoint, endpoint, "silent connections are no news");
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_whole_packet_is_closed_after_the_deadline() {
    let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.limits.links.first_packet = Duration::from_millis(200);
    let ann = Node::start(config).await.unwrap();
    let address = ann.listening()[0].address().unwrap();
    let hello = hello();
    // Nothing, and all but the last byte of a packet.
    for sent in [&[][..], &hello[..hello.len() - 1]] {
        let before = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        hung_up_on(&mut stream).await;
        assert!(before.elapsed() >= Duration::from_millis(200));
    }
    let ben = start(2, &[], ann.listening()).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    hung_up_on(&mut silent).await; // Ben has been here for longer than that
    exchange(&ben, &ann).await;
    assert_eq!((inbound(&ann).await, alive(&ann).await), (1, 1));
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_loses_data_and_its_control_overtakes_what_waits() {
    let ann = start(1, &["tcp://127.0.0.1:0"], &[]).await;
    let address = ann.listening()[0].address().unwrap();
    let mut events = ann.events();
    let key = SecretKey::from_bytes([7; 32]).public_key();
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(&announcement(key)).await.unwrap();
    wait_for(&mut events, |event| matches!(event, NodeEvent::Reachable { .. })).await;

    let packet = DataPacket {
        hop_limit: 64,
        source: SecretKey::from_bytes([8; 32]).public_key().address(),
        destination: key.address(),
        payload: vec![0; 60_000].into(),
    };
    let mut bytes = BytesMut::new();
    packet.encode(&mut bytes);
    let mut flood = TcpStream::connect(address).await.unwrap();
    // Until the sockets are full too: nothing more is written while more is dropped, three times.
    let silent_peer = Endpoint::Tcp(silent.local_addr().unwrap());
    let (mut last, mut stuck) = ((0, 0), 0);
    while stuck < 3 {
        for _ in 0..50 {
            flood.write_all(&bytes).await.unwrap();
        }
        let peers = ann.peers().await;
        let peer = peers.iter().find(|peer| peer.endpoint == silent_peer).unwrap();
        let now = (peer.tx_bytes, peer.dropped);
        stuck = if now.0 == last.0 && now.1 > last.1 { stuck + 1 } else { 0 };
        last = now;
    }

    silent.write_all(&hello()).await.unwrap();
    let ben = start(2, &[], ann.listening()).await;
    exchange(&ben, &ann).await; // others are served meanwhile, and the Hello has come through
    let (mut decoder, mut before, mut after) = (Decoder::new(), 0, 0);
    let mut answered = false;
    while after < 2 << 20 {
        let read = tokio::time::timeout(LONG, silent.read_buf(decoder.buffer())).await;
        assert!(read.unwrap().unwrap() > 0, "the link is up");
        while let Some(packet) = decoder.next().unwrap() {
            match packet {
                Packet::Control(Tlv::Ihu(_)) => answered = true,
                Packet::Data(data) if answered => after += data.payload.len(),
                Packet::Data(data) => before += data.payload.len(),
                Packet::Control(_) => {}
            }
        }
    }
    assert!(before > 0 && answered, "{before} bytes before, {after} after");
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_peer_with_many_routes_does_not_take_other_links_with_it() {
    let ann = start(1, &["tcp://127.0.0.1:0"], &[]).await;
    let ben = start(2, &[], ann.listening()).await;
    exchange(&ann, &ben).await;
    let link = ann.peers().await[0].endpoint.clone();
    let keys = (0..17_000_u32).map(|number| {
        let mut bytes = [9; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        PublicKey::from_bytes(bytes)
    });
    let mut seen = ann.events();
    let mut stream = TcpStream::connect(ann.listening()[0].address().unwrap()).await.unwrap();
    let routes: Vec<u8> = keys.flat_map(announcement).collect();
    stream.write_all(&routes).await.unwrap();
    stream.shutdown().await.unwrap();
    let left = tokio::time::timeout(LONG, stream.read_to_end(&mut Vec::new())).await;
    left.expect("the node hangs up").unwrap();
    let mut routes = 0;
    while routes < 2 * 17_000 {
        match tokio::time::timeout(LONG, seen.next()).await.unwrap().unwrap() {
            NodeEvent::Reachable { .. } | NodeEvent::Unreachable { .. } => routes += 1,
            NodeEvent::Missed(missed) => routes += missed,
            NodeEvent::PeerUp { .. } | NodeEvent::PeerDown { .. } => {}
        }
    }
    exchange(&ben, &ann).await;
    let after: Vec<PeerAddress> = ann.peers().await.into_iter().map(|peer| peer.endpoint).collect();
    assert_eq!(after, [link], "Ben had to connect anew");
    ben.close().await;
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dials_itself_works_as_if_it_had_not() {
    let ann = start(1, &["tcp://127.0.0.1:0"], &[]).await;
    let mut events = ann.events();
    let own = ann.listening()[0];
    ann.add_peer(own).await.unwrap();
    for _ in 0..2 {
        wait_for(&mut events, |event| matches!(event, NodeEvent::PeerUp { .. })).await;
    }
    let ben = start(2, &[], &[own]).await;
    let chris = start(3, &[], &[own]).await;
    exchange(&ben, &ann).await;
    exchange(&ben, &chris).await;
    exchange(&ann, &ann).await;
    let nobody = SecretKey::from_bytes([99; 32]).public_key().address();
    assert_eq!(ann.resolve(nobody, Duration::ZERO).await, None);
    exchange(&chris, &ben).await;
    let loop_bytes = ann.peers().await.iter().find(|peer| peer.endpoint == own).unwrap().tx_bytes;
    assert!(loop_bytes < 5000, "nothing goes round and round: {loop_bytes} bytes");
    for node in [ann, ben, chris] {
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_links_between_two_nodes_stand_in_for_each_other() {
    let ann = start(1, &["tcp://127.0.0.1:0", "tcp://[::1]:0"], &[]).await;
    let ben = start(2, &[], ann.listening()).await;
    until(async || inbound(&ann).await == 2).await;
    exchange(&ann, &ben).await;
    for endpoint in ann.listening() {
        ben.remove_peer(*endpoint).await.unwrap();
        until(async || inbound(&ann).await == 1).await;
        exchange(&ben, &ann).await;
        exchange(&ann, &ben).await;
        ben.add_peer(*endpoint).await.unwrap();
        until(async || inbound(&ann).await == 2).await;
    }
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_told_with_what_to_do_about_it() {
    let ann = start(1, &["tcp://127.0.0.1:0"], &[]).await;
    let mut config = NodeConfig::new(SecretKey::from_bytes([2; 32]));
    config.listen = ann.listening().to_vec();
    let Err(error) = Node::start(config).await else { panic!("the port is taken") };
    let text = error.to_string();
    assert!(text.contains(&ann.listening()[0].to_string()), "{text}");
    assert!(text.contains("choose another port"), "{text}");
    ann.close().await;
}

// One thread: a task is counted until its last poll returned, which others could see too early.
#[tokio::test]
async fn a_node_that_is_dropped_without_being_closed_leaves_no_task() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let ann = start(1, &["tcp://127.0.0.1:0"], &[]).await;
    let ben = start(2, &[], ann.listening()).await;
    exchange(&ann, &ben).await;
    let mut subscription = ann.subscribe(b"topic").await;
    drop(ann);
    drop(ben);
    assert_eq!(subscription.next().await, None);
    until(async || metrics.num_alive_tasks() == before).await;
}
