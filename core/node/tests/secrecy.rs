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
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("threephone")
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
        BASE64.encode(bytes),
        list.trim_matches(['[', ']']).to_owned(),
        format!("{:?}", Bytes::copy_from_slice(bytes)).trim_matches(['b', '"']).to_owned(),
    ]
}

async fn node(secret: [u8; 32], peers: &[&Node]) -> Node {
    let mut config = NodeConfig::new(SecretKey::from_bytes(secret));
    config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    config.peers =
        peers.iter().flat_map(|peer| peer.listening().to_vec()).map(Into::into).collect();
    Node::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_payload_topic_or_secret_key_is_ever_traced() {
    let caught = Catcher::default();
    tracing::subscriber::set_global_default(caught.clone()).unwrap();
    let secrets = [*b"the secret key of ann is 32 long", *b"the secret key of ben is 32 long"];
    let (topic, payload) = (&b"a topic of theirs"[..], &b"a payload that is theirs alone"[..]);
    let answer = &b"an answer to it, as secret as it"[..];
    let ben = node(secrets[1], &[]).await;
    let ann = node(secrets[0], &[&ben]).await;
    let to = Target::Key(ben.public_key());
    let draft = |payload: Bytes| OutgoingMessage {
        to,
        topic: Bytes::copy_from_slice(topic),
        payload,
        deadline: None,
    };
    let asking = ann.send_for_reply(draft(Bytes::copy_from_slice(payload)), PATIENCE);
    let answering = async {
        let filter = || TopicFilter::Is(Bytes::copy_from_slice(topic));
        ben.peek(filter(), PATIENCE).await.unwrap();
        let message = ben.receive(filter(), PATIENCE).await.unwrap();
        let from = Target::Address(message.source);
        ben.reply(from, message.id, Bytes::copy_from_slice(answer)).await.unwrap();
    };
    let (asked, ()) = tokio::join!(asking, answering);
    assert_eq!(asked.unwrap().1.unwrap().payload, answer);
    // Refused, given up, without a route.
    ann.send_draft(draft(Bytes::from(payload.repeat(1 << 20)))).await.unwrap_err();
    let lost = ann.send(Target::Address("4ff::1".parse().unwrap()), topic, "x".into()).await;
    ann.cancel(lost.unwrap()).await;
    ann.close().await;
    ben.close().await;
    let text = caught.0.lock().unwrap().clone();
    for there in ["link up", "span node", "span link"] {
        assert!(text.contains(there), "{there} was not caught: {text}");
    }
    for secret in [&secrets[0][..], &secrets[1], topic, payload, answer] {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{form} in {text}");
        }
    }
}
