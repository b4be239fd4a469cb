//! Reaching a peer at the best of its places.
//!
//! Names are looked up at each attempt, off the core's task. What comes of them and of literal
//! places is tried one after the other with a short stagger, address families taking turns, until
//! one connects (the idea of RFC 8305): a place that swallows packets costs a quarter of a second
//! and not a timeout. The winner is kept; attempts under way are dropped, which closes them.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::command::Input;
use super::outside::Resolver;
use super::transport::Transports;
use crate::endpoint::{Endpoint, PeerAddress, Place};

/// Between the starts of two attempts (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// For looking up and trying everything. A handshake may take 10 seconds.
const LONGEST: Duration = Duration::from_secs(12);
/// Endpoints tried for one peer; a name may have any number of addresses.
const CANDIDATES: usize = 16;

/// One attempt to reach a peer; the outcome goes to the core.
pub(crate) async fn dial(
    peer: PeerAddress,
    transports: Arc<Transports>,
    resolver: Resolver,
    core: mpsc::Sender<Input>,
) {
    let attempt = async {
        let candidates = take_turns(look_up(&peer, &resolver).await?);
        race(candidates, |endpoint| transports.dial(endpoint)).await
    };
    let result = tokio::time::timeout(LONGEST, attempt).await;
    let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let _ = core.send(Input::Dialled { peer, result }).await; // no core, nobody to tell
}

/// The endpoints behind a peer's places, in their order. Fails only when none is left.
async fn look_up(peer: &PeerAddress, resolver: &Resolver) -> io::Result<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    let mut failed = None;
    for place in peer.places() {
        match place {
            Place::Literal(endpoint) => endpoints.push(*endpoint),
            Place::Named { scheme, host, port } => match resolver.look_up(host, *port).await {
                Ok(found) => {
                    endpoints.extend(found.into_iter().map(|at| Endpoint::new(*scheme, at)));
                }
                Err(error) => failed = Some(error),
            },
        }
    }
    match failed {
        Some(error) if endpoints.is_empty() => Err(error),
        _ => Ok(endpoints),
    }
}

/// Lets address families take turns, each in its order, the first one's family first; no endpoint
/// twice.
fn take_turns(endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    let is_ipv4 = |endpoint: &Endpoint| {
        endpoint.address().is_some_and(|address| address.ip().to_canonical().is_ipv4())
    };
    let first = endpoints.first().is_some_and(is_ipv4);
    let (mut ours, mut others): (VecDeque<_>, VecDeque<_>) =
        endpoints.into_iter().partition(|endpoint| is_ipv4(endpoint) == first);
    let mut turns = Vec::new();
    while turns.len() < CANDIDATES && !(ours.is_empty() && others.is_empty()) {
        for endpoint in [ours.pop_front(), others.pop_front()].into_iter().flatten() {
            if !turns.contains(&endpoint) {
                turns.push(endpoint);
            }
        }
    }
    turns
}

/// The first candidate that connects. The next is tried when the one before failed or had its
/// head start; gives the error of the last that failed when all did.
async fn race<F, T>(candidates: Vec<Endpoint>, attempt: impl Fn(Endpoint) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut waiting = candidates.into_iter();
    let mut running = JoinSet::new();
    let mut error = io::Error::new(io::ErrorKind::NotFound, "there is no address to dial");
    loop {
        let more = match waiting.next() {
            Some(endpoint) => {
                running.spawn(attempt(endpoint));
                true
            }
            None if running.is_empty() => return Err(error),
            None => false,
        };
        tokio::select! {
            ended = running.join_next(), if !running.is_empty() => match ended {
                Some(Ok(Ok(connected))) => return Ok(connected),
                Some(Ok(Err(failed))) => error = failed,
                Some(Err(_)) | None => {} // an attempt that panicked counts as none
            },
            () = tokio::time::sleep(STAGGER), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    const FOUR: [&str; 4] = [
        "tcp://192.0.2.1:1",
        "tcp://192.0.2.2:1",
        "tcp://[2001:db8::1]:1",
        "tcp://[2001:db8::2]:1",
    ];

    fn four() -> Vec<Endpoint> {
        FOUR.map(endpoint).to_vec()
    }

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let mut endpoints = four();
        endpoints.extend(four());
        let turns: Vec<String> = take_turns(endpoints).iter().map(Endpoint::to_string).collect();
        assert_eq!(turns, [FOUR[0], FOUR[2], FOUR[1], FOUR[3]]);
    }

    #[test]
    fn a_name_with_a_thousand_addresses_costs_sixteen_attempts() {
        let many = (0..1000).map(|port| endpoint(&format!("tcp://192.0.2.1:{port}")));
        assert_eq!(take_turns(many.collect()).len(), CANDIDATES);
    }

    #[tokio::test]
    async fn a_literal_place_is_tried_also_when_the_name_beside_it_is_unknown() {
        let peer = "tcp://nobody.invalid:1,tcp://192.0.2.1:1".parse().unwrap();
        assert_eq!(
            look_up(&peer, &Resolver::System).await.unwrap(),
            [endpoint("tcp://192.0.2.1:1")]
        );
    }

    #[tokio::test]
    async fn a_name_is_looked_up_by_us() {
        let peer = "quic://localhost:7".parse().unwrap();
        let found = look_up(&peer, &Resolver::System).await.unwrap();
        assert!(!found.is_empty());
        for endpoint in found {
            let Endpoint::Quic(address) = endpoint else { panic!("{endpoint}") };
            assert!(address.ip().is_loopback() && address.port() == 7);
        }
    }

    /// Attempts by their endpoint's number: after how long they end, and whether well.
    async fn raced(ends: &[(u64, bool)]) -> (io::Result<Endpoint>, Vec<Duration>, Duration) {
        let begun = Instant::now();
        let starts = Arc::new(Mutex::new(Vec::new()));
        let candidates: Vec<Endpoint> = four().into_iter().take(ends.len()).collect();
        let result = race(candidates.clone(), |endpoint| {
            let index = candidates.iter().position(|at| *at == endpoint).unwrap();
            let (after, well) = ends[index];
            starts.lock().unwrap().push(begun.elapsed());
            async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                if well { Ok(endpoint) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        })
        .await;
        let starts = starts.lock().unwrap().clone();
        (result, starts, begun.elapsed())
    }

    fn ms(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_millis).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_swallows_packets_costs_a_quarter_of_a_second() {
        let (won, starts, took) = raced(&[(5000, false), (20, true), (0, true)]).await;
        assert_eq!(won.unwrap(), four()[1]);
        assert_eq!(starts, ms(&[0, 250]));
        assert_eq!(took, Duration::from_millis(270));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_attempt_is_followed_by_the_next_at_once() {
        let (won, starts, _) = raced(&[(10, false), (10, false), (5, true)]).await;
        assert_eq!(won.unwrap(), four()[2]);
        assert_eq!(starts, ms(&[0, 10, 20]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_place_still_wins_when_it_is_there_first() {
        let (won, starts, took) = raced(&[(300, true), (100, true)]).await;
        assert_eq!(won.unwrap(), four()[0]);
        assert_eq!((starts, took), (ms(&[0, 250]), Duration::from_millis(300)));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_last_error_is_told() {
        let (lost, starts, _) = raced(&[(600, false), (10, false)]).await;
        assert_eq!(lost.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(starts, ms(&[0, 250]));
        let (nothing, _, _) = raced(&[]).await;
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
