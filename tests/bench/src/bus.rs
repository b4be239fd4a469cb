//! Bus messages between nodes of ours on loopback TCP: directly, through a router, and through a
//! stock daemon as the router.
//!
//! The clock starts at the call of `send` and stops when the receiver's `receive` returns, which has
//! been waiting since. Both nodes live in this process, on one runtime.

use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::{Endpoint, Node, NodeConfig, SecretKey, SendState, Target, TopicFilter};
use threephone_system_tests::StockDaemon;

use crate::Error;
use crate::figure::{BUS, Figure, LONG, ROUTER, ROUTER_MIXED};
use crate::report::{Report, median};

/// The length of a short message.
pub(crate) const SHORT: usize = 100;
/// The length of a long one.
pub(crate) const LONG_BYTES: usize = 1_000_000;
/// Short messages in one run, and those before them that are not counted.
const MESSAGES: usize = 300;
const WARM_UP: usize = 20;
const LONG_MESSAGES: usize = 5;
const TOPIC: &[u8] = b"bench";
/// Routes come within this time, and everything else within a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// One run over links of ours alone.
pub(crate) async fn measure(report: &mut Report) -> Result<(), Error> {
    let ben = node(&[]).await?;
    let ann = node(ben.listening()).await?;
    latency(report, BUS, &ann, &ben).await?;
    long(report, &ann, &ben).await?;
    ann.close().await;
    ben.close().await;

    let router = node(&[]).await?;
    let (ann, ben) = (node(router.listening()).await?, node(router.listening()).await?);
    latency(report, ROUTER, &ann, &ben).await?;
    for node in [ann, ben, router] {
        node.close().await;
    }
    Ok(())
}

/// One run between nodes of ours that both dial a stock daemon.
pub(crate) async fn measure_through_stock(report: &mut Report) -> Result<(), Error> {
    let router = tokio::task::block_in_place(|| StockDaemon::start(&[]));
    let router = router.ok_or("there is no stock daemon")?;
    let way_in = [router.endpoint().parse::<Endpoint>()?];
    let (ann, ben) = (node(&way_in).await?, node(&way_in).await?);
    latency(report, ROUTER_MIXED, &ann, &ben).await?;
    ann.close().await;
    ben.close().await;
    Ok(())
}

async fn latency(report: &mut Report, figure: Figure, from: &Node, to: &Node) -> Result<(), Error> {
    let mut took = Vec::with_capacity(MESSAGES);
    for _ in 0..WARM_UP {
        one(from, to, SHORT).await?;
    }
    for _ in 0..MESSAGES {
        took.push(one(from, to, SHORT).await?);
    }
    report.add(figure, median(&took));
    Ok(())
}

async fn long(report: &mut Report, from: &Node, to: &Node) -> Result<(), Error> {
    let mut took = Vec::with_capacity(LONG_MESSAGES);
    for _ in 0..LONG_MESSAGES {
        took.push(one(from, to, LONG_BYTES).await?);
    }
    report.add(LONG, median(&took));
    Ok(())
}

/// Sends one message and gives the milliseconds until the other side has it. Returns once the
/// sender knows that too, so that the next one finds both at rest.
pub(crate) async fn one(from: &Node, to: &Node, length: usize) -> Result<f64, Error> {
    let payload = Bytes::from(vec![0x5a; length]);
    let filter = TopicFilter::Is(Bytes::from_static(TOPIC));
    let begun = Instant::now();
    let sending = from.send(Target::Key(to.public_key()), TOPIC, payload);
    let (sent, received) = tokio::join!(sending, to.receive(filter, PATIENCE));
    let took = begun.elapsed();
    let message = received.ok_or("a message did not arrive")?;
    if message.payload.len() != length {
        return Err("another message arrived".into());
    }
    match from.wait(sent?, PATIENCE).await {
        SendState::Received | SendState::Read => Ok(took.as_secs_f64() * 1e3),
        state => Err(format!("a message arrived and counts as {state:?}").into()),
    }
}

/// A node that listens.
pub(crate) async fn node(peers: &[Endpoint]) -> Result<Node, Error> {
    let mut config = NodeConfig::new(SecretKey::generate()?);
    config.listen = vec!["tcp://127.0.0.1:0".parse()?];
    config.peers = peers.iter().map(Into::into).collect();
    Ok(Node::start(config).await?)
}
