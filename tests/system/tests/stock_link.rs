//! Links between our nodes and stock daemons over TCP, QUIC and the TLS of private networks: whoever
//! dials, and whoever stands in the middle.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use serde_json::{Value, json};
use threephone_node::{Node, PeerState};
use threephone_system_tests::exchange::{
    blocking, ours_to_ours, ours_to_stock, stock_to_ours, stock_to_stock,
};
use threephone_system_tests::{Link, StockDaemon};

/// Nothing, a chunk, and what fills the congestion window.
const SIZES: [usize; 3] = [0, 1300, 1_000_000];

/// Each of the cases below, over one kind of link.
macro_rules! over {
    ($kind:ident, $link:expr, $($case:ident)*) => {
        mod $kind {
            use threephone_system_tests::Link;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($link).await;
                }
            )*
        }
    };
}

over!(tcp, Link::Tcp,
    a_stock_node_dials_ours our_node_dials_a_stock_one
    a_stock_router_joins_two_of_ours_that_dial_it a_stock_router_dials_two_of_ours
    ours_joins_two_stock_nodes_that_dial_it ours_dials_two_stock_nodes_and_joins_them
    our_router_joins_a_stock_leaf_and_one_of_ours);
over!(quic, Link::Quic,
    a_stock_node_dials_ours our_node_dials_a_stock_one
    a_stock_router_joins_two_of_ours_that_dial_it a_stock_router_dials_two_of_ours
    ours_joins_two_stock_nodes_that_dial_it ours_dials_two_stock_nodes_and_joins_them
    our_router_joins_a_stock_leaf_and_one_of_ours);
over!(private, Link::Private,
    a_stock_node_dials_ours our_node_dials_a_stock_one
    a_stock_router_joins_two_of_ours_that_dial_it a_stock_router_dials_two_of_ours
    ours_joins_two_stock_nodes_that_dial_it ours_dials_two_stock_nodes_and_joins_them
    our_router_joins_a_stock_leaf_and_one_of_ours);

async fn a_stock_node_dials_ours(link: Link) {
    let ann = link.node(21, &[]).await;
    if let Some(stock) = link.stock(&[link.to_ours(&ann)]) {
        both_ways(&ann, &stock).await;
        one_link(link, &ann, &stock, "static").await;
    }
    ann.close().await;
}

async fn our_node_dials_a_stock_one(link: Link) {
    let Some(stock) = link.stock(&[]) else { return };
    let ann = link.node(22, &[link.to_stock(&stock)]).await;
    both_ways(&ann, &stock).await;
    one_link(link, &ann, &stock, "inbound").await;
    ann.close().await;
}

async fn a_stock_router_joins_two_of_ours_that_dial_it(link: Link) {
    let Some(stock) = link.stock(&[]) else { return };
    let way = [link.to_stock(&stock)];
    let (ann, ben) = (link.node(23, &way).await, link.node(24, &way).await);
    between_ours(&ann, &ben).await;
}

async fn a_stock_router_dials_two_of_ours(link: Link) {
    let (ann, ben) = (link.node(25, &[]).await, link.node(26, &[]).await);
    let stock = link.stock(&[link.to_ours(&ann), link.to_ours(&ben)]);
    if stock.is_some() {
        return between_ours(&ann, &ben).await;
    }
    ann.close().await;
    ben.close().await;
}

async fn ours_joins_two_stock_nodes_that_dial_it(link: Link) {
    let router = link.node(27, &[]).await;
    let way = [link.to_ours(&router)];
    if let Some((ann, ben)) = link.stock(&way).zip(link.stock(&way)) {
        between_stock(&ann, &ben).await;
    }
    router.close().await;
}

async fn ours_dials_two_stock_nodes_and_joins_them(link: Link) {
    let Some((ann, ben)) = link.stock(&[]).zip(link.stock(&[])) else { return };
    let router = link.node(28, &[link.to_stock(&ann), link.to_stock(&ben)]).await;
    between_stock(&ann, &ben).await;
    router.close().await;
}

async fn our_router_joins_a_stock_leaf_and_one_of_ours(link: Link) {
    let router = link.node(29, &[]).await;
    let way = [link.to_ours(&router)];
    if let Some(stock) = link.stock(&way) {
        let ann = link.node(30, &way).await;
        both_ways(&ann, &stock).await;
        ann.close().await;
    }
    router.close().await;
}

async fn both_ways(ann: &Node, stock: &StockDaemon) {
    for size in SIZES {
        stock_to_ours(stock, ann, size).await;
        ours_to_stock(ann, stock, size).await;
    }
}

async fn between_ours(ann: &Node, ben: &Node) {
    for size in SIZES {
        ours_to_ours(ann, ben, size).await;
        ours_to_ours(ben, ann, size).await;
    }
    ann.close().await;
    ben.close().await;
}

async fn between_stock(ann: &StockDaemon, ben: &StockDaemon) {
    for size in SIZES {
        stock_to_stock(ann, ben, size).await;
        stock_to_stock(ben, ann, size).await;
    }
}

/// One link carried it all, and both ends call it the same.
async fn one_link(link: Link, ann: &Node, stock: &StockDaemon, kind: &str) {
    let peers = ann.peers().await;
    assert_eq!(peers.len(), 1, "{peers:?}");
    assert_eq!((peers[0].state, peers[0].connects), (PeerState::Alive, 1));
    let remote = peers[0].remote.unwrap().to_string();
    assert!(remote.starts_with(&format!("{}://", link.protocol())), "{remote}");
    let (status, peers) =
        blocking(|| stock.api().request("GET", "/api/v1/admin/peers", None)).unwrap();
    assert_eq!((status, peers.as_array().map(Vec::len)), (200, Some(1)), "{peers}");
    let told = |name: &str| peers[0].get(name).cloned().unwrap_or(Value::Null);
    assert_eq!((told("type"), told("connectionState")), (json!(kind), json!("alive")));
    assert_eq!(told("endpoint")["proto"], link.protocol());
}
