//! A node that nobody tells of its network hears of changes from the system.
//!
//! Needs Linux and the right to make a network of one's own, as root or by user namespaces;
//! elsewhere it says that it was skipped. The node is this test binary, started anew in there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test

use std::process::{Command, Stdio};
use std::time::Duration;

use threephone_node::{Node, NodeConfig, PeerState, SecretKey};

const INSIDE: &str = "THREEPHONE_TEST_NETWORK";
/// Nothing here takes that long unless it never comes.
const LONG: Duration = Duration::from_secs(60);

fn ip(words: &str) -> bool {
    let status = Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_new_address_is_noticed_and_the_peer_behind_it_dialled_at_once() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let unshare = |program: &str, words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", program]).args(words);
        command.env(INSIDE, "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !unshare("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]) {
        println!(
            "SKIPPED: a network of one's own needs root or user namespaces, and the command ip"
        );
        return;
    }
    let own = std::env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let name = "a_new_address_is_noticed_and_the_peer_behind_it_dialled_at_once";
    assert!(unshare(own, &["--exact", name, "--nocapture"]), "run it with {INSIDE}=1 to see why");
}

fn inside() {
    assert!(ip("link set lo up"));
    assert!(ip("link add v0 type veth peer name v1"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = NodeConfig::new(SecretKey::from_bytes([2; 32]));
        config.listen = vec!["tcp://0.0.0.0:7001".parse().unwrap()];
        let ben = Node::start(config).await.unwrap();
        let mut config = NodeConfig::new(SecretKey::from_bytes([1; 32]));
        config.peers = vec!["tcp://192.0.2.1:7001".parse().unwrap()];
        config.follow_network = true;
        let ann = Node::start(config).await.unwrap();
        let changes = async || ann.ledger().await.unwrap().network_changes;
        assert!(ip("link set v0 up") && ip("link set v1 up"));
        assert!(ip("addr add 192.0.2.1/24 dev v0"));
        let alive = async {
            while ann.peers().await[0].state != PeerState::Alive {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, alive).await.expect("it is dialled");
        let noticed = async {
            while changes().await == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, noticed).await.expect("it is noticed");
        // The link's own address goes: no need to wait until the peer is found silent.
        assert!(ip("addr del 192.0.2.1/24 dev v0"));
        let gone = async {
            while ann.peers().await[0].state == PeerState::Alive {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, gone).await.expect("the link is given up");
        ann.close().await;
        ben.close().await;
    });
}
