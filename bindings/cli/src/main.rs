//! `threephone`: the phone as a terminal program and daemon.
//!
//! A command reaches its profile through the running daemon's control socket, or, where none runs,
//! by opening the profile itself; the same methods run either way (`door`, `method`). Results go to
//! standard output, everything else to standard error; the exit code says how it went.

mod args;
mod client;
mod command;
mod demo;
mod door;
mod error;
mod input;
mod log;
mod method;
mod print;
mod progress;
mod rpc;
mod server;
mod socket;
mod view;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match command::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(text) = error.report() {
                print::remark(&format!("threephone: {text}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
