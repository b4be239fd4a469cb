//! What a daemon costs that has nothing to do: how often any of its threads wakes, and its memory.
//!
//! Each competitor is a process of its own with one peer of its own, on a host of its own: a network
//! namespace, where it runs as its owner would start it, discovery and all, and hears nobody but its
//! peer. All runs are watched at the same time. Where no namespaces can be made, which needs root,
//! all are on this host and run without discovery.
//!
//! A wake-up is a voluntary context switch, by the system's own count of every thread. The peer is
//! a stock daemon where there is one, since it has a beat of its own, and else our node.

use std::path::Path;
use std::time::{Duration, Instant};

use threephone_system_tests::{Hosts, StockConfig, StockDaemon};

use crate::daemon::{Ours, memory, wake_ups};
use crate::figure::{
    Figure, IDLE, IDLE_LOW, IDLE_MEMORY, IDLE_MEMORY_STOCK, IDLE_PRIVATE, IDLE_STOCK,
};
use crate::report::Report;
use crate::{Error, progress, stock};

/// Starting, connecting and learning routes is over by then.
const SETTLED: Duration = Duration::from_secs(30);

/// Watches the daemons of all runs for so long. Blocks.
pub(crate) fn measure(report: &mut Report, runs: u32, watched: Duration) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let mut pairs = Vec::new();
    for run in 0..runs {
        for figure in [IDLE, IDLE_LOW, IDLE_STOCK] {
            if figure == IDLE_STOCK && !stock::is_there() {
                continue;
            }
            let home = folder.path().join(format!("{run}-{}", pairs.len()));
            std::fs::create_dir(&home)?;
            let hosts = Hosts::joined_quietly();
            // Processes are on the host of the thread that starts them.
            let pair = std::thread::scope(|scope| {
                let starting = scope.spawn(|| Pair::start(figure, &home, hosts));
                starting.join().map_err(|_| "a start panicked")?
            })?;
            pairs.push(pair);
        }
    }
    if pairs.iter().any(|pair| pair.hosts.is_none()) {
        progress("no network namespaces: the daemons run without discovery");
    }
    std::thread::sleep(SETTLED);
    let count = || -> Result<Vec<u64>, Error> {
        pairs.iter().map(|pair| wake_ups(pair.watched.pid())).collect()
    };
    let (before, begun) = (count()?, Instant::now());
    std::thread::sleep(watched);
    let (after, hours) = (count()?, begun.elapsed().as_secs_f64() / 3600.0);
    for (pair, (before, after)) in pairs.iter().zip(before.iter().zip(&after)) {
        report.add(pair.figure, after.saturating_sub(*before) as f64 / hours);
        let resident = memory(pair.watched.pid(), "VmRSS:")?;
        if pair.figure == IDLE {
            report.add(IDLE_MEMORY, resident);
            report.add(IDLE_PRIVATE, memory(pair.watched.pid(), "RssAnon:")?);
        } else if pair.figure == IDLE_STOCK {
            report.add(IDLE_MEMORY_STOCK, resident);
        }
    }
    Ok(())
}

/// A daemon that is watched, and its one peer.
struct Pair {
    figure: Figure,
    watched: Daemon,
    _peer: Daemon,
    hosts: Option<Hosts>,
}

impl Pair {
    /// Moves this thread to another host where it can.
    fn start(figure: Figure, folder: &Path, hosts: Option<Hosts>) -> Result<Self, Error> {
        let enter = |number| hosts.iter().for_each(|hosts: &Hosts| hosts.enter(number));
        enter(0);
        let peer = Daemon::start_peer(&folder.join("peer"), hosts.is_some())?;
        let endpoint = match hosts {
            Some(_) => format!("tcp://{}:{}", Hosts::address(0), peer.port()?),
            None => format!("tcp://127.0.0.1:{}", peer.port()?),
        };
        enter(1);
        let home = folder.join("watched");
        let mut options = vec!["--peer", &endpoint];
        if figure == IDLE_LOW {
            options.extend(["--power", "idle"]);
        }
        if hosts.is_none() {
            options.push("--no-discovery");
        }
        let watched = if figure == IDLE_STOCK {
            let discovery = hosts.is_some();
            Daemon::stock(StockConfig { peers: vec![endpoint], discovery, ..Default::default() })?
        } else {
            Daemon::Ours(Ours::start(&home, &options)?)
        };
        Ok(Self { figure, watched, _peer: peer, hosts })
    }
}

enum Daemon {
    Stock(Box<StockDaemon>),
    Ours(Ours),
}

impl Daemon {
    fn start_peer(home: &Path, has_host: bool) -> Result<Self, Error> {
        if stock::is_there() {
            return Self::stock(StockConfig::default());
        }
        let listen = if has_host { "tcp://0.0.0.0:0" } else { "tcp://127.0.0.1:0" };
        Ok(Self::Ours(Ours::start(home, &["--no-discovery", "--listen", listen])?))
    }

    fn stock(config: StockConfig) -> Result<Self, Error> {
        let daemon = StockDaemon::start_with(config).ok_or("there is no stock daemon")?;
        Ok(Self::Stock(Box::new(daemon)))
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Stock(stock) => stock.pid(),
            Self::Ours(ours) => ours.pid(),
        }
    }

    /// Where it takes links over TCP.
    fn port(&self) -> Result<String, Error> {
        let endpoint = match self {
            Self::Stock(stock) => stock.endpoint(),
            Self::Ours(ours) => ours.listening.clone(),
        };
        Ok(endpoint.rsplit(':').next().ok_or("it does not listen")?.to_owned())
    }
}
