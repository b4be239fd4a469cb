//! Two devices and more over the simulated network, with real databases.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test may fail by panicking

#[path = "delivery/disk.rs"]
mod disk;
#[path = "delivery/exchange.rs"]
mod exchange;
#[path = "delivery/limit.rs"]
mod limit;
#[path = "delivery/person.rs"]
mod person;
#[path = "delivery/version.rs"]
mod version;
