//! The program as its users meet it: the real binary, its output, its exit codes.

// A test that cannot go on should stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod bus;
mod chat;
mod daemon;
mod demo;
mod home;
mod mail;
mod secrecy;
mod support;
mod usage;
