//! How long nothing arrives when a router on the way falls silent: four nodes in a diamond, and the
//! one of the two in the middle that packets take is stopped by SIGSTOP, so that its links stay open
//! and take what is written to them.
//!
//! Messages go out five times a second, and the gap is the longest time between two arrivals from
//! the stop until messages sent after it arrive. Ours and the stock daemons are driven through the
//! same API. All diamonds of all runs stand at the same time: they do nothing but wait. Each node in
//! the middle is a process of its own; of ours, this program, started with `--router`.

use std::io::{BufRead, BufReader, Read};
use std::net::Ipv6Addr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use threephone_node::{Node, NodeConfig, PeerAddress, SecretKey};
use threephone_system_tests::{ApiClient, StockDaemon};

use crate::Error;
use crate::figure::{Figure, SILENT, SILENT_STOCK};
use crate::http::Host;
use crate::report::Report;

const TOPIC: &[u8] = b"bench";
const EVERY: Duration = Duration::from_millis(200);
/// How long messages arrive undisturbed before the stop.
const SETTLED: Duration = Duration::from_secs(4);
/// Whoever has found no other way by then will not.
const PATIENCE: Duration = Duration::from_secs(120);
/// One wait for a message; in whole seconds, as the API takes it.
const WAIT: Duration = Duration::from_secs(1);

/// All runs of all competitors.
pub(crate) async fn measure(report: &mut Report, runs: u32) -> Result<(), Error> {
    let mut ours = Vec::new();
    for _ in 0..runs {
        ours.push(Ours::start().await?);
    }
    let diamonds = tokio::task::block_in_place(|| -> Result<Vec<_>, Error> {
        let stock: Result<Vec<_>, Error> =
            (0..runs).filter_map(|_| StockDiamond::start().transpose()).collect();
        let stock = stock?;
        let mut gaps = Vec::new();
        std::thread::scope(|scope| {
            let ours = ours.iter().map(|diamond| (SILENT, diamond.ends()));
            let stock = stock.iter().map(|diamond| (SILENT_STOCK, Ok(diamond.ends())));
            let running: Vec<_> = ours
                .chain(stock)
                .map(|(figure, ends)| scope.spawn(move || Ok((figure, gap(&ends?)?))))
                .collect();
            for run in running {
                gaps.push(run.join().map_err(|_| "a run panicked")?);
            }
            Ok::<(), Error>(())
        })?;
        gaps.into_iter().collect::<Result<Vec<(Figure, Duration)>, Error>>()
    })?;
    for (figure, gap) in diamonds {
        report.add(figure, gap.as_secs_f64());
    }
    for diamond in ours {
        diamond.close().await;
    }
    Ok(())
}

/// The two ends of a diamond, and what stands between them.
struct Ends {
    from: ApiClient,
    to: ApiClient,
    address: Ipv6Addr,
    /// Processes, and where each takes links.
    middle: [(u32, String); 2],
}

/// The longest time without an arrival after the next hop was stopped.
fn gap(ends: &Ends) -> Result<Duration, Error> {
    let (sent, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<(), Error> {
            while !is_over.load(Ordering::Relaxed) {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                ends.from.send(ends.address, TOPIC, &number.to_le_bytes())?;
                std::thread::sleep(EVERY); // the rate is part of what is measured
            }
            Ok(())
        });
        let gap = watch(ends, &sent);
        is_over.store(true, Ordering::Relaxed);
        sending.join().map_err(|_| "the sender panicked")??;
        gap
    })
}

fn watch(ends: &Ends, sent: &AtomicU64) -> Result<Duration, Error> {
    let begun = Instant::now();
    let mut last = None;
    while begun.elapsed() < SETTLED || last.is_none() {
        if next(ends)?.is_some() {
            last = Some(Instant::now());
        }
        if begun.elapsed() > PATIENCE {
            return Err("no message ever arrived".into());
        }
    }
    signal("-STOP", next_hop(ends)?)?;
    let stopped = Instant::now();
    // The next one may be on its way already.
    let after = sent.load(Ordering::Relaxed) + 1;
    let (mut last, mut gap) = (last.unwrap_or(stopped), Duration::ZERO);
    while stopped.elapsed() < PATIENCE {
        let Some(number) = next(ends)? else { continue };
        let now = Instant::now();
        gap = gap.max(now - last);
        last = now;
        if number > after {
            return Ok(gap);
        }
    }
    Err("no other way was found in two minutes".into())
}

