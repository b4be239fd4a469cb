//! The interfaces of the network's own daemon, beside a running phone.

use threephone::{Phone, TOPIC};
use threephone_servers::{ServerConfig, ServerError, Servers, Token};

use crate::args::Api;
use crate::error::CliError;
use crate::input::{self, Limit};
use crate::print::remark;

/// A header cannot be longer than that by much.
const TOKEN: Limit = Limit { bytes: 64 * 1024, of: "the file of a token" };

/// What is to be served, before anything is opened: a bad token stops the start.
pub(super) fn configure(options: &Api) -> Result<ServerConfig, CliError> {
    let mut config = ServerConfig {
        http: options.http_api,
        rpc: options.rpc_api,
        metrics: options.metrics,
        token: token(options)?,
        reserved_topics: vec![TOPIC.into()],
        ..ServerConfig::default()
    };
    for (option, address) in [
        ("--http-api", options.http_api),
        ("--rpc-api", options.rpc_api),
        ("--metrics", options.metrics),
    ] {
        let Some(address) = address else { continue };
        if config.token.is_none() && !address.ip().to_canonical().is_loopback() {
            let error = ServerError::NotLoopback(address);
            return Err(CliError::Usage(format!(
                "{option} {error}; a token is given with --api-token-file FILE"
            )));
        }
    }
    config.limits.http_body = options.http_body_limit;
    config.limits.rpc_body = options.rpc_body_limit;
    Ok(config)
}

fn token(options: &Api) -> Result<Option<Token>, CliError> {
    let (text, given) = match (&options.api_token, &options.api_token_file) {
        (Some(token), _) => (token.clone(), "--api-token".to_owned()),
        (None, Some(file)) => {
            let bytes = input::file("--api-token-file", file, TOKEN)?;
            // What is no text is no token either, and is told so.
            let line = String::from_utf8_lossy(input::first_line(&bytes)).into_owned();
            (line, format!("--api-token-file {}", file.display()))
        }
        (None, None) => return Ok(None),
    };
    Token::new(&text).map(Some).map_err(|error| CliError::Usage(format!("{given}: {error}")))
}

/// Starts them and tells where they are.
pub(super) async fn start(phone: &Phone, config: ServerConfig) -> Result<Servers, CliError> {
    let servers = Servers::start(phone.node()?.clone(), config).await.map_err(CliError::failed)?;
    let addresses = servers.addresses();
    if let Some(address) = addresses.http {
        remark(&format!("HTTP API on http://{address}/api/v1"));
    }
    if let Some(address) = addresses.rpc {
        remark(&format!("JSON-RPC API on http://{address}"));
    }
    if let Some(address) = addresses.metrics {
        remark(&format!("metrics on http://{address}/metrics"));
    }
    Ok(servers)
}
