//! How much goes over the bus: many short messages from many senders, and one very large message.
//!
//! Both nodes live in this process, on one runtime, with one loopback TCP link between them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use threephone_node::{Node, NodeConfig, SecretKey, SendState, Target, TopicFilter};

use crate::Error;
use crate::figure::{BULK_RATE, MESSAGE_RATE};
use crate::report::Report;

const SENDERS: usize = 8;
const EACH: usize = 5000;
const SHORT: usize = 200;
const LARGE: usize = 64 << 20;
const TOPIC: &[u8] = b"bench";
const PATIENCE: Duration = Duration::from_secs(60);

/// From the first call of `send` until the receiver has the last message.
pub(crate) async fn measure_rate(report: &mut Report) -> Result<(), Error> {
    let (ann, ben) = pair(16 << 20).await?;
    let mut subscription = ben.subscribe(TOPIC).await;
    let to = Target::Key(ben.public_key());
    warm_up(&ann, to, &mut subscription).await?;
    let ann = Arc::new(ann);
    let begun = Instant::now();
    for _ in 0..SENDERS {
        let ann = Arc::clone(&ann);
        tokio::spawn(async move {
            for _ in 0..EACH {
                let sent = ann.send(to, TOPIC, Bytes::from_static(&[0x5a; SHORT])).await;
                if let Err(error) = sent {
                    crate::progress(&format!("a message was refused: {error}"));
                    return;
                }
            }
        });
    }
    for _ in 0..SENDERS * EACH {
        let next = tokio::time::timeout(PATIENCE, subscription.next()).await?;
        next.ok_or("the node closed")?;
    }
    report.add(MESSAGE_RATE, (SENDERS * EACH) as f64 / begun.elapsed().as_secs_f64());
    ann.close().await;
    ben.close().await;
    Ok(())
}

/// From the call of `send` until the receiver has it.
pub(crate) async fn measure_bulk(report: &mut Report) -> Result<(), Error> {
    let (ann, ben) = pair(LARGE).await?;
    let to = Target::Key(ben.public_key());
    let mut subscription = ben.subscribe(b"warm").await;
    ann.send(to, b"warm", Bytes::new()).await?;
    subscription.next().await.ok_or("the node closed")?;
    let payload: Bytes = (0..LARGE).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();
    let begun = Instant::now();
    let sending = ann.send(to, TOPIC, payload.clone());
    let filter = TopicFilter::Is(Bytes::from_static(TOPIC));
    let (id, received) = tokio::join!(sending, ben.receive(filter, PATIENCE));
    let took = begun.elapsed();
    if received.ok_or("the large message did not arrive")?.payload != payload {
        return Err("another message arrived".into());
    }
    if ann.wait(id?, PATIENCE).await == SendState::Aborted {
        return Err("the large message counts as aborted".into());
    }
    report.add(BULK_RATE, LARGE as f64 / took.as_secs_f64() / 1e6);
    ann.close().await;
    ben.close().await;
    Ok(())
}

async fn warm_up(
    from: &Node,
    to: Target,
    subscription: &mut threephone_node::Subscription,
) -> Result<(), Error> {
    for _ in 0..100 {
        from.send(to, TOPIC, Bytes::new()).await?;
        subscription.next().await.ok_or("the node closed")?;
    }
    Ok(())
}

async fn pair(largest: usize) -> Result<(Node, Node), Error> {
    let ben = node(largest, None).await?;
    let ann = node(largest, Some(&ben)).await?;
    Ok((ann, ben))
}

async fn node(largest: usize, peer: Option<&Node>) -> Result<Node, Error> {
    let mut config = NodeConfig::new(SecretKey::generate()?);
    config.listen = vec!["tcp://127.0.0.1:0".parse()?];
    config.peers.extend(peer.into_iter().flat_map(Node::listening).map(|at| (*at).into()));
    config.limits.bus.allow_messages_of(largest);
    Ok(Node::start(config).await?)
}