fn next(ends: &Ends) -> Result<Option<u64>, Error> {
    let Some(message) = ends.to.receive(TOPIC, WAIT)? else { return Ok(None) };
    let number = message.payload.try_into().map_err(|_| "another message arrived")?;
    Ok(Some(u64::from_le_bytes(number)))
}

/// The process that packets take.
fn next_hop(ends: &Ends) -> Result<u32, Error> {
    let (_, info) = ends.to.request("GET", "/api/v1/admin", None)?;
    let (_, routes) = ends.from.request("GET", "/api/v1/admin/routes/selected", None)?;
    let subnet = info.get("nodeSubnet").ok_or("the far end tells no subnet")?;
    let routes = routes.as_array().ok_or("there is no list of routes")?;
    let route = routes.iter().find(|route| route.get("subnet") == Some(subnet));
    let hop = route.and_then(|route| route.get("nextHop")).and_then(Value::as_str);
    let hop = hop.ok_or("there is no route to the far end")?;
    let taken = ends.middle.iter().find(|(_, socket)| hop.ends_with(socket.as_str()));
    Ok(taken.ok_or_else(|| format!("{hop} is none of the two in the middle"))?.0)
}

fn signal(name: &str, process: u32) -> Result<(), Error> {
    let done = Command::new("kill").args([name, &process.to_string()]).status()?;
    if done.success() { Ok(()) } else { Err("the process could not be stopped".into()) }
}

/// Without the scheme.
fn socket(endpoint: &str) -> String {
    endpoint.trim_start_matches("tcp://").to_owned()
}

struct StockDiamond {
    from: StockDaemon,
    to: StockDaemon,
    middle: [StockDaemon; 2],
}

impl StockDiamond {
    fn start() -> Result<Option<Self>, Error> {
        let start = |peers: &[String]| StockDaemon::start_quietly(peers);
        let (Some(one), Some(other)) = (start(&[]), start(&[])) else { return Ok(None) };
        let peers = [one.endpoint(), other.endpoint()];
        let ends = start(&peers).zip(start(&peers));
        let (from, to) = ends.ok_or("there is no stock daemon any more")?;
        Ok(Some(Self { from, to, middle: [one, other] }))
    }

    fn ends(&self) -> Ends {
        let middle = |daemon: &StockDaemon| (daemon.pid(), socket(&daemon.endpoint()));
        Ends {
            from: self.from.api(),
            to: self.to.api(),
            address: self.to.address(),
            middle: [middle(&self.middle[0]), middle(&self.middle[1])],
        }
    }
}

struct Ours {
    from: Host,
    to: Host,
    middle: [Router; 2],
}

impl Ours {
    async fn start() -> Result<Self, Error> {
        let middle = [Router::start()?, Router::start()?];
        let peers = || -> Result<Vec<PeerAddress>, Error> {
            middle.iter().map(|router| Ok(router.endpoint.parse()?)).collect()
        };
        let from = Host::start("tcp://127.0.0.1:0", peers()?).await?;
        let to = Host::start("tcp://127.0.0.1:0", peers()?).await?;
        Ok(Self { from, to, middle })
    }

    fn ends(&self) -> Result<Ends, Error> {
        let middle = |router: &Router| (router.child.id(), socket(&router.endpoint));
        Ok(Ends {
            from: self.from.api()?,
            to: self.to.api()?,
            address: self.to.address(),
            middle: [middle(&self.middle[0]), middle(&self.middle[1])],
        })
    }

    async fn close(self) {
        self.from.close().await;
        self.to.close().await;
    }
}

/// A node of ours in a process of its own; killed when dropped, stopped or not.
struct Router {
    child: Child,
    endpoint: String,
}

impl Router {
    fn start() -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--router")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take();
        let mut router = Self { child, endpoint: String::new() };
        BufReader::new(out.ok_or("there is no output")?).read_line(&mut router.endpoint)?;
        router.endpoint.truncate(router.endpoint.trim_end().len());
        Ok(router)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What such a process does: it says where it takes links, and lives as long as its input is open.
pub(crate) async fn be_router() -> Result<(), Error> {
    use std::io::Write;

    let mut config = NodeConfig::new(SecretKey::generate()?);
    config.listen = vec!["tcp://127.0.0.1:0".parse()?];
    let node = Node::start(config).await?;
    let endpoint = node.listening().first().ok_or("it does not listen")?;
    writeln!(std::io::stdout(), "{endpoint}")?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    node.close().await;
    Ok(())
}
