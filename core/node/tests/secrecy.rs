//! What is traced while messages flow tells nothing of them: every span and event at every level is
//! caught, and searched for payloads, topics and secret keys in every form that a log could show.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use threephone_node::{Node, NodeConfig, OutgoingMessage, SecretKey, Target, TopicFilter};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const PATIENCE: Duration = Duration::from_secs(60);

/// Catches everything.
#[derive(Clone, Default)]
struct Catcher(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let _ = write!(self.0, " {field}={}", HEXLOWER.encode(value));
    }
}

impl Subscriber for Catcher {
    /// What libraries say counts too: `threephone up` logs it on demand.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut caught = self.0.lock().unwrap();
        let _ = write!(caught, "\nspan {}", span.metadata().name());
        span.record(&mut Fields(&mut caught));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut caught = self.0.lock().unwrap();
        let _ = write!(caught, "\nevent {}", event.metadata().target());
        event.record(&mut Fields(&mut caught));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// All forms in which bytes get into a log, by mistake or by `Debug`.
fn forms(bytes: &[u8]) -> Vec<String> {
    let list = format!("{bytes:?}");
    vec![
        String::from_utf8_lossy(bytes).into_owned(),
        HEXLOWER.encode(bytes),
        HEXLOWER.encode(bytes).to_uppercase(),
        BASE64.encode(bytes).trim_end_matches('=').to_owned(),
        list.trim_matches(['[', ']']).to_owned(),
        format!("{:?}", Bytes::copy_from_slice(bytes)).trim_matches(['b', '"']).to_owned(),
    ]
}

const ANN: [u8; 32] = *b"the secret key of ann is 32 long";
const BEN: [u8; 32] = *b"the secret key of ben is 32 long";
const TOPIC: &[u8] = b"a topic of theirs";
const PAYLOAD: &[u8] = b"a payload that is theirs alone";
const ANSWER: &[u8] = b"an answer to it, as secret as it";

fn config(secret: [u8; 32], listen: &str, peers: &[&Node]) -> NodeConfig {
    let mut config = NodeConfig::new(SecretKey::from_bytes(secret));
    config.listen = vec![listen.parse().unwrap()];
    config.peers =
        peers.iter().flat_map(|peer| peer.listening().to_vec()).map(Into::into).collect();
    config
}

/// A question and its answer; then messages that are refused, given up, and without a route.
async fn exchange(ann: &Node, ben: &Node) {
    let to = Target::Key(ben.public_key());
    let draft = |payload: Bytes| OutgoingMessage {
        to,
        topic: Bytes::from_static(TOPIC),
        payload,
        deadline: None,
    };
    let asking = ann.send_for_reply(draft(Bytes::from_static(PAYLOAD)), PATIENCE);
    let answering = async {
        let filter = || TopicFilter::Is(Bytes::from_static(TOPIC));
        ben.peek(filter(), PATIENCE).await.unwrap();
        let message = ben.receive(filter(), PATIENCE).await.unwrap();
        let from = Target::Address(message.source);
        ben.reply(from, message.id, Bytes::from_static(ANSWER)).await.unwrap();
    };
    let (asked, ()) = tokio::join!(asking, answering);
    assert_eq!(asked.unwrap().1.unwrap().payload, ANSWER);
    ann.send_draft(draft(Bytes::from(PAYLOAD.repeat(1 << 20)))).await.unwrap_err();
    let lost = ann.send(Target::Address("4ff::1".parse().unwrap()), TOPIC, "x".into()).await;
    ann.cancel(lost.unwrap()).await;
}

/// Nodes with the network's key, over TLS, and one that tries without it.
#[cfg(feature = "private-network")]
async fn private_exchange(key: [u8; 32]) {
    use threephone_node::{PeerState, PrivateNetwork};
    let network = |key| Some(PrivateNetwork::new("ours", key).unwrap());
    let mut there = config(BEN, "tls://127.0.0.1:0", &[]);
    there.private_network = network(key);
    let ben = Node::start(there).await.unwrap();
    let mut here = config(ANN, "tls://127.0.0.1:0", &[&ben]);
    here.private_network = network(key);
    let ann = Node::start(here).await.unwrap();
    exchange(&ann, &ben).await;
    let mut elsewhere = config([7; 32], "tls://127.0.0.1:0", &[&ben]);
    elsewhere.private_network = network([9; 32]);
    let eve = Node::start(elsewhere).await.unwrap();
    let refused = async {
        while eve.peers().await[0].state != PeerState::Dead {
            tokio::time::sleep(Duration::from_millis(10)).await; // nothing is told of a dial that fails
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(eve.peers().await[0].connects, 0);
    for node in [ann, ben, eve] {
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payload_topic_or_secret_key_is_ever_traced() {
    let caught = Catcher::default();
    tracing::subscriber::set_global_default(caught.clone()).unwrap();
    for listen in ["tcp://127.0.0.1:0", "quic://127.0.0.1:0"] {
        let ben = Node::start(config(BEN, listen, &[])).await.unwrap();
        let ann = Node::start(config(ANN, listen, &[&ben])).await.unwrap();
        exchange(&ann, &ben).await;
        ann.close().await;
        ben.close().await;
    }
    let key = *b"the key that this network shares";
    #[cfg(feature = "private-network")]
    private_exchange(key).await;
    let text = caught.0.lock().unwrap().clone();
    for there in ["link up", "span node", "span link"] {
        assert!(text.contains(there), "{there} was not caught: {text}");
    }
    let ben = SecretKey::from_bytes(BEN).public_key();
    let shared = SecretKey::from_bytes(ANN).shared_secret(&ben).unwrap();
    for secret in [&ANN[..], &BEN, &key, shared.as_bytes(), TOPIC, PAYLOAD, ANSWER] {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{form} in {text}");
        }
    }
}
