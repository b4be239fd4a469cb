//! The same between stock daemons, which are processes of their own and offer messages only over
//! their HTTP API.
//!
//! The clock starts at the `POST` that hands a message over and stops when the answer to the
//! receiver's `GET` is in, which has been waiting since before. Two requests on loopback with JSON
//! and base64 are thus part of the figure; what one such request takes is measured beside it.

use std::time::{Duration, Instant};

use threephone_system_tests::StockDaemon;

use crate::Error;
use crate::bus::{LONG_BYTES, SHORT};
use crate::figure::{BUS_STOCK, Figure, HTTP, LONG_STOCK, MESSAGE_RATE_STOCK, ROUTER_STOCK};
use crate::report::{Report, median};

/// Short messages in one run: a tenth of a second each.
const MESSAGES: usize = 30;
const LONG_MESSAGES: usize = 3;
/// The many messages of one run: as ours, but fewer, for each is two requests.
const RATE_SENDERS: usize = 8;
const RATE_EACH: usize = 250;
const RATE_BYTES: usize = 200;
const REQUESTS: usize = 100;
const TOPIC: &[u8] = b"bench";
/// Time for a request to reach the daemon and wait there, before the clock starts.
const SETTLE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether `MYCELIUM_BIN` names a stock daemon.
pub(crate) fn is_there() -> bool {
    std::env::var_os("MYCELIUM_BIN").is_some()
}

/// One run between two daemons, and one over a third. Blocks.
pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let ben = start(&[])?;
    let ann = start(&[ben.endpoint()])?;
    latency(report, BUS_STOCK, &ann, &ben, SHORT, MESSAGES)?;
    latency(report, LONG_STOCK, &ann, &ben, LONG_BYTES, LONG_MESSAGES)?;
    requests(report, &ben)?;

    let router = start(&[])?;
    let (ann, ben) = (start(&[router.endpoint()])?, start(&[router.endpoint()])?);
    latency(report, ROUTER_STOCK, &ann, &ben, SHORT, MESSAGES)
}

fn start(peers: &[String]) -> Result<StockDaemon, Error> {
    StockDaemon::start(peers).ok_or_else(|| "there is no stock daemon".into())
}

fn latency(
    report: &mut Report,
    figure: Figure,
    from: &StockDaemon,
    to: &StockDaemon,
    length: usize,
    messages: usize,
) -> Result<(), Error> {
    // The first one waits for the route.
    one(from, to, length)?;
    let took = (0..messages).map(|_| one(from, to, length)).collect::<Result<Vec<_>, _>>()?;
    report.add(figure, median(&took));
    Ok(())
}

/// From the first `POST` of eight clients until one that asks again and again has the last message.
/// Blocks.
pub(crate) fn measure_rate(report: &mut Report) -> Result<(), Error> {
    let ben = start(&[])?;
    let ann = start(&[ben.endpoint()])?;
    one(&ann, &ben, SHORT)?;
    let payload = [0x5a; RATE_BYTES];
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let sending: Vec<_> = (0..RATE_SENDERS)
            .map(|_| {
                scope.spawn(|| {
                    (0..RATE_EACH)
                        .try_for_each(|_| ann.send(ben.address(), TOPIC, &payload).map(|_| ()))
                })
            })
            .collect();
        for _ in 0..RATE_SENDERS * RATE_EACH {
            ben.receive(TOPIC, PATIENCE)?.ok_or("a message did not arrive")?;
        }
        for sender in sending {
            sender.join().map_err(|_| "a sender panicked")??;
        }
        Ok::<(), Error>(())
    })?;
    let messages = (RATE_SENDERS * RATE_EACH) as f64;
    report.add(MESSAGE_RATE_STOCK, messages / begun.elapsed().as_secs_f64());
    Ok(())
}

/// What an empty-handed `GET` takes.
fn requests(report: &mut Report, daemon: &StockDaemon) -> Result<(), Error> {
    let mut took = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        if daemon.receive(TOPIC, Duration::ZERO)?.is_some() {
            return Err("a message came that nobody sent".into());
        }
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    report.add(HTTP, median(&took));
    Ok(())
}

/// Milliseconds for one message.
fn one(from: &StockDaemon, to: &StockDaemon, length: usize) -> Result<f64, Error> {
    let payload = vec![0x5a; length];
    std::thread::scope(|scope| {
        let receiving =
            scope.spawn(|| to.receive(TOPIC, PATIENCE).map(|message| (message, Instant::now())));
        std::thread::sleep(SETTLE);
        let begun = Instant::now();
        from.send(to.address(), TOPIC, &payload)?;
        let (message, end) = receiving.join().map_err(|_| "the receiver panicked")??;
        match message {
            Some(message) if message.payload.len() == length => {
                Ok(end.duration_since(begun).as_secs_f64() * 1e3)
            }
            Some(_) => Err("another message arrived".into()),
            None => Err("a message did not arrive".into()),
        }
    })
}
