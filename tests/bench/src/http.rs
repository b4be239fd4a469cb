//! Short messages through the HTTP API of each side, ours and the stock daemons' in turn: `POST
//! /messages` on one, and a `GET /messages?timeout=` on the other that has been waiting.
//!
//! The clock starts at the `POST` and stops when the answer to the `GET` is in. The client is the
//! same for both. Our nodes and their servers run in this process, the stock daemons in their own.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use threephone_node::{Node, NodeConfig, PeerAddress, SecretKey};
use threephone_servers::{ServerConfig, Servers};
use threephone_system_tests::{ApiClient, StockDaemon};

use crate::Error;
use crate::bus::SHORT;
use crate::figure::{API, API_OVER_QUIC, API_OVER_QUIC_STOCK, API_STOCK, Figure};
use crate::report::{Report, median};
use crate::stock;

/// Messages in one run: a tenth of a second each at the stock daemons.
const MESSAGES: usize = 30;
const TOPIC: &[u8] = b"bench";
/// Time for a request to reach the daemon and wait there, before the clock starts.
const SETTLE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// One run over both transports.
pub(crate) async fn measure(report: &mut Report) -> Result<(), Error> {
    for (listen, figure) in [("tcp://127.0.0.1:0", API), ("quic://127.0.0.1:0", API_OVER_QUIC)] {
        let ben = Host::start(listen, Vec::new()).await?;
        let way_in = ben.node.listening().iter().copied().map(PeerAddress::from).collect();
        let ann = Host::start(listen, way_in).await?;
        let (from, to) = (ann.api()?, ben.api()?);
        let address = ben.node.address();
        tokio::task::block_in_place(|| latency(report, figure, from, (to, address)))?;
        ann.close().await;
        ben.close().await;
    }
    if stock::is_there() {
        tokio::task::block_in_place(|| measure_stock(report))?;
    }
    Ok(())
}

fn measure_stock(report: &mut Report) -> Result<(), Error> {
    let start = |peers: &[String]| StockDaemon::start(peers).ok_or("there is no stock daemon");
    let ben = start(&[])?;
    let over = [(ben.endpoint(), API_STOCK), (ben.quic_endpoint(), API_OVER_QUIC_STOCK)];
    for (endpoint, figure) in over {
        let ann = start(&[endpoint])?;
        latency(report, figure, ann.api(), (ben.api(), ben.address()))?;
    }
    Ok(())
}

fn latency(
    report: &mut Report,
    figure: Figure,
    from: ApiClient,
    to: (ApiClient, Ipv6Addr),
) -> Result<(), Error> {
    // The first one waits for the route.
    one(from, to)?;
    let took = (0..MESSAGES).map(|_| one(from, to)).collect::<Result<Vec<_>, _>>()?;
    report.add(figure, median(&took));
    Ok(())
}

/// Milliseconds for one message.
fn one(from: ApiClient, (to, address): (ApiClient, Ipv6Addr)) -> Result<f64, Error> {
    let payload = [0x5a; SHORT];
    std::thread::scope(|scope| {
        let receiving =
            scope.spawn(|| to.receive(TOPIC, PATIENCE).map(|message| (message, Instant::now())));
        std::thread::sleep(SETTLE);
        let begun = Instant::now();
        from.send(address, TOPIC, &payload)?;
        let (message, end) = receiving.join().map_err(|_| "the receiver panicked")??;
        match message {
            Some(message) if message.payload == payload => {
                Ok(end.duration_since(begun).as_secs_f64() * 1e3)
            }
            Some(_) => Err("another message arrived".into()),
            None => Err("a message did not arrive".into()),
        }
    })
}

/// A node of ours with its HTTP API.
pub(crate) struct Host {
    node: Arc<Node>,
    servers: Servers,
}

impl Host {
    pub(crate) async fn start(listen: &str, peers: Vec<PeerAddress>) -> Result<Self, Error> {
        let mut config = NodeConfig::new(SecretKey::generate()?);
        config.listen = vec![listen.parse()?];
        config.peers = peers;
        let node = Arc::new(Node::start(config).await?);
        let http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let config = ServerConfig { http, ..ServerConfig::default() };
        let servers = Servers::start(node.clone(), config).await?;
        Ok(Self { node, servers })
    }

    pub(crate) fn address(&self) -> Ipv6Addr {
        self.node.address()
    }

    /// Where it takes links.
    pub(crate) fn socket(&self) -> Result<SocketAddr, Error> {
        let endpoint = self.node.listening().first().ok_or("it does not listen")?;
        Ok(endpoint.to_string().trim_start_matches("tcp://").parse()?)
    }

    pub(crate) fn api(&self) -> Result<ApiClient, Error> {
        Ok(ApiClient::new(self.servers.addresses().http.ok_or("it was asked for")?))
    }

    pub(crate) async fn close(self) {
        self.servers.close().await;
        self.node.close().await;
    }
}
