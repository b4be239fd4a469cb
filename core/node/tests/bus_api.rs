//! The message API of whole nodes: drafts, replies, peeking, progress, topic policy, services.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use threephone_node::{
    MessageId, Node, NodeConfig, OutgoingMessage, Prefix, Progress, ReceivedMessage, SecretKey,
    SendError, SendState, Target, TopicAction, TopicFilter, TopicPolicy, TopicRule,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const LONG: Duration = Duration::from_secs(60);

async fn start(name: u8, policy: TopicPolicy, peers: &[&Node]) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes([name; 32]));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.peers = peers.iter().map(|peer| peer.listening()[0].into()).collect();
    config.topic_policy = policy;
    Node::start(config).await.unwrap()
}

async fn pair(policy: TopicPolicy) -> (Node, Node) {
    let ann = start(1, policy, &[]).await;
    let ben = start(2, TopicPolicy::default(), &[&ann]).await;
    (ann, ben)
}

async fn close(nodes: [Node; 2]) {
    for node in nodes {
        node.close().await;
    }
}

fn draft(to: &Node, topic: &'static str, payload: &'static str) -> OutgoingMessage {
    let to = Target::Address(to.address());
    OutgoingMessage { to, topic: topic.into(), payload: payload.into(), deadline: None }
}

async fn receive(node: &Node) -> ReceivedMessage {
    node.receive(TopicFilter::Any, LONG).await.expect("a message")
}

