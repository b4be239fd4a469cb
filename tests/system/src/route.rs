//! Whether a node has a route to another, and waiting until it comes or goes.

use std::time::{Duration, Instant};

use serde_json::Value;
use threephone_node::{Node, Prefix, RouteStatus};

use crate::StockDaemon;
use crate::exchange::{PATIENCE, blocking};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// There is a route that packets take.
    There,
    /// There is none.
    Gone,
}

/// Waits until a node of ours has a route to a prefix, or none any more.
pub async fn at_ours(node: &Node, to: Prefix, wanted: Route) {
    let mut events = node.events();
    let waiting = async {
        while at_ours_now(node, to).await != wanted {
            // Whatever happened is a reason to look.
            assert!(events.next().await.is_some(), "the node is closed");
        }
    };
    let met = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(met.is_ok(), "the route to {to} is not {wanted:?}: {:?}", node.routes().await);
}

async fn at_ours_now(node: &Node, to: Prefix) -> Route {
    let is_way =
        |route: &RouteStatus| route.prefix == to && route.selected && route.metric != u16::MAX;
    match node.routes().await.iter().any(is_way) {
        true => Route::There,
        false => Route::Gone,
    }
}

/// Waits until a stock daemon has a route to a prefix, or none any more.
pub fn at_stock(stock: &StockDaemon, to: Prefix, wanted: Route) {
    let (begun, to) = (Instant::now(), to.to_string());
    blocking(|| {
        loop {
            let answer = stock.api().request("GET", "/api/v1/admin/routes/selected", None);
            let (_, routes) = answer.expect("the API answers");
            let rows = routes.as_array().map(Vec::as_slice).unwrap_or_default();
            let is_way = |row: &Value| row["subnet"] == to.as_str() && row["metric"] != "infinite";
            if rows.iter().any(is_way) == (wanted == Route::There) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the route to {to} is not {wanted:?}: {routes}");
            // The daemon tells nobody of changes: asking again is the only way.
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}
