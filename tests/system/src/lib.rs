//! Tests of the whole system against real peers. What the tests share lives here.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "tests may panic and print")]

mod api;
pub mod exchange;
mod link;
#[cfg(target_os = "linux")]
mod netns;
pub mod route;
mod served;
mod stock;

pub use api::{ApiClient, Received};
pub use link::{Link, Secrets};
#[cfg(target_os = "linux")]
pub use netns::{Hosts, Killed};
pub use served::Served;
pub use stock::{StockConfig, StockDaemon, stock_binary};
