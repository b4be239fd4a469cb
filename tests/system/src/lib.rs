//! Tests of the whole system against real peers. What the tests share lives here.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "tests may panic and print")]

mod api;
mod stock;

pub use api::{ApiClient, Received};
pub use stock::StockDaemon;
