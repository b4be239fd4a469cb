//! Tests of the whole system against real peers. What the tests share lives here.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "tests may panic and print")]

mod stock;

pub use stock::{Received, StockDaemon};
