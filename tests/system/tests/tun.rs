//! IP between hosts through TUNs: ours to ours, ours to a stock daemon, and what answers without one.
//!
//! The hosts are network namespaces, so this needs root; elsewhere it says that it is skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::net::Ipv6Addr;

use threephone_node::{Node, NodeConfig, SecretKey, Tun};
use threephone_system_tests::Hosts;
use tokio::runtime::Runtime;

/// Of an ICMPv6 echo: 1400 with its headers, which is what a TUN takes.
const FULL: u16 = 1400 - 40 - 8;
/// What passes over QUIC to an older node, which would lose the link for more.
const FULL_OLD_QUIC: u16 = 1362 - 40 - 8;

/// A node of ours on a host of its own.
struct Ours {
    runtime: Runtime,
    node: Option<Node>,
    address: Ipv6Addr,
}

impl Ours {
    fn start(hosts: &Hosts, number: usize, scheme: &str, tun: Tun, peer: Option<String>) -> Self {
        let mut config = NodeConfig::new(secret(number));
        let address = config.secret.public_key().address();
        config.listen = vec![hosts.endpoint(number, scheme).parse().unwrap()];
        config.peers = peer.iter().map(|peer| peer.parse().unwrap()).collect();
        config.tun = tun;
        let runtime = hosts.runtime(number);
        let started = runtime.block_on(runtime.spawn(Node::start(config))).unwrap();
        Self { runtime, node: Some(started.unwrap()), address }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let node = self.node.take().unwrap();
        let closed = self.runtime.spawn(async move { node.close().await });
        self.runtime.block_on(closed).unwrap();
    }
}

fn secret(number: usize) -> SecretKey {
    SecretKey::from_bytes(secret_bytes(number))
}

fn secret_bytes(number: usize) -> [u8; 32] {
    [40 + number as u8; 32]
}

fn named() -> Tun {
    Tun::Named("overlay".to_owned())
}

#[test]
fn two_hosts_ping_each_other_through_our_tuns() {
    for scheme in ["tcp", "quic"] {
        let Some(hosts) = Hosts::joined() else { return };
        let ann = Ours::start(&hosts, 0, scheme, named(), None);
        let ben = Ours::start(&hosts, 1, scheme, named(), Some(hosts.endpoint(0, scheme)));
        // The last is cut into fragments by the system.
        for bytes in [8, FULL, 4000] {
            assert!(hosts.ping(0, ben.address, bytes), "{bytes} bytes over {scheme}");
            assert!(hosts.ping(1, ann.address, bytes), "{bytes} bytes over {scheme}");
        }
    }
}

#[test]
fn a_node_without_a_tun_answers_a_ping() {
    let Some(hosts) = Hosts::joined() else { return };
    let ann = Ours::start(&hosts, 0, "tcp", Tun::None, None);
    let _ben = Ours::start(&hosts, 1, "tcp", named(), Some(hosts.endpoint(0, "tcp")));
    for bytes in [8, FULL] {
        assert!(hosts.ping(1, ann.address, bytes), "{bytes} bytes");
    }
}

#[test]
fn a_descriptor_that_somebody_else_opened_serves_as_tun() {
    let Some(hosts) = Hosts::joined() else { return };
    let tun = Tun::Fd(hosts.passed_tun(0, secret(0).public_key().address()));
    let ann = Ours::start(&hosts, 0, "tcp", tun, None);
    let ben = Ours::start(&hosts, 1, "tcp", named(), Some(hosts.endpoint(0, "tcp")));
    for bytes in [8, FULL] {
        assert!(hosts.ping(0, ben.address, bytes), "{bytes} bytes");
        assert!(hosts.ping(1, ann.address, bytes), "{bytes} bytes");
    }
}

#[test]
fn a_stock_host_and_ours_ping_each_other_over_tcp() {
    with_stock("tcp", FULL);
}

#[test]
fn a_stock_host_and_ours_ping_each_other_over_quic() {
    with_stock("quic", FULL_OLD_QUIC);
}

/// Both ways, whoever dials.
fn with_stock(scheme: &str, full: u16) {
    for stock_dials in [false, true] {
        let Some(hosts) = Hosts::joined() else { return };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("priv_key.bin"), secret_bytes(1)).unwrap();
        let peer = stock_dials.then(|| hosts.endpoint(0, scheme));
        let Some(_stock) = hosts.stock(1, folder.path(), peer) else { return };
        let peer = (!stock_dials).then(|| hosts.endpoint(1, scheme));
        let ann = Ours::start(&hosts, 0, scheme, named(), peer);
        for bytes in [8, full] {
            let stock = secret(1).public_key().address();
            assert!(hosts.ping(0, stock, bytes), "{bytes} bytes, stock dials: {stock_dials}");
            assert!(hosts.ping(1, ann.address, bytes), "{bytes} bytes, stock dials: {stock_dials}");
        }
    }
}
