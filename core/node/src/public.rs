//! The public network's own entry peers, as its documentation lists them.
//!
//! They are in a file of the crate, so that a change of the list is a change of data. Nothing dials
//! them unless it is told to: put the list into [`NodeConfig::public_peers`].
//!
//! [`NodeConfig::public_peers`]: crate::NodeConfig::public_peers

use crate::endpoint::PeerAddress;

const LIST: &str = include_str!("../data/public-peers.txt");

/// The nodes of the list, each with its places.
pub fn public_peers() -> Vec<PeerAddress> {
    lines(LIST).filter_map(|line| line.parse().ok()).collect()
}

/// What the lines say, without comments.
fn lines(list: &str) -> impl Iterator<Item = &str> {
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{Endpoint, Place};

    /// Of each node.
    fn endpoints() -> Vec<Vec<Endpoint>> {
        let literal = |place: &Place| match place {
            Place::Literal(endpoint) => *endpoint,
            Place::Named { .. } => panic!("{place}"),
        };
        let of = |peer: PeerAddress| peer.places().iter().map(literal).collect();
        public_peers().into_iter().map(of).collect()
    }

    #[test]
    fn the_list_names_ten_nodes_over_both_transports_and_address_families() {
        let nodes = endpoints();
        assert_eq!((nodes.len(), lines(LIST).count()), (10, 10));
        for node in &nodes {
            let address = |endpoint: &Endpoint| endpoint.address().unwrap();
            let place = |endpoint: &Endpoint| {
                (matches!(endpoint, Endpoint::Quic(_)), address(endpoint).is_ipv6())
            };
            let places: Vec<(bool, bool)> = node.iter().map(place).collect();
            assert_eq!(places, [(false, false), (false, true), (true, false), (true, true)]);
            assert!(node.iter().all(|endpoint| address(endpoint).port() == 9651), "{node:?}");
            assert_eq!(address(&node[0]), address(&node[2]));
            assert_eq!(address(&node[1]), address(&node[3]));
        }
        let mut all: Vec<Endpoint> = nodes.into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40, "an endpoint is listed twice");
    }

    #[test]
    fn comments_and_empty_lines_are_no_nodes() {
        let list = "# a list\n\ntcp://192.0.2.1:1,tcp://[2001:db8::1]:1 # here\n";
        let read: Vec<&str> = lines(list).collect();
        assert_eq!(read, ["tcp://192.0.2.1:1,tcp://[2001:db8::1]:1"]);
    }
}
