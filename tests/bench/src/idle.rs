//! What a daemon costs that has nothing to do: how often any of its threads wakes, and its memory.
//!
//! Each competitor is a process of its own with one peer of its own, and all are watched at the same
//! time. A wake-up is a voluntary context switch, by the system's own count of every thread. The
//! peer is a stock daemon where there is one, since it has a beat of its own, and else our node.

use std::path::Path;
use std::time::{Duration, Instant};

use threephone_system_tests::StockDaemon;

use crate::daemon::{Ours, memory, wake_ups};
use crate::figure::{
    Figure, IDLE, IDLE_LOW, IDLE_MEMORY, IDLE_MEMORY_STOCK, IDLE_PRIVATE, IDLE_STOCK,
};
use crate::report::Report;
use crate::{Error, stock};

/// Starting, connecting and learning routes is over by then.
const SETTLED: Duration = Duration::from_secs(30);

/// Watches the daemons for so long. Blocks.
pub(crate) fn measure(report: &mut Report, watched: Duration) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let mut hubs = Vec::new();
    let mut hub = |name: &str| -> Result<String, Error> {
        let hub = Hub::start(&folder.path().join(name))?;
        let endpoint = hub.endpoint();
        hubs.push(hub);
        Ok(endpoint)
    };
    let ours = Ours::start(&folder.path().join("default"), &["--peer", &hub("hub1")?])?;
    let low = ["--power", "idle", "--peer", &hub("hub2")?];
    let low = Ours::start(&folder.path().join("idle"), &low)?;
    let stock = match stock::is_there() {
        true => StockDaemon::start(&[hub("hub3")?]),
        false => None,
    };
    let mut watched_processes = vec![(ours.pid(), IDLE), (low.pid(), IDLE_LOW)];
    watched_processes.extend(stock.as_ref().map(|stock| (stock.pid(), IDLE_STOCK)));
    std::thread::sleep(SETTLED);
    for (figure, per_hour) in watch(&watched_processes, watched)? {
        report.add(figure, per_hour);
    }
    report.add(IDLE_MEMORY, memory(ours.pid(), "VmRSS:")?);
    report.add(IDLE_PRIVATE, memory(ours.pid(), "RssAnon:")?);
    if let Some(stock) = &stock {
        report.add(IDLE_MEMORY_STOCK, memory(stock.pid(), "VmRSS:")?);
    }
    Ok(())
}

/// Wake-ups an hour of each process.
fn watch(processes: &[(u32, Figure)], watched: Duration) -> Result<Vec<(Figure, f64)>, Error> {
    let count =
        || -> Result<Vec<u64>, Error> { processes.iter().map(|(pid, _)| wake_ups(*pid)).collect() };
    let (before, begun) = (count()?, Instant::now());
    std::thread::sleep(watched);
    let (after, hours) = (count()?, begun.elapsed().as_secs_f64() / 3600.0);
    let counts = before.iter().zip(&after).map(|(before, after)| after.saturating_sub(*before));
    let figures = processes.iter().map(|(_, figure)| *figure);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(figures.zip(counts).map(|(figure, count)| (figure, count as f64 / hours)).collect())
}

/// The one peer of a competitor.
enum Hub {
    Stock(Box<StockDaemon>),
    Ours(Ours),
}

impl Hub {
    fn start(home: &Path) -> Result<Self, Error> {
        match StockDaemon::start_quietly(&[]) {
            Some(stock) => Ok(Self::Stock(Box::new(stock))),
            None => Ok(Self::Ours(Ours::start(home, &["--listen", "tcp://127.0.0.1:0"])?)),
        }
    }

    fn endpoint(&self) -> String {
        match self {
            Self::Stock(stock) => stock.endpoint(),
            Self::Ours(ours) => ours.listening.clone(),
        }
    }
}
