//! The command line.

use clap::Parser;

/// Simulates a network of leaves on a few routers and reports what it costs them.
#[derive(Debug, Clone, Parser)]
#[command(name = "threephone-lab")]
pub(crate) struct Args {
    /// Leaves, each on one router
    #[arg(long, default_value_t = 10_000)]
    pub(crate) leaves: usize,
    /// Routers, joined in a random network
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) routers: u32,
    /// Of ten nodes, so many are models of stock nodes
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=10))]
    pub(crate) stock_per_ten: u8,
    /// Virtual minutes, after two in which all come up
    #[arg(long, default_value_t = 60)]
    pub(crate) minutes: u64,
    /// Messages each leaf sends an hour, to leaves at random
    #[arg(long, default_value_t = 2)]
    pub(crate) messages: usize,
    /// Leaves that restart an hour, of a hundred
    #[arg(long, default_value_t = 10)]
    pub(crate) restarts: usize,
    /// What everything follows from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
