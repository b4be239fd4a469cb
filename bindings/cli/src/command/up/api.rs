//! The interfaces of the network's own daemon, beside a running phone.

use threephone::{Phone, TOPIC};
use threephone_servers::{ServerConfig, Servers, Token};

use crate::args::Api;
use crate::error::CliError;
use crate::print::remark;

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
    config.limits.http_body = options.http_body_limit;
    config.limits.rpc_body = options.rpc_body_limit;
    Ok(config)
}

fn token(options: &Api) -> Result<Option<Token>, CliError> {
    let text = match (&options.api_token, &options.api_token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => {
            let text =
                std::fs::read_to_string(file).map_err(|error| CliError::file(file, &error))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, None) => return Ok(None),
    };
    Token::new(&text).map(Some).map_err(|error| CliError::Usage(error.to_string()))
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
