//! Options of `up` about the interfaces that the network's own daemon has too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::parse::socket;

/// With less no request would get through.
fn body_limit() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1024..)
}

/// Off unless an address is given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Interfaces of the network's own daemon")]
pub(crate) struct Api {
    /// Serve its HTTP API here, e.g. 127.0.0.1:8989; port 0 takes a free one (see `status`).
    /// Other than loopback addresses need a token
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = socket)]
    pub(crate) http_api: Option<SocketAddr>,
    /// Serve its JSON-RPC API here, e.g. 127.0.0.1:8990
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = socket)]
    pub(crate) rpc_api: Option<SocketAddr>,
    /// Serve what the node counts for Prometheus here, at /metrics
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = socket)]
    pub(crate) metrics: Option<SocketAddr>,
    /// Answer only callers that send `Authorization: Bearer TOKEN`; everybody on this machine can
    /// read the command line
    #[arg(long, value_name = "TOKEN", conflicts_with = "api_token_file")]
    pub(crate) api_token: Option<String>,
    /// The same, with the token from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) api_token_file: Option<PathBuf>,
    /// Largest body of an HTTP request, at least 1024; a message takes four thirds of its size
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 20, value_parser = body_limit())]
    pub(crate) http_body_limit: usize,
    /// Largest JSON-RPC request, at least 1024
    #[arg(long, value_name = "BYTES", default_value_t = 10 << 20, value_parser = body_limit())]
    pub(crate) rpc_body_limit: usize,
}
