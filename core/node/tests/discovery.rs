//! Two nodes that hear each other by real multicast, in a network of their own.
//!
//! Needs Linux, root and `ip` with network namespaces; elsewhere it says that it was skipped. The
//! nodes are this test binary, started anew in each namespace, where the variable says which it is.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use threephone_node::{
    Node, NodeConfig, PeerKind, PeerState, SecretKey, SendState, Target, TopicFilter, discovery,
};

const ROLE: &str = "THREEPHONE_TEST_DISCOVERY_ROLE";
/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

/// Two namespaces with a cable between them; taken down when dropped.
struct Cable {
    names: [String; 2],
}

impl Cable {
    fn lay() -> Option<Self> {
        let names = ["a", "b"].map(|end| format!("tp{}{end}", std::process::id()));
        let [a, b] = &names;
        let cable = Self { names: names.clone() };
        let steps = [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add {a} netns {a} type veth peer name {b} netns {b}"),
            // Addresses that are still being checked for doubles cannot be listened on.
            format!(
                "netns exec {a} sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.{a}.accept_dad=0"
            ),
            format!(
                "netns exec {b} sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.{b}.accept_dad=0"
            ),
            format!("-n {a} link set {a} up"),
            format!("-n {b} link set {b} up"),
        ];
        steps.iter().all(|step| ip(step)).then_some(cable)
    }

    fn start(&self, end: usize, role: &str) -> Child {
        Command::new("ip")
            .args(["netns", "exec", &self.names[end]])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "two_nodes_on_one_cable_find_each_other_and_make_one_link"])
            .args(["--nocapture"])
            .env(ROLE, role)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}

fn ip(words: &str) -> bool {
    let status = Command::new("ip")
        .args(words.split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn two_nodes_on_one_cable_find_each_other_and_make_one_link() {
    if let Ok(role) = std::env::var(ROLE) {
        return be(&role);
    }
    let Some(cable) = Cable::lay() else {
        println!("SKIPPED: network namespaces need root and the command ip");
        return;
    };
    let mut nodes = [cable.start(0, "ann"), cable.start(1, "ben")];
    let ended = nodes.each_mut().map(|node| node.wait().unwrap());
    assert!(ended.iter().all(std::process::ExitStatus::success), "{ended:?}");
}

/// One of the two: finds the other, exchanges a message with it, and sees one link in the end.
fn be(role: &str) {
    let keys = [1, 2].map(|name| SecretKey::from_bytes([name; 32]));
    let [ann, ben] = &keys;
    let (own, other) = if role == "ann" { (ann, ben) } else { (ben, ann) };
    let other = other.public_key().address();
    let mut config =
        NodeConfig::new(SecretKey::from_bytes(if role == "ann" { [1; 32] } else { [2; 32] }));
    assert_eq!(config.secret.public_key(), own.public_key());
    config.listen = vec!["tcp://[::]:0".parse().unwrap()];
    config.discovery = Some(discovery::PORT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let node = Node::start(config).await.unwrap();
        // The cable may come up a moment after the first beacon; a change of network sends another.
        let hello = async {
            let sent =
                node.send_and_wait(Target::Address(other), b"", Bytes::from_static(b"hi"), LONG);
            assert_eq!(sent.await, Ok(SendState::Received));
        };
        let heard = async { assert!(node.receive(TopicFilter::Any, LONG).await.is_some()) };
        let nudge = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                node.network_changed().await;
            }
        };
        tokio::select! {
            _ = async { tokio::join!(hello, heard) } => {}
            () = nudge => {}
        }
        let peers = node.peers().await;
        let alive = peers.iter().filter(|peer| peer.state == PeerState::Alive).count();
        let kinds: Vec<PeerKind> = peers.iter().map(|peer| peer.kind).collect();
        assert_eq!(alive, 1, "{role}: {peers:?}");
        assert!(kinds.iter().all(|kind| matches!(kind, PeerKind::Discovered | PeerKind::Inbound)));
        // Neither goes before the other has looked.
        let bye = Bytes::from_static(b"bye");
        let bye = node.send_and_wait(Target::Address(other), b"", bye, Duration::from_secs(5));
        let (_, heard) = tokio::join!(bye, node.receive(TopicFilter::Any, LONG));
        assert!(heard.is_some());
        node.close().await;
    });
}
