//! The ways in which a node of ours and a stock daemon can be linked, so that a test is written once
//! and run over each.

use threephone_node::{Endpoint, Node, NodeConfig, PeerAddress, PrivateNetwork, SecretKey};

use crate::{StockConfig, StockDaemon};

/// A kind of link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Plain TCP.
    Tcp,
    /// QUIC.
    Quic,
    /// TLS with the key of a private network.
    Private,
}

/// Name and key of a private network.
#[derive(Clone)]
pub struct Secrets {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Those of the tests' own network.
    pub fn of_the_tests() -> Self {
        Self { name: "threephone tests".to_owned(), key: *b"a key that only these tests know" }
    }
}

impl Link {
    /// What a node of ours is started with that listens for such links and dials `peers`. Its key
    /// is made of `secret`.
    pub fn config(self, secret: u8, peers: &[String]) -> NodeConfig {
        let mut config = NodeConfig::new(SecretKey::from_bytes([secret; 32]));
        let listen = match self {
            Self::Tcp => "tcp://127.0.0.1:0",
            Self::Quic => "quic://127.0.0.1:0",
            Self::Private => "tls://127.0.0.1:0",
        };
        config.listen = vec![listen.parse::<Endpoint>().expect("an endpoint")];
        config.peers =
            peers.iter().map(|peer| peer.parse::<PeerAddress>().expect("a peer")).collect();
        config.private_network = self.secrets().map(|secrets| {
            PrivateNetwork::new(&secrets.name, secrets.key)
                .expect("the name has a length that does")
        });
        config
    }

    /// Starts such a node.
    pub async fn node(self, secret: u8, peers: &[String]) -> Node {
        Node::start(self.config(secret, peers)).await.expect("the node starts")
    }

    /// Starts a stock daemon that listens for such links and dials `peers`; none, having said so,
    /// where there is no such daemon.
    pub fn stock(self, peers: &[String]) -> Option<StockDaemon> {
        let private = self.secrets();
        let peers = peers.to_vec();
        StockDaemon::start_with(StockConfig { peers, private, ..StockConfig::default() })
    }

    /// Starts a stock daemon that dials a node of ours, with the text of a topic file if there is
    /// one; none, having said so, where there is no such daemon.
    pub fn stock_dialling(self, node: &Node, topics: Option<String>) -> Option<StockDaemon> {
        let (peers, private) = (vec![self.to_ours(node)], self.secrets());
        StockDaemon::start_with(StockConfig { peers, private, topics, ..StockConfig::default() })
    }

    /// A node of ours, and a stock daemon that dials it; none, having said so, where there is no
    /// such daemon.
    pub async fn pair(self, secret: u8) -> Option<(Node, StockDaemon)> {
        let node = self.node(secret, &[]).await;
        match self.stock_dialling(&node, None) {
            Some(stock) => Some((node, stock)),
            None => {
                node.close().await;
                None
            }
        }
    }

    /// Where a stock daemon takes such links.
    pub fn to_stock(self, stock: &StockDaemon) -> String {
        match self {
            Self::Tcp => stock.endpoint(),
            Self::Quic => stock.quic_endpoint(),
            Self::Private => stock.endpoint().replace("tcp://", "tls://"),
        }
    }

    /// Where a node of ours takes them.
    pub fn to_ours(self, node: &Node) -> String {
        node.listening().first().expect("it listens").to_string()
    }

    /// How stock daemons call the protocol.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Private => "tls",
        }
    }

    fn secrets(self) -> Option<Secrets> {
        (self == Self::Private).then(Secrets::of_the_tests)
    }
}
