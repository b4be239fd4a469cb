//! What a daemon costs that has nothing to do: how often any of its threads wakes, and its memory.
//!
//! Each competitor is a process of its own with one peer of its own, and all are watched at the same
//! time. A wake-up is a voluntary context switch, by the system's own count of every thread. The
//! peer is a stock daemon where there is one, since it has a beat of its own, and else our node.
//! Our daemon is the binary `threephone` beside this one: build it first.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use threephone_system_tests::StockDaemon;

use crate::figure::{
    Figure, IDLE, IDLE_LOW, IDLE_MEMORY, IDLE_MEMORY_STOCK, IDLE_PRIVATE, IDLE_STOCK,
};
use crate::report::Report;
use crate::{Error, progress, stock};

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

fn wake_ups(pid: u32) -> Result<u64, Error> {
    let mut all = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        all += number(&task?.path().join("status"), "voluntary_ctxt_switches:")?;
    }
    Ok(all)
}

/// In MiB.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn memory(pid: u32, what: &str) -> Result<f64, Error> {
    Ok(number(Path::new(&format!("/proc/{pid}/status")), what)? as f64 / 1024.0)
}

/// The number behind a name in a file of `/proc`.
fn number(file: &Path, name: &str) -> Result<u64, Error> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    Ok(word.ok_or_else(|| format!("{} has no {name}", file.display()))?.parse()?)
}

/// The one peer of a competitor.
enum Hub {
    Stock(StockDaemon),
    Ours(Ours),
}

impl Hub {
    fn start(home: &Path) -> Result<Self, Error> {
        match StockDaemon::start_quietly(&[]) {
            Some(stock) => Ok(Self::Stock(stock)),
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

/// Our daemon as a process; ended when dropped.
struct Ours {
    child: Child,
    listening: String,
}

impl Ours {
    fn start(home: &Path, options: &[&str]) -> Result<Self, Error> {
        let home = home.to_str().ok_or("the folder has a strange name")?;
        let made = command(home)?.args(["init", "--name", "Ann"]).stdout(Stdio::null()).status()?;
        if !made.success() {
            return Err("no profile could be made".into());
        }
        let mut child = command(home)?
            .args(["up", "--no-discovery"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = child.stdout.take().ok_or("there is no output")?;
        let mut ours = Self { child, listening: String::new() };
        BufReader::new(out).read_line(&mut String::new())?; // it is ready, or it has ended
        let status = command(home)?.args(["--json", "status"]).output()?;
        let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
        let listening = status.pointer("/listening/0").and_then(serde_json::Value::as_str);
        ours.listening = listening.unwrap_or_default().to_owned();
        Ok(ours)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(home: &str) -> Result<Command, Error> {
    let binary: PathBuf = std::env::current_exe()?.with_file_name("threephone");
    if !binary.exists() {
        progress("build the daemon first: cargo build --release -p threephone-cli");
        return Err(format!("there is no {}", binary.display()).into());
    }
    let mut command = Command::new(binary);
    command.args(["--home", home]);
    Ok(command)
}
