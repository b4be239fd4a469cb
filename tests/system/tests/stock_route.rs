//! Routes between our nodes and stock daemons go when a node goes, and come when it comes back: as
//! the retractions and the lookups of both kinds have it.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use threephone_node::{Node, Prefix};
use threephone_system_tests::exchange::{
    PATIENCE, TOPIC, blocking, ours_to_ours, ours_to_stock, payload, stock_to_ours, stock_to_stock,
};
use threephone_system_tests::route::{Route, at_ours, at_stock};
use threephone_system_tests::{Link, StockDaemon};

const SIZE: usize = 5000;

/// Each of the cases below, over one kind of link.
macro_rules! over {
    ($kind:ident, $link:expr) => {
        mod $kind {
            use threephone_system_tests::Link;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn our_leaf_behind_a_stock_router_goes_and_comes_back() {
                super::our_leaf_goes_and_comes_back($link).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_stock_leaf_behind_our_router_goes_and_gets_what_was_sent_meanwhile() {
                super::a_stock_leaf_goes_and_comes_back($link).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn our_router_between_two_stock_nodes_goes_and_comes_back() {
                super::our_router_goes_and_comes_back($link).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn of_a_stock_router_and_one_of_ours_either_serves_while_the_other_is_gone() {
                super::either_router_serves($link).await;
            }
        }
    };
}

over!(tcp, Link::Tcp);
over!(quic, Link::Quic);
over!(private, Link::Private);

async fn our_leaf_goes_and_comes_back(link: Link) {
    let Some(router) = link.stock(&[]) else { return };
    let way = [link.to_stock(&router)];
    let (ann, ben) = (link.node(41, &way).await, link.node(42, &way).await);
    ours_to_ours(&ann, &ben, SIZE).await;
    let prefix = ben.subnet();
    at_stock(&router, prefix, Route::There);
    ben.close().await;
    at_stock(&router, prefix, Route::Gone);
    at_ours(&ann, prefix, Route::Gone).await;
    let ben = link.node(42, &way).await;
    ours_to_ours(&ann, &ben, SIZE).await;
    ours_to_ours(&ben, &ann, SIZE).await;
    at_stock(&router, prefix, Route::There);
    at_ours(&ann, prefix, Route::There).await;
    ann.close().await;
    ben.close().await;
}

/// Killed, it says no goodbye: over QUIC our router finds out by what is sent into the void.
async fn a_stock_leaf_goes_and_comes_back(link: Link) {
    let router = link.node(43, &[]).await;
    let way = [link.to_ours(&router)];
    let Some((ann, mut ben)) = link.stock(&way).zip(link.stock(&way)) else {
        return router.close().await;
    };
    stock_to_stock(&ann, &ben, SIZE).await;
    let prefix = subnet(&ben);
    at_stock(&ann, prefix, Route::There);
    ben.stop();
    blocking(|| ann.send(ben.address(), TOPIC, &payload(SIZE))).unwrap();
    at_stock(&ann, prefix, Route::Gone);
    at_ours(&router, prefix, Route::Gone).await;
    blocking(|| ben.start_again()).unwrap();
    let message = blocking(|| ben.receive(TOPIC, PATIENCE)).unwrap().unwrap();
    assert_eq!((message.payload, message.source), (payload(SIZE).to_vec(), ann.address()));
    stock_to_stock(&ben, &ann, SIZE).await;
    ours_to_stock(&router, &ben, SIZE).await;
    stock_to_ours(&ben, &router, SIZE).await;
    router.close().await;
}

async fn our_router_goes_and_comes_back(link: Link) {
    let router = link.node(44, &[]).await;
    let way = [link.to_ours(&router)];
    let Some((ann, ben)) = link.stock(&way).zip(link.stock(&way)) else {
        return router.close().await;
    };
    stock_to_stock(&ann, &ben, SIZE).await;
    let listen = router.listening().to_vec();
    router.close().await;
    at_stock(&ann, subnet(&ben), Route::Gone);
    at_stock(&ben, subnet(&ann), Route::Gone);
    let mut config = link.config(44, &[]);
    config.listen = listen;
    let router = Node::start(config).await.unwrap();
    stock_to_stock(&ann, &ben, SIZE).await;
    stock_to_stock(&ben, &ann, SIZE).await;
    router.close().await;
}

async fn either_router_serves(link: Link) {
    let Some(mut stock) = link.stock(&[]) else { return };
    let ours = link.node(45, &[]).await;
    let ways = [link.to_stock(&stock), link.to_ours(&ours)];
    let (ann, ben) = (link.node(46, &ways).await, link.node(47, &ways).await);
    ours_to_ours(&ann, &ben, SIZE).await;
    stock.stop();
    ours_to_ours(&ann, &ben, SIZE).await;
    ours_to_ours(&ben, &ann, SIZE).await;
    blocking(|| stock.start_again()).unwrap();
    at_ours(&ann, subnet(&stock), Route::There).await;
    at_ours(&ben, subnet(&stock), Route::There).await;
    ours.close().await;
    ours_to_ours(&ann, &ben, SIZE).await;
    ours_to_ours(&ben, &ann, SIZE).await;
    ann.close().await;
    ben.close().await;
}

fn subnet(stock: &StockDaemon) -> Prefix {
    Prefix::subnet_of(stock.address())
}
