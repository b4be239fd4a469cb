//! The servers over real sockets: what they answer, and what they do with callers who mean no good.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod guard;
mod hostile;
mod http;
mod metrics;
mod rpc;
mod support;
mod websocket;
