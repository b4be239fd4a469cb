//! The command line.

use std::net::Ipv6Addr;

use clap::{Parser, ValueEnum};

use crate::hostile::attack::Attack;

/// Measures latencies and rates, and fails when one is not what it must be.
#[derive(Debug, Parser)]
#[command(name = "threephone-bench")]
pub(crate) struct Args {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit 0 whatever the figures are
    #[arg(long)]
    pub(crate) no_check: bool,
    /// How many runs each median is of
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Measure only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// For how many seconds the idle daemons are watched
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Be a router that others may stop
    #[arg(long, hide = true)]
    pub(crate) router: bool,
    /// Be a hostile peer
    #[arg(long, hide = true, requires_all = ["at", "address"])]
    flood: Option<Attack>,
    /// Of this node
    #[arg(long, hide = true)]
    at: Option<String>,
    /// Which has this address
    #[arg(long, hide = true)]
    address: Option<Ipv6Addr>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Messages between nodes
    Bus,
    /// Messages between nodes, through the HTTP API of each
    Http,
    /// One very large message
    Bulk,
    /// Many short messages
    Messages,
    /// Messages over slow and lossy paths, simulated
    Slow,
    /// Messages through the HTTP API of each side over a slow path
    Shaped,
    /// Single lines between phones
    Chat,
    /// A full outbox between phones
    Drain,
    /// Wake-ups and memory of daemons that have nothing to do; only when it is asked for
    Idle,
    /// The time without deliveries after a router on the way was stopped
    Silent,
    /// What a flooding peer costs others, and the memory it gets
    Hostile,
    /// Routes that one peer announces
    Routes,
}

impl Args {
    /// What this process is to do to whom, when it is a hostile peer.
    pub(crate) fn attack(&self) -> Option<(Attack, &str, Ipv6Addr)> {
        Some((self.flood?, self.at.as_deref()?, self.address?))
    }

    /// Whether a part is asked for; without a choice all are that do not take minutes.
    pub(crate) fn takes(&self, part: Part) -> bool {
        (self.only.is_empty() && part != Part::Idle) || self.only.contains(&part)
    }
}
