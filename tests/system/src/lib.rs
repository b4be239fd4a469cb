//! Tests of the whole system against real peers. What the tests share lives here.

mod stock;

pub use stock::{Received, StockDaemon};
