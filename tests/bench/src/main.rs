//! Measures what the product must reach, side by side with a stock daemon, and says whether it does.
//!
//! Run by hand, in release builds: `cargo run --release -p threephone-bench`. Every figure is the
//! median of several runs; within one run the competitors take turns, so that whatever else the
//! machine does hits all of them. Nothing here is a test: figures depend on the machine.

mod args;
mod bus;
mod chat;
mod daemon;
mod figure;
mod hostile;
mod http;
#[cfg(target_os = "linux")]
mod idle;
mod messages;
mod phone;
mod report;
mod routes;
mod routes_daemons;
mod shaped;
mod silent;
mod slow;
mod stock;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Part};
use crate::report::Report;

#[global_allocator]
static ALLOCATOR: routes::Counting = routes::Counting;

/// Whatever went wrong; a benchmark only says so and ends.
type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Some((attack, at, address)) = args.attack() {
        return match hostile::attack::run(attack, at, address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if args.router {
        return match silent::be_router().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let mut report = Report::default();
    if let Err(error) = measure(&args, &mut report).await {
        progress(&format!("failed: {error}"));
        return ExitCode::FAILURE;
    }
    report.compare();
    let text = if args.json { report.json() } else { report.table() };
    // Whoever closed the pipe has seen enough.
    let _ = writeln!(std::io::stdout(), "{text}");
    let missed = report.missed();
    if args.no_check || missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    progress(&format!("not reached: {}", missed.join("; ")));
    ExitCode::FAILURE
}

async fn measure(args: &Args, report: &mut Report) -> Result<(), Error> {
    if cfg!(debug_assertions) {
        progress("this is a debug build: the figures say nothing, run it with --release");
    }
    let stock = stock::is_there();
    let compared = [Part::Bus, Part::Http, Part::Messages, Part::Silent, Part::Shaped];
    if !stock && compared.into_iter().any(|part| args.takes(part)) {
        progress("MYCELIUM_BIN names no stock daemon: only our own nodes are measured");
    }
    if args.takes(Part::Idle) {
        progress(&format!("idle daemons, all runs at once, {} s", args.seconds));
        let watched = std::time::Duration::from_secs(args.seconds.into());
        #[cfg(target_os = "linux")]
        tokio::task::block_in_place(|| idle::measure(report, args.runs, watched))?;
        #[cfg(not(target_os = "linux"))]
        return Err(format!("idle for {watched:?}: only Linux counts wake-ups").into());
    }
    if args.takes(Part::Silent) {
        progress("a silent next hop, all runs at once");
        silent::measure(report, args.runs).await?;
    }
    if args.takes(Part::Shaped) {
        progress("a slow path, all runs at once");
        shaped::measure(report, args.runs).await?;
    }
    for run in 1..=args.runs {
        if args.takes(Part::Bus) {
            progress(&format!("run {run} of {}: bus, our nodes", args.runs));
            bus::measure(report).await?;
            if stock {
                progress(&format!("run {run} of {}: bus, stock daemons", args.runs));
                bus::measure_through_stock(report).await?;
                tokio::task::block_in_place(|| stock::measure(report))?;
            }
        }
        if args.takes(Part::Http) {
            progress(&format!("run {run} of {}: bus, through HTTP", args.runs));
            http::measure(report).await?;
        }
        if args.takes(Part::Bulk) {
            progress(&format!("run {run} of {}: bus, one very large message", args.runs));
            messages::measure_bulk(report).await?;
        }
        if args.takes(Part::Messages) {
            progress(&format!("run {run} of {}: bus, many short messages", args.runs));
            messages::measure_rate(report).await?;
            if stock {
                tokio::task::block_in_place(|| stock::measure_rate(report))?;
            }
        }
        if args.takes(Part::Slow) {
            progress(&format!("run {run} of {}: bus, slow paths", args.runs));
            tokio::task::block_in_place(|| slow::measure(report, u64::from(run)))?;
        }
        if args.takes(Part::Routes) {
            progress(&format!("run {run} of {}: 100,000 routes", args.runs));
            tokio::task::block_in_place(|| routes::measure(report))?;
            tokio::task::block_in_place(|| routes_daemons::measure(report))?;
        }
        if args.takes(Part::Hostile) {
            progress(&format!("run {run} of {}: a peer that floods", args.runs));
            hostile::measure(report).await?;
        }
        if args.takes(Part::Chat) {
            progress(&format!("run {run} of {}: chat, one line at a time", args.runs));
            chat::measure_latency(report).await?;
        }
        if args.takes(Part::Drain) {
            progress(&format!("run {run} of {}: chat, a full outbox", args.runs));
            chat::measure_drain(report).await?;
        }
    }
    Ok(())
}

/// Tells whoever waits; results alone go to standard output.
fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}
