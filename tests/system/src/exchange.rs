//! Messages between nodes of both kinds, each sent, awaited and compared.

use std::time::Duration;

use bytes::Bytes;
use threephone_node::{Node, SendState, Target, TopicFilter};

use crate::StockDaemon;

/// Longer than anything takes; reached only by a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What the messages are about.
pub const TOPIC: &[u8] = b"interop";

/// So many bytes, that differ from place to place.
pub fn payload(size: usize) -> Bytes {
    (0..size).map(|index| (index % 251) as u8).collect()
}

/// Sends from one of ours to another.
pub async fn ours_to_ours(from: &Node, to: &Node, size: usize) {
    send(from, Target::Key(to.public_key()), size).await;
    let message = to.receive(TopicFilter::Any, PATIENCE).await;
    let message = message.unwrap_or_else(|| panic!("{size} bytes did not arrive"));
    assert_eq!(message.payload, payload(size), "{size} bytes");
    assert_eq!(message.source_key, from.public_key());
}

/// Sends from one of ours to a stock daemon.
pub async fn ours_to_stock(from: &Node, to: &StockDaemon, size: usize) {
    send(from, Target::Address(to.address()), size).await;
    let message = blocking(|| to.receive(TOPIC, PATIENCE)).expect("the API answers");
    let message = message.unwrap_or_else(|| panic!("{size} bytes did not arrive"));
    assert_eq!(message.payload, payload(size), "{size} bytes");
    assert_eq!(message.source, from.address());
}

/// Sends from a stock daemon to one of ours.
pub async fn stock_to_ours(from: &StockDaemon, to: &Node, size: usize) {
    blocking(|| from.send(to.address(), TOPIC, &payload(size))).expect("the API answers");
    let message = to.receive(TopicFilter::Is(Bytes::from_static(TOPIC)), PATIENCE).await;
    let message = message.unwrap_or_else(|| panic!("{size} bytes did not arrive"));
    assert_eq!(message.payload, payload(size), "{size} bytes");
    assert_eq!(message.source, from.address());
}

/// Sends from a stock daemon to another. Lengths that leave a last piece of fewer than 250 bytes
/// never arrive between those.
pub async fn stock_to_stock(from: &StockDaemon, to: &StockDaemon, size: usize) {
    blocking(|| from.send(to.address(), TOPIC, &payload(size))).expect("the API answers");
    let message = blocking(|| to.receive(TOPIC, PATIENCE)).expect("the API answers");
    let message = message.unwrap_or_else(|| panic!("{size} bytes did not arrive"));
    assert_eq!(message.payload, payload(size), "{size} bytes");
    assert_eq!(message.source, from.address());
}

/// Waits for a blocking call beside the tasks of the nodes.
pub fn blocking<T>(call: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(call)
}

async fn send(from: &Node, to: Target, size: usize) {
    let sent = from.send_and_wait(to, TOPIC, payload(size), PATIENCE).await;
    let state = sent.expect("it can be sent");
    assert!(matches!(state, SendState::Received | SendState::Read), "{size} bytes: {state:?}");
}