fn rules(default: TopicAction, topics: &[(&'static str, TopicRule)]) -> TopicPolicy {
    let topics = topics.iter().map(|(topic, rule)| (Bytes::from(*topic), rule.clone()));
    TopicPolicy { default, topics: topics.collect() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_gets_its_reply_past_a_policy_that_refuses_everything_else() {
    let (ann, ben) = pair(rules(TopicAction::Reject, &[])).await;
    let asking = ann.send_for_reply(draft(&ben, "q", "how much?"), LONG);
    let answering = async {
        let question = receive(&ben).await;
        assert_eq!((&question.topic[..], question.reply), (&b"q"[..], false));
        let to = Target::Key(question.source_key);
        ben.reply(to, question.id, "42".into()).await.unwrap();
        question.id
    };
    let (asked, id) = tokio::join!(asking, answering);
    let (asked, reply) = asked.unwrap();
    let reply = reply.expect("a reply");
    assert_eq!((asked, reply.id, reply.reply), (id, id, true));
    assert_eq!((reply.source_key, &reply.payload[..]), (ben.public_key(), &b"42"[..]));
    // A reply that nobody waits for is a message like others, which are refused.
    let (id, _) = ann.send_for_reply(draft(&ben, "q", "again"), Duration::ZERO).await.unwrap();
    assert_eq!(receive(&ben).await.id, id);
    ben.reply(Target::Address(ann.address()), id, "43".into()).await.unwrap();
    assert_eq!(ben.wait(id, Duration::from_millis(300)).await, SendState::Pending);
    assert_eq!(ann.receive(TopicFilter::Any, Duration::ZERO).await, None);
    close([ann, ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_nobody_waits_for_any_more_is_a_message_like_others() {
    let (ann, ben) = pair(TopicPolicy::default()).await;
    let asked = ann.send_for_reply(draft(&ben, "q", "?"), Duration::ZERO).await.unwrap();
    assert_eq!(asked.1, None);
    let question = receive(&ben).await;
    ben.reply(Target::Address(ann.address()), question.id, "late".into()).await.unwrap();
    let late = receive(&ann).await;
    assert_eq!((late.id, late.reply, &late.payload[..]), (asked.0, true, &b"late"[..]));
    close([ann, ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_can_ask_itself() {
    let ann = start(1, TopicPolicy::default(), &[]).await;
    let answering = async {
        let question = receive(&ann).await;
        ann.reply(Target::Address(ann.address()), question.id, "myself".into()).await.unwrap();
    };
    let (asked, ()) = tokio::join!(ann.send_for_reply(draft(&ann, "q", "?"), LONG), answering);
    assert_eq!(asked.unwrap().1.unwrap().payload, "myself");
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peeked_message_stays_and_counts_as_read() {
    let (ann, ben) = pair(TopicPolicy::default()).await;
    let sending = ben.send_draft(draft(&ann, "t", "look"));
    let (id, peeked) = tokio::join!(sending, ann.peek(TopicFilter::Any, LONG));
    let (id, peeked) = (id.unwrap(), peeked.unwrap());
    assert_eq!(peeked.id, id);
    while ben.wait(id, LONG).await != SendState::Read {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        assert_eq!(ann.peek(TopicFilter::Any, Duration::ZERO).await.as_ref(), Some(&peeked));
    }
    assert_eq!(ann.receive(TopicFilter::Any, Duration::ZERO).await, Some(peeked));
    assert_eq!(ann.peek(TopicFilter::Any, Duration::ZERO).await, None);
    close([ann, ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_message_tells_progress_and_times() {
    let (ann, ben) = pair(TopicPolicy::default()).await;
    let far = SecretKey::from_bytes([9; 32]).public_key();
    let deadline = Some(Duration::from_secs(20));
    let (topic, payload) = (Bytes::new(), Bytes::from(vec![7; 3000]));
    let message = OutgoingMessage { to: Target::Key(far), topic, payload, deadline };
    let id = ben.send_draft(message.clone()).await.unwrap();
    let info = ben.message_info(id).await.unwrap();
    assert_eq!((info.to, info.state, info.length), (Target::Key(far), SendState::Pending, 3000));
    assert_eq!(info.progress, Progress { pending: 3, sent: 0, acked: 0 });
    assert_eq!(info.deadline, info.created + Duration::from_secs(20));
    let age = SystemTime::now().duration_since(info.created).unwrap_or_default();
    assert!(age < LONG, "{age:?}");

    let there = OutgoingMessage { to: Target::Address(ann.address()), ..message };
    let id = ben.send_draft(there).await.unwrap();
    receive(&ann).await;
    assert_ne!(ben.wait(id, LONG).await, SendState::Aborted);
    let info = ben.message_info(id).await.unwrap();
    assert_eq!(info.progress, Progress { pending: 0, sent: 0, acked: 3 });
    assert_eq!(ben.message_info(MessageId([0; 8])).await, None);
    close([ann, ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_given_up_at_its_own_deadline() {
    let ann = start(1, TopicPolicy::default(), &[]).await;
    let far = Target::Key(SecretKey::from_bytes([9; 32]).public_key());
    let deadline = Some(Duration::from_millis(20));
    let (topic, payload) = (Bytes::new(), Bytes::new());
    let message = OutgoingMessage { to: far, topic, payload, deadline };
    let id = ann.send_draft(message.clone()).await.unwrap();
    assert_eq!(ann.wait(id, LONG).await, SendState::Aborted);
    let (_, reply) = ann.send_for_reply(message, LONG * 60).await.unwrap();
    assert_eq!(reply, None, "what does not arrive is not answered");
    ann.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_open_to_those_on_its_list_only() {
    let ben_address = SecretKey::from_bytes([2; 32]).public_key().address();
    let listed = TopicRule { sources: vec![Prefix::subnet_of(ben_address)], forward_socket: None };
    let other = TopicRule { sources: vec!["400::/64".parse().unwrap()], forward_socket: None };
    let policy = rules(TopicAction::Reject, &[("open", listed), ("shut", other)]);
    let (ann, ben) = pair(policy.clone()).await;
    assert_eq!(ann.topic_policy().await, policy);
    let mut refused = Vec::new();
    for topic in ["shut", "unknown", ""] {
        refused.push(ben.send_draft(draft(&ann, topic, topic)).await.unwrap());
    }
    ben.send_draft(draft(&ann, "open", "let in")).await.unwrap();
    assert_eq!(receive(&ann).await.payload, "let in");
    for id in refused {
        assert_eq!(ben.wait(id, Duration::ZERO).await, SendState::Pending);
    }
    ann.set_topic_policy(TopicPolicy::default()).await;
    let mut late: Vec<_> = [receive(&ann).await, receive(&ann).await, receive(&ann).await].into();
    late.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert_eq!(
        late.iter().map(|m| &m.topic[..]).collect::<Vec<_>>(),
        [&b""[..], b"shut", b"unknown"]
    );
    close([ann, ben]).await;
}

/// A service that answers what it is told, until it is told nothing.
async fn echo(listener: UnixListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut question = Vec::new();
        stream.read_to_end(&mut question).await.unwrap();
        if question.is_empty() {
            return;
        }
        question.reverse();
        stream.write_all(&question).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_behind_a_topic_answers_and_without_one_the_message_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo");
    let service = tokio::spawn(echo(UnixListener::bind(&path).unwrap()));
    let anybody = vec!["400::/7".parse().unwrap()];
    let rule = |path| TopicRule { sources: anybody.clone(), forward_socket: Some(path) };
    let gone = folder.path().join("gone");
    let policy = rules(TopicAction::Accept, &[("echo", rule(path)), ("gone", rule(gone))]);
    let (ann, ben) = pair(policy).await;
    let (id, reply) = ben.send_for_reply(draft(&ann, "echo", "abc"), LONG).await.unwrap();
    assert_eq!(reply.unwrap().payload, "cba");
    // Handled by a service, it is received and not read.
    assert_eq!(ben.wait(id, LONG).await, SendState::Received);
    for (topic, payload) in [("gone", "nobody home"), ("echo", "")] {
        let id = ben.send_draft(draft(&ann, topic, payload)).await.unwrap();
        let message = receive(&ann).await;
        assert_eq!((message.id, &message.payload[..]), (id, payload.as_bytes()));
        while ben.wait(id, LONG).await != SendState::Read {
            tokio::task::yield_now().await;
        }
    }
    service.await.unwrap();
    close([ann, ben]).await;
}

/// Spec section 8, known weakness: an older node reads the answer of a service without a limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_service_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent");
    let _silent = UnixListener::bind(&path).unwrap(); // takes connections and never answers
    let sources = vec!["400::/7".parse().unwrap()];
    let rule = TopicRule { sources, forward_socket: Some(path) };
    let (ann, ben) = pair(rules(TopicAction::Accept, &[("silent", rule)])).await;
    for _ in 0..100 {
        ben.send_draft(draft(&ann, "silent", "well?")).await.unwrap();
    }
    ben.send_draft(draft(&ann, "other", "hello")).await.unwrap();
    let filter = TopicFilter::Is("other".into());
    assert_eq!(ann.receive(filter, LONG).await.unwrap().payload, "hello");
    let counters = ann.bus_counters().await;
    assert!(counters.completed > 16 && counters.ready > 0, "{counters:?}");
    close([ann, ben]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_closed_node_answer() {
    let ann = start(1, TopicPolicy::default(), &[]).await;
    ann.close().await;
    let message = draft(&ann, "", "");
    assert_eq!(ann.send_draft(message.clone()).await, Err(SendError::Closed));
    assert_eq!(ann.send_for_reply(message, LONG).await, Err(SendError::Closed));
    let (to, id) = (Target::Address(ann.address()), MessageId([0; 8]));
    assert_eq!(ann.reply(to, id, Bytes::new()).await, Err(SendError::Closed));
    assert_eq!(ann.peek(TopicFilter::Any, LONG).await, None);
    assert_eq!(ann.message_info(id).await, None);
    assert_eq!(
        ann.topic_policy().await,
        TopicPolicy { topics: BTreeMap::new(), ..TopicPolicy::default() }
    );
    ann.set_topic_policy(TopicPolicy::default()).await;
}
