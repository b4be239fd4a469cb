//! Bus messages between our node and a stock daemon, and through one.
//!
//! The sizes are those at which splitting goes wrong: nothing, one chunk and its edges, short last
//! chunks, and the length at which cutting off equal pieces leaves one of 249 bytes.

use threephone_system_tests::Link;
use threephone_system_tests::exchange::{ours_to_ours, ours_to_stock, stock_to_ours};

const SIZES: [usize; 9] = [0, 1, 249, 1300, 1310, 1549, 5000, 1_000_000, 1_366_549];

/// What a stock sender can carry to a stock receiver says nothing about us: our receiver takes
/// short last chunks, so every size arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_come_from_a_stock_node() {
    let node = Link::Tcp.node(1, &[]).await;
    if let Some(stock) = Link::Tcp.stock(&[Link::Tcp.to_ours(&node)]) {
        for size in SIZES {
            stock_to_ours(&stock, &node, size).await;
        }
    }
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_go_to_a_stock_node() {
    let Some(stock) = Link::Tcp.stock(&[]) else { return };
    let node = Link::Tcp.node(2, &[Link::Tcp.to_stock(&stock)]).await;
    for size in SIZES {
        ours_to_stock(&node, &stock, size).await;
    }
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_cross_a_stock_router() {
    let Some(stock) = Link::Tcp.stock(&[]) else { return };
    let way = [Link::Tcp.to_stock(&stock)];
    let (ann, ben) = (Link::Tcp.node(3, &way).await, Link::Tcp.node(4, &way).await);
    for (from, to) in [(&ann, &ben), (&ben, &ann)] {
        for size in SIZES {
            ours_to_ours(from, to, size).await;
        }
    }
    ann.close().await;
    ben.close().await;
}
