//! `up`: the node and the services, until a signal.

mod api;

use std::path::Path;
use std::sync::Arc;

use threephone::node::{PrivateNetwork, PrivateNetworkError, TopicPolicy};
use threephone::{Network, NodeOptions, Phone, PhoneOptions, Purpose, Tun};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::args::Up;
use crate::door::{home, key_source};
use crate::error::CliError;
use crate::print::{Format, print_line};
use crate::view::ReadyView;
use crate::{server, socket};

pub(super) async fn run(context: &Context, options: Up) -> Result<(), CliError> {
    // Before anything is opened: a signal that comes early must still close what was.
    let stop = stop_on_signal()?;
    let home = home(&context.global)?;
    let apis = api::configure(&options.api)?;
    let phone = tokio::select! {
        phone = open(context, &options) => Arc::new(phone?),
        () = stop.cancelled() => return Ok(()),
    };
    let served = async {
        let servers = api::start(&phone, apis).await?;
        let listener = socket::listen(&home)
            .map_err(|error| CliError::file(&home.control_socket(), &error))?;
        let server =
            tokio::spawn(server::serve(listener, phone.clone(), servers.addresses(), stop.clone()));
        let ready = ready(context, &phone);
        if ready.is_err() {
            stop.cancel();
        }
        stop.cancelled().await;
        servers.close().await;
        let ended = server.await.map_err(CliError::failed);
        let _ = std::fs::remove_file(home.control_socket());
        ready.and(ended)
    }
    .await;
    tracing::info!("closing");
    let closed = phone.close().await.map_err(CliError::from);
    served.and(closed)
}

async fn open(context: &Context, options: &Up) -> Result<Phone, CliError> {
    let private_network = private_network(options)?;
    let network = Network::Online(NodeOptions {
        listen: options.listen.clone(),
        peers: options.peer.clone(),
        discovery: !options.no_discovery,
        follow_network: true,
        tun: options.tun.clone().map_or(Tun::None, Tun::Named),
        public_peers: match (options.public_peers, options.no_public_peers) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        power: options.power.into(),
        private_network,
        topic_policy: match &options.topic_config {
            Some(file) => TopicPolicy::read(file).map_err(|error| {
                CliError::Failed(format!("--topic-config {}: {error}", file.display()))
            })?,
            None => TopicPolicy::default(),
        },
    });
    let options = PhoneOptions {
        home: home(&context.global)?,
        key: key_source(&context.global)?,
        network,
        purpose: Purpose::Daemon,
    };
    crate::door::open_in_turn(options).await
}

/// The network of one's own, if there is one; refuses peers that it, or its absence, cannot have.
fn private_network(options: &Up) -> Result<Option<PrivateNetwork>, CliError> {
    let network = match (&options.network_name, &options.network_key_file) {
        (Some(name), Some(file)) => Some(read_network(name, file)?),
        _ => None,
    };
    let (scheme, reason) = match network {
        Some(_) => ("quic://", "there is no QUIC in a private network; use tcp:// or tls://"),
        None => (
            "tls://",
            "tls:// is for private networks and needs --network-name NAME and \
             --network-key-file FILE; or use tcp://",
        ),
    };
    let refused = |what: String| CliError::Usage(format!("{what}: {reason}"));
    let is_other = |text: String| text.starts_with(scheme);
    for listen in &options.listen {
        if is_other(listen.to_string()) {
            return Err(refused(format!("--listen {listen}")));
        }
    }
    for peer in &options.peer {
        if peer.places().iter().all(|place| is_other(place.to_string())) {
            return Err(refused(format!("--peer {peer}")));
        }
    }
    Ok(network)
}

fn read_network(name: &str, file: &Path) -> Result<PrivateNetwork, CliError> {
    PrivateNetwork::from_file(name, file).map_err(|error| {
        let option = match error {
            PrivateNetworkError::Name(_) | PrivateNetworkError::Nul => {
                return CliError::Usage(format!("--network-name: {error}"));
            }
            _ => format!("--network-key-file {}", file.display()),
        };
        CliError::Usage(format!("{option}: {error}"))
    })
}

/// The one line that says that listener and control socket accept.
fn ready(context: &Context, phone: &Phone) -> Result<(), CliError> {
    let (address, public_key) = (phone.address().to_string(), phone.public_key().to_string());
    match context.format {
        Format::Text => print_line(&format!("ready address={address} public_key={public_key}")),
        Format::Json => context.format.print(&ReadyView { address, public_key }, |_| String::new()),
    }
}

/// Cancelled by the first SIGINT or SIGTERM; a second one ends the process at once.
fn stop_on_signal() -> Result<CancellationToken, CliError> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::failed)?;
    tokio::spawn({
        let stop = stop.clone();
        async move {
            for count in 0.. {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                stop.cancel();
                if count > 0 {
                    std::process::exit(1);
                }
            }
        }
    });
    Ok(stop)
}
