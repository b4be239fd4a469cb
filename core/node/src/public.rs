//! The public network's own entry peers, as its documentation lists them.
//!
//! They are in a file of the crate, so that a change of the list is a change of data. Nothing dials
//! them unless it is told to: put the list into [`NodeConfig::public_peers`].
//!
//! [`NodeConfig::public_peers`]: crate::NodeConfig::public_peers

use crate::endpoint::Endpoint;

const LIST: &str = include_str!("../data/public-peers.txt");

/// The nodes of the list, each with its endpoints that this build can dial.
pub fn public_peers() -> Vec<Vec<Endpoint>> {
    lines(LIST).map(|line| line.filter_map(|text| text.parse().ok()).collect()).collect()
}

/// The endpoints of each line, as text.
fn lines(list: &str) -> impl Iterator<Item = impl Iterator<Item = &str>> {
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.filter(|line| !line.trim().is_empty()).map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_ten_nodes_with_two_address_families_each() {
        let nodes = public_peers();
        assert_eq!(nodes.len(), 10);
        for node in &nodes {
            assert!(node.iter().any(|endpoint| endpoint.address().unwrap().is_ipv4()), "{node:?}");
            assert!(node.iter().any(|endpoint| endpoint.address().unwrap().is_ipv6()), "{node:?}");
            assert!(
                node.iter().all(|endpoint| endpoint.address().unwrap().port() == 9651),
                "{node:?}"
            );
        }
        let mut all: Vec<Endpoint> = nodes.into_iter().flatten().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "an endpoint is listed twice");
    }

    #[test]
    fn every_word_of_the_list_is_an_endpoint() {
        for text in lines(LIST).flatten() {
            text.parse::<Endpoint>().unwrap();
        }
    }

    #[test]
    fn comments_and_empty_lines_are_no_nodes() {
        let list = "# a list\n\ntcp://192.0.2.1:1 tcp://[2001:db8::1]:1 # here\n";
        let read: Vec<Vec<&str>> = lines(list).map(Iterator::collect).collect();
        assert_eq!(read, [["tcp://192.0.2.1:1", "tcp://[2001:db8::1]:1"]]);
    }
}
