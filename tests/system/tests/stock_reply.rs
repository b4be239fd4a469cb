//! Replies, peeking and topics between our nodes and stock daemons.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::{Value, json};
use threephone_node::{
    Node, OutgoingMessage, Prefix, ReceivedMessage, SendState, Target, TopicAction, TopicFilter,
    TopicPolicy, TopicRule,
};
use threephone_system_tests::exchange::{PATIENCE, blocking, payload};
use threephone_system_tests::{ApiClient, Link, StockDaemon};

/// Nothing, one piece, many pieces.
const SIZES: [usize; 3] = [0, 100, 70_000];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_node_answers_ours() {
    let Some(stock) = Link::Tcp.stock(&[]) else { return };
    let ann = Link::Tcp.node(61, &[stock.endpoint()]).await;
    for size in SIZES {
        let asking = ann.send_for_reply(question(&stock, b"ask", "?".into()), PATIENCE);
        let (api, from) = (stock.api(), ann.address());
        let answering = tokio::task::spawn_blocking(move || {
            let asked = api.receive(b"ask", PATIENCE).unwrap().unwrap();
            assert_eq!((&asked.payload[..], asked.source), (&b"?"[..], from));
            let body = json!({ "dst": { "ip": from }, "payload": BASE64.encode(&payload(size)) });
            let path = format!("/api/v1/messages/reply/{}", asked.id);
            assert_eq!(api.request("POST", &path, Some(&body)).unwrap().0, 204);
            asked.id
        });
        let (answer, id) = tokio::join!(asking, answering);
        let (asked, answer) = answer.unwrap();
        let answer = answer.unwrap();
        assert_eq!((&answer.payload, answer.reply), (&payload(size), true));
        assert_eq!((answer.id, asked.to_string()), (asked, id.unwrap()));
        assert_eq!(answer.source, stock.address());
    }
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_answers_a_stock_node_that_waits() {
    let Some((ann, stock)) = Link::Tcp.pair(62).await else { return };
    for size in SIZES {
        let asking = ask(stock.api(), &ann, 60);
        let message = ann.receive(TopicFilter::Any, PATIENCE).await.unwrap();
        let to = Target::Address(message.source);
        ann.reply(to, message.id, payload(size)).await.unwrap();
        let (status, answer) = asking.await.unwrap();
        assert_eq!((status, &answer["id"]), (200, &json!(message.id.to_string())));
        assert_eq!(answer["payload"], BASE64.encode(&payload(size)));
        assert_eq!(answer["srcIp"], ann.address().to_string());
    }
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_comes_late_is_a_message_like_others() {
    let Some((ann, stock)) = Link::Tcp.pair(63).await else { return };
    let (status, _) = ask(stock.api(), &ann, 0).await.unwrap();
    assert_eq!(status, 408);
    let message = ann.receive(TopicFilter::Any, PATIENCE).await.unwrap();
    ann.reply(Target::Address(stock.address()), message.id, "late".into()).await.unwrap();
    let late = blocking(|| stock.receive(b"", PATIENCE)).unwrap().unwrap();
    assert_eq!((&late.payload[..], late.id), (&b"late"[..], message.id.to_string()));

    let asked = ann.send_for_reply(question(&stock, b"", "?".into()), Duration::ZERO).await;
    let (id, None) = asked.unwrap() else { panic!("nobody can have answered") };
    let question = blocking(|| stock.receive(b"", PATIENCE)).unwrap().unwrap();
    assert_eq!(question.id, id.to_string());
    reply_from(&stock, &ann, &question.id, "late");
    let late = ann.receive(TopicFilter::Any, PATIENCE).await.unwrap();
    assert_eq!((late.id, late.payload, late.reply), (id, Bytes::from("late"), true));
    ann.close().await;
}

/// A stock node takes it past its topics; ours does not, for then a flag would open every door.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_to_what_we_never_sent_is_refused() {
    let Some((ann, stock)) = Link::Tcp.pair(68).await else { return };
    reply_from(&stock, &ann, "00112233aabbccdd", "unasked");
    // It went first, over the one link that there is.
    blocking(|| stock.send(ann.address(), b"", b"asked")).unwrap();
    let message = ann.receive(TopicFilter::Any, PATIENCE).await.unwrap();
    assert_eq!((message.payload, message.reply), (Bytes::from("asked"), false));
    assert_eq!(ann.receive(TopicFilter::Any, Duration::ZERO).await, None);
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_peeks_tells_the_sender_and_leaves_the_message() {
    let Some(stock) = Link::Tcp.stock(&[]) else { return };
    let ann = Link::Tcp.node(64, &[stock.endpoint()]).await;
    let id = ann.send(Target::Address(stock.address()), b"", "to stock".into()).await.unwrap();
    let peek = "/api/v1/messages?peek=true&timeout=60";
    for path in [peek, peek, "/api/v1/messages?timeout=60"] {
        let (status, message) = blocking(|| stock.api().request("GET", path, None)).unwrap();
        assert_eq!((status, &message["id"]), (200, &json!(id.to_string())), "{path}");
    }
    until_read(async || ann.message_info(id).await.unwrap().state == SendState::Read).await;

    let id = blocking(|| stock.send(ann.address(), b"", b"to ours")).unwrap();
    let peeked = ann.peek(TopicFilter::Any, PATIENCE).await.unwrap();
    let path = format!("/api/v1/messages/status/{id}");
    let state = || blocking(|| stock.api().request("GET", &path, None)).unwrap().1;
    until_read(async || state()["state"] == "read").await;
    let taken: ReceivedMessage = ann.receive(TopicFilter::Any, Duration::ZERO).await.unwrap();
    assert_eq!((&taken, taken.id.to_string()), (&peeked, id));
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_topics_let_a_stock_node_in_where_they_list_it() {
    let Some((ann, stock)) = Link::Tcp.pair(65).await else { return };
    let mut policy = TopicPolicy { default: TopicAction::Reject, ..TopicPolicy::default() };
    let rule = |sources| TopicRule { sources, forward_socket: None };
    let theirs = vec![Prefix::subnet_of(stock.address())];
    policy.topics.insert("friends".into(), rule(theirs));
    policy.topics.insert("family".into(), rule(vec!["400:1::/32".parse().unwrap()]));
    ann.set_topic_policy(policy).await;
    for topic in ["", "strangers", "family", "friends"] {
        blocking(|| stock.send(ann.address(), topic.as_bytes(), topic.as_bytes())).unwrap();
    }
    let message = ann.receive(TopicFilter::Any, PATIENCE).await.unwrap();
    assert_eq!((&message.payload[..], &message.topic[..]), (&b"friends"[..], &b"friends"[..]));
    // They went before it, over one link; and each is sent again all the time.
    assert!(ann.bus_counters().await.refused_by_policy >= 3);
    assert_eq!(ann.receive(TopicFilter::Any, Duration::ZERO).await, None);
    // An answer is no matter of topics.
    let asking = ann.send_for_reply(question(&stock, b"", "?".into()), PATIENCE);
    let (api, to) = (stock.api(), ann.address());
    let answering = tokio::task::spawn_blocking(move || {
        let asked = api.receive(b"", PATIENCE).unwrap().unwrap();
        let body = json!({ "dst": { "ip": to }, "payload": "IQ==" });
        let path = format!("/api/v1/messages/reply/{}", asked.id);
        assert_eq!(api.request("POST", &path, Some(&body)).unwrap().0, 204);
    });
    let (answer, answered) = tokio::join!(asking, answering);
    answered.unwrap();
    assert_eq!(answer.unwrap().1.unwrap().payload, "!");
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_nodes_topics_let_ours_in_where_they_list_it() {
    let ann = Link::Tcp.node(66, &[]).await;
    let topics = format!(
        "default = \"Reject\"\nfriends = {{ subnets = [\"{}\"] }}\nfamily = {{ subnets = [\"400:1::/32\"] }}\n",
        ann.subnet()
    );
    let Some(stock) = Link::Tcp.stock_dialling(&ann, Some(topics)) else {
        return ann.close().await;
    };
    let to = Target::Address(stock.address());
    let mut refused = Vec::new();
    for topic in ["", "strangers", "family"] {
        refused.push(ann.send(to, topic.as_bytes(), topic.into()).await.unwrap());
    }
    let sent = ann.send_and_wait(to, b"friends", "friends".into(), PATIENCE).await;
    assert!(matches!(sent, Ok(SendState::Received | SendState::Read)), "{sent:?}");
    let message = blocking(|| stock.receive(b"friends", PATIENCE)).unwrap().unwrap();
    assert_eq!(&message.payload[..], b"friends");
    let (status, left) =
        blocking(|| stock.api().request("GET", "/api/v1/messages?timeout=0", None)).unwrap();
    assert_eq!((status, left), (204, Value::Null));
    for id in refused {
        // A stock node refuses without a word, so the message is tried until its deadline.
        assert_eq!(ann.message_info(id).await.unwrap().state, SendState::Pending);
        ann.cancel(id).await;
    }
    let asking = ask(stock.api(), &ann, 60);
    let message = ann.receive(TopicFilter::Any, PATIENCE).await.unwrap();
    ann.reply(to, message.id, "!".into()).await.unwrap();
    let (status, answer) = asking.await.unwrap();
    assert_eq!((status, &answer["payload"]), (200, &json!("IQ==")));
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_behind_our_topic_answers_a_stock_node_and_one_behind_its_topic_ours() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.sock"), folder.path().join("theirs.sock"));
    let ann = Link::Tcp.node(67, &[]).await;
    let mut policy = TopicPolicy::default();
    let rule =
        TopicRule { sources: vec!["400::/7".parse().unwrap()], forward_socket: Some(ours.clone()) };
    policy.topics.insert("shout".into(), rule);
    ann.set_topic_policy(policy).await;
    let topics = format!(
        "default = \"Accept\"\nshout = {{ subnets = [\"400::/7\"], forward_socket = \"{}\" }}\n",
        theirs.display()
    );
    let Some(stock) = Link::Tcp.stock_dialling(&ann, Some(topics)) else {
        return ann.close().await;
    };
    let (our_service, their_service) = (service(&ours), service(&theirs));
    let body = json!({
        "dst": { "ip": ann.address() },
        "topic": BASE64.encode(b"shout"),
        "payload": BASE64.encode(b"hello"),
    });
    let path = "/api/v1/messages?reply_timeout=60";
    let (status, answer) = blocking(|| stock.api().request("POST", path, Some(&body))).unwrap();
    assert_eq!((status, &answer["payload"]), (200, &json!(BASE64.encode(b"HELLO"))));
    our_service.join().unwrap();
    let asked = ann.send_for_reply(question(&stock, b"shout", "hello".into()), PATIENCE).await;
    assert_eq!(asked.unwrap().1.unwrap().payload, "HELLO");
    their_service.join().unwrap();
    ann.close().await;
}

/// Answers one message of five letters with the same in capitals.
fn service(path: &std::path::Path) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut message = [0; 5];
        stream.read_exact(&mut message).unwrap();
        stream.write_all(&message.to_ascii_uppercase()).unwrap();
    })
}

fn question(to: &StockDaemon, topic: &'static [u8], payload: Bytes) -> OutgoingMessage {
    let to = Target::Address(to.address());
    OutgoingMessage { to, topic: Bytes::from_static(topic), payload, deadline: None }
}

/// Lets a stock daemon answer a message of one of ours, or what it says is one.
fn reply_from(stock: &StockDaemon, to: &Node, id: &str, text: &str) {
    let body = json!({ "dst": { "ip": to.address() }, "payload": BASE64.encode(text.as_bytes()) });
    let path = format!("/api/v1/messages/reply/{id}");
    let answered = blocking(|| stock.api().request("POST", &path, Some(&body))).unwrap();
    assert_eq!(answered.0, 204);
}

/// Lets a stock daemon ask one of ours and wait so many seconds for the answer.
fn ask(api: ApiClient, whom: &Node, seconds: u64) -> tokio::task::JoinHandle<(u16, Value)> {
    let body = json!({ "dst": { "ip": whom.address() }, "payload": "Pw==" });
    let path = format!("/api/v1/messages?reply_timeout={seconds}");
    tokio::task::spawn_blocking(move || api.request("POST", &path, Some(&body)).unwrap())
}

/// Asks until the sender knows that its message was read. Nobody tells when that comes.
async fn until_read(is_read: impl AsyncFn() -> bool) {
    let asking = async {
        while !is_read().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}
