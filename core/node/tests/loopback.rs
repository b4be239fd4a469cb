//! Nodes over real TCP on loopback, through the public handle only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // tests panic and tell

use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::{
    Endpoint, Events, Node, NodeConfig, NodeError, NodeEvent, PeerAddress, PeerKind, PeerState,
    ReceivedMessage, SecretKey, SendState, Target, TopicFilter,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

fn anywhere() -> Endpoint {
    "tcp://127.0.0.1:0".parse().unwrap()
}

/// A node with a key of its own.
async fn start(name: u8, listen: &[Endpoint], peers: &[Endpoint]) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = listen.to_vec();
    config.peers = peers.iter().map(PeerAddress::from).collect();
    Node::start(config).await.unwrap()
}

async fn wait_for(events: &mut Events, wanted: impl Fn(&NodeEvent) -> bool) -> NodeEvent {
    let search = async {
        loop {
            let event = events.next().await.expect("the node is open");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(LONG, search).await.expect("it happens at all")
}

async fn send(from: &Node, to: &Node, text: &'static str) -> SendState {
    let payload = Bytes::from_static(text.as_bytes());
    from.send_and_wait(Target::Address(to.address()), b"test", payload, LONG).await.unwrap()
}

async fn receive(node: &Node) -> ReceivedMessage {
    node.receive(TopicFilter::Any, LONG).await.expect("a message")
}

async fn exchange(from: &Node, to: &Node, text: &'static str) {
    assert_eq!(send(from, to, text).await, SendState::Received);
    assert_eq!(receive(to).await.payload, text);
}

/// Ann and Ben with a link between them.
async fn pair() -> (Node, Node) {
    let ann = start(1, &[anywhere()], &[]).await;
    let ben = start(2, &[], ann.listening()).await;
    (ann, ben)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_reader_of_events_hears_what_happened_before_it_asked() {
    let (ann, ben) = pair().await;
    exchange(&ben, &ann, "the link is up").await;
    let mut events = ben.events();
    wait_for(&mut events, |event| matches!(event, NodeEvent::PeerUp { .. })).await;
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_exchange_messages_over_one_link() {
    let (ann, ben) = pair().await;
    let id = ben.send(Target::Key(ann.public_key()), b"greeting", "hello".into()).await.unwrap();
    let received = receive(&ann).await;
    let expected = ReceivedMessage {
        id,
        topic: "greeting".into(),
        source: ben.address(),
        source_key: ben.public_key(),
        destination: ann.address(),
        payload: "hello".into(),
        reply: false,
    };
    assert_eq!(received, expected);
    assert!(matches!(ben.wait(id, LONG).await, SendState::Received | SendState::Read));
    exchange(&ann, &ben, "and back").await;
    assert_eq!(send(&ann, &ben, "").await, SendState::Received, "zero bytes are a message");
    assert_eq!(receive(&ben).await.payload, "");
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_cross_a_router_and_flow_again_when_it_was_restarted() {
    let router = start(3, &[anywhere()], &[]).await;
    let address = router.listening().to_vec();
    let (ann, ben) = (start(1, &[], &address).await, start(2, &[], &address).await);
    exchange(&ann, &ben, "through a router").await;
    assert_eq!(ann.resolve(ben.address(), LONG).await, Some(ben.public_key()));
    router.close().await;
    // The port is free again at once, and nobody has to be told.
    let router = start(3, &address, &[]).await;
    exchange(&ann, &ben, "through a new router").await;
    exchange(&ben, &ann, "and back").await;
    for node in [ann, ben, router] {
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_route_is_queued_and_leaves_when_there_is_one() {
    let (ann, ben) = (start(1, &[anywhere()], &[]).await, start(2, &[], &[]).await);
    let id = ben.send(Target::Address(ann.address()), b"", "early".into()).await.unwrap();
    assert_eq!(ben.wait(id, Duration::ZERO).await, SendState::Pending);
    ben.add_peer(ann.listening()[0]).await.unwrap();
    assert_eq!(receive(&ann).await.payload, "early");
    ann.close().await;
    ben.close().await;
}

/// What the peer sends until it hangs up.
async fn read_to_end(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    // A reset is an end as well: the node closed while bytes of ours were still under way.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bytes_close_their_own_link_and_no_other() {
    let (ann, ben) = pair().await;
    exchange(&ann, &ben, "before").await;
    let address = ann.listening()[0].address().unwrap();
    let unknown_tlv_with_magic_43 = [1, 1, 0, 0, 43, 3, 0, 4, 4, 2, 0, 0];
    let random: Vec<u8> =
        (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let closed_by_node: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[2, 1, 0, 0, 42, 3, 0, 8],
        &random,
        &unknown_tlv_with_magic_43.repeat(300),
    ];
    for bytes in closed_by_node {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(bytes).await; // may be cut short by the node hanging up
        read_to_end(&mut stream).await;
    }
    let cut_by_us: [&[u8]; 4] = [
        &[1],
        &[1, 1, 0, 0, 42, 3, 0, 60, 8, 58, 2],
        &[1, 0, 0, 0, 0, 0xff, 0xff, 64, 1, 2, 3],
        &[1, 1, 0, 0, 42, 3, 0xff, 0xff, 4],
    ];
    for bytes in cut_by_us {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        read_to_end(&mut stream).await;
    }
    exchange(&ann, &ben, "after").await;
    exchange(&ben, &ann, "and back").await;
    let peers = ann.peers().await;
    assert_eq!(peers.len(), 1, "strangers are forgotten: {peers:?}");
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_come_and_go_at_run_time_and_are_told_apart() {
    let (ann, ben) = (start(1, &[anywhere()], &[]).await, start(2, &[], &[]).await);
    let mut events = ben.events();
    let address = ann.listening()[0];
    ben.add_peer(address).await.unwrap();
    assert!(matches!(ben.add_peer(address).await, Err(NodeError::PeerExists(_))));
    wait_for(&mut events, |event| *event == NodeEvent::PeerUp { endpoint: address.into() }).await;
    wait_for(
        &mut events,
        |event| matches!(event, NodeEvent::Reachable { key, .. } if *key == ann.public_key()),
    )
    .await;
    exchange(&ann, &ben, "hello").await;
    let [status] = &ben.peers().await[..] else { panic!("one peer") };
    assert_eq!((&status.endpoint, status.kind), (&address.into(), PeerKind::Static));
    assert_eq!(status.state, PeerState::Alive);
    assert!(status.rx_bytes > 68 && status.tx_bytes > 68, "{status:?}");
    assert!(status.link_cost.is_some_and(|cost| cost >= 15), "{status:?}");
    assert_eq!(ann.peers().await[0].kind, PeerKind::Inbound);
    let route = ben.routes().await.remove(0);
    assert_eq!((route.prefix, route.key), (ann.subnet(), ann.public_key()));
    assert_eq!((route.next_hop, route.selected), (Some(address), true));
    ben.remove_peer(address).await.unwrap();
    wait_for(&mut events, |event| *event == NodeEvent::PeerDown { endpoint: address.into() }).await;
    assert!(matches!(ben.remove_peer(address).await, Err(NodeError::UnknownPeer(_))));
    assert_eq!(ben.peers().await, []);
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_takes_its_topic_and_bears_a_slow_reader() {
    const MESSAGES: u32 = 600;
    let (ann, ben) = pair().await;
    let mut subscription = ann.subscribe(b"reserved").await;
    let mut ids = Vec::new();
    for number in 0..MESSAGES {
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        let to = Target::Address(ann.address());
        ids.push(ben.send(to, b"reserved", payload).await.unwrap());
    }
    exchange(&ben, &ann, "not reserved").await;
    let mut seen = Vec::new();
    for _ in 0..MESSAGES {
        let message = tokio::time::timeout(LONG, subscription.next()).await.unwrap().unwrap();
        seen.push(u32::from_be_bytes(message.payload[..].try_into().unwrap()));
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..MESSAGES), "each exactly once");
    for id in ids {
        assert_ne!(ben.wait(id, LONG).await, SendState::Aborted);
    }
    assert_eq!(ann.receive(TopicFilter::Any, Duration::ZERO).await, None);
    ann.close().await;
    assert_eq!(subscription.next().await, None, "it ends with the node");
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_received_by_filter_and_a_cancelled_call_loses_nothing() {
    let (ann, ben) = pair().await;
    let to = Target::Address(ann.address());
    for topic in ["a", "b"] {
        let waiting = ann.receive(TopicFilter::Is("c".into()), LONG);
        // Cancelled while it waits: the next one must still get the message.
        assert!(tokio::time::timeout(Duration::ZERO, waiting).await.is_err());
        let sent = ben.send_and_wait(to, topic.as_bytes(), topic.into(), LONG).await;
        assert_eq!(sent, Ok(SendState::Received));
    }
    let filter = |topic: &'static str| TopicFilter::Is(topic.into());
    assert_eq!(ann.receive(filter("c"), Duration::ZERO).await, None);
    assert_eq!(ann.receive(filter("b"), Duration::ZERO).await.unwrap().payload, "b");
    assert_eq!(ann.receive(filter("b"), Duration::ZERO).await, None);
    assert_eq!(ann.receive(TopicFilter::Any, Duration::ZERO).await.unwrap().payload, "a");
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_arrive_whole() {
    let (ann, ben) = pair().await;
    for length in [1, 249, 1300, 1310, 1549, 5000, 1_000_000, 1_366_549] {
        let payload: Bytes = (0..length).map(|i| (i % 251) as u8).collect::<Vec<u8>>().into();
        let to = Target::Address(ann.address());
        let sent = ben.send_and_wait(to, b"", payload.clone(), LONG).await;
        assert_eq!(sent, Ok(SendState::Received), "{length}");
        assert!(receive(&ann).await.payload == payload, "{length}");
    }
    ann.close().await;
    ben.close().await;
}

/// The median of 101 messages of 100 bytes, from the call of `send` to the receiver's hands.
async fn median_latency(from: &Node, to: &Node) -> Duration {
    exchange(from, to, "so that the route is known").await;
    let mut times = Vec::new();
    for _ in 0..101 {
        let begun = Instant::now();
        let sent = from.send(Target::Address(to.address()), b"", vec![7; 100].into());
        let (sent, received) = tokio::join!(sent, receive(to));
        times.push(begun.elapsed());
        assert_eq!(sent, Ok(received.id));
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_timer_stands_in_the_way_of_a_message() {
    let router = start(3, &[anywhere()], &[]).await;
    let ann = start(1, &[], router.listening()).await;
    let ben = start(2, &[], router.listening()).await;
    let direct = median_latency(&ann, &router).await;
    let routed = median_latency(&ann, &ben).await;
    println!("median {direct:?} directly, {routed:?} through a router");
    // The stated limits, 2 and 3 ms, belong to the benchmark. A machine busy with other tests gets
    // more, but less than any timer of the protocol takes.
    assert!(direct < Duration::from_millis(50), "{direct:?}");
    assert!(routed < Duration::from_millis(50), "{routed:?}");
    for node in [ann, ben, router] {
        node.close().await;
    }
}

// One thread: a task is counted until its last poll returned, which others could see too early.
#[tokio::test]
async fn closing_leaves_no_task_and_every_call_an_answer() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let (ann, ben) = pair().await;
    let dead: Endpoint = "tcp://127.0.0.1:1".parse().unwrap();
    ann.add_peer(dead).await.unwrap();
    exchange(&ann, &ben, "hello").await;
    let mut events = ann.events();
    ann.close().await;
    ben.close().await;
    assert_eq!(metrics.num_alive_tasks(), before);
    while events.next().await.is_some() {}
    let to = Target::Address(ben.address());
    assert!(ann.send(to, b"", Bytes::new()).await.is_err());
    assert_eq!(ann.receive(TopicFilter::Any, LONG).await, None);
    assert_eq!(ann.resolve(ben.address(), LONG).await, None);
    assert!(matches!(ann.add_peer(dead).await, Err(NodeError::Closed)));
    assert_eq!(ann.subscribe(b"t").await.next().await, None);
    assert_eq!(ann.events().next().await, None);
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dual_stack_listener_takes_ipv4_and_says_when_a_port_is_taken() {
    let unspecified: Endpoint = "tcp://[::]:0".parse().unwrap();
    let ann = start(1, &[unspecified], &[]).await;
    let port = ann.listening()[0].address().unwrap().port();
    let over_ipv4 = Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
    let over_ipv6 = Endpoint::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    for (name, peer) in [(2, over_ipv4), (3, over_ipv6)] {
        let ben = start(name, &[], &[peer]).await;
        exchange(&ann, &ben, "hello").await;
        ben.close().await;
    }
    let mut config = NodeConfig::new(SecretKey::from_bytes([9; 32]));
    config.listen = ann.listening().to_vec();
    assert!(matches!(Node::start(config).await, Err(NodeError::Listen { .. })));
    ann.close().await;
}
