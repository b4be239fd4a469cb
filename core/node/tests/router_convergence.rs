//! Networks of routers in random shapes: they find ways, lose links, and find ways again.

mod router_network;

use proptest::prelude::*;
use router_network::{Network, key};
use threephone_node::router::RouterOutput;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_connected_node_is_reached_without_loops_through_failures_and_repairs(seed: u64) {
        let mut network = Network::random(seed);
        network.run(5);
        network.converge();
        prop_assert_eq!(network.check(), Ok(()), "after the start");

        let cut: Vec<usize> = (0..network.cable_count()).filter(|_| network.below(3) == 0).collect();
        for cable in &cut {
            let told = network.below(2) == 0;
            network.cut(*cable, told);
            network.run(1);
        }
        network.run(60);
        network.converge();
        prop_assert_eq!(network.check(), Ok(()), "after cutting {:?}", cut);

        for cable in &cut {
            network.connect(*cable);
        }
        network.run(5);
        network.converge();
        prop_assert_eq!(network.check(), Ok(()), "after the repair");
    }

    #[test]
    fn a_lookup_of_an_address_nobody_has_dies_out(seed: u64) {
        let mut network = Network::random(seed);
        network.run(5);
        network.sent.clear();
        network.lookup(0, key(9999).address());
        network.run(30);
        // Each node asks over each of its links once at most.
        let requests = network.sent.get("route request").copied().unwrap_or(0);
        prop_assert!(requests <= 2 * network.cable_count(), "{requests} requests");
        let failed = network.outputs.iter().filter(|(node, output)| {
            *node == 0 && matches!(output, RouterOutput::LookupFailed { .. })
        });
        prop_assert_eq!(failed.count(), 1);
        network.sent.clear();
        network.run(15);
        prop_assert_eq!(network.sent.get("route request"), None);
    }
}

#[test]
fn a_route_is_retracted_along_a_chain_when_its_last_link_fails() {
    let mut network = Network::new(4, 1);
    let cables = [(0, 1), (1, 2), (2, 3)].map(|(a, b)| network.add_cable(a, b));
    network.run(1);
    network.converge();
    assert_eq!(network.path(0, 3), Ok(vec![0, 1, 2, 3]));
    network.cut(cables[2], true);
    network.run(2);
    assert!(network.path(0, 3).is_err());
    assert!(
        network.outputs.iter().any(|(node, output)| {
            *node == 0 && matches!(output, RouterOutput::RouteLost { .. })
        })
    );
    assert_eq!(network.check(), Ok(()));
}

#[test]
fn a_seqno_request_ends_starvation() {
    // The direct way to 2 is short; when it fails, what is left is worse than anything 0 ever
    // advertised, so it may only be taken with a newer number from the source itself.
    let mut network = Network::new(4, 2);
    let direct = network.add_cable(0, 2);
    for (a, b) in [(0, 3), (3, 1), (1, 2)] {
        network.add_cable(a, b);
    }
    network.run(120);
    network.converge();
    let before = network.nodes[2].seqno();
    network.cut(direct, true);
    network.run(10);
    network.converge();
    assert!(network.nodes[2].seqno() != before, "nobody asked the source");
    assert_eq!(network.path(0, 2), Ok(vec![0, 3, 1, 2]));
    assert_eq!(network.check(), Ok(()));
}

#[test]
fn a_silent_peer_is_given_up_after_43_s_without_an_answer() {
    let mut network = Network::new(2, 3);
    let cable = network.add_cable(0, 1);
    network.run(1);
    network.cut(cable, false);
    network.run(41);
    assert!(network.nodes[0].routes().any(|route| route.selected));
    network.run(4);
    assert!(!network.nodes[0].routes().any(|route| route.selected));
    network.run(10);
    assert_eq!(network.nodes[0].routes().count(), 0);
}
