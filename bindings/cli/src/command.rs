//! One module per group of commands; this one picks which.

mod bus;
mod chat;
mod init;
mod mail;
mod peer;
mod power;
mod status;
mod up;

use crate::args::{Cli, Command, Global};
use crate::error::CliError;
use crate::print::Format;
use crate::{demo, log};

/// What every command needs to know.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) format: Format,
}

/// Runs one command to its end.
pub(crate) fn run(cli: Cli) -> Result<(), CliError> {
    log::start(if matches!(cli.command, Command::Up(_)) { "info" } else { "warn" });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CliError::failed)?;
    let format = if cli.global.json { Format::Json } else { Format::Text };
    let context = Context { global: cli.global, format };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Init { name } => init::run(&context, name).await,
            Command::Up(options) => up::run(&context, options).await,
            Command::Status { metrics } => status::run(&context, metrics).await,
            Command::Power { set } => power::run(&context, set).await,
            Command::Peer(command) => peer::run(&context, command).await,
            Command::Chat(command) => chat::run(&context, command).await,
            Command::Mail(command) => mail::run(&context, command).await,
            Command::Bus(command) => bus::run(&context, command).await,
            Command::Demo => demo::run(&context).await,
        }
    });
    // A read of standard input that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    outcome
}
