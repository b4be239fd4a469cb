//! The program as its users meet it: the real binary, its output, its exit codes.

// A test that cannot go on should stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod api;
mod bus;
mod chat;
mod daemon;
mod damage;
mod demo;
mod home;
mod mail;
mod private;
mod secrecy;
mod support;
mod usage;
