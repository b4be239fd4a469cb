//! A node of ours with the interfaces of the network's own daemon, as tests ask it.

use std::net::SocketAddr;
use std::sync::Arc;

use threephone_node::{Node, NodeConfig};
use threephone_servers::{ServerConfig, Servers, Token};

use crate::ApiClient;

/// Both, on ports of their own.
pub struct Served {
    /// The node.
    pub node: Arc<Node>,
    servers: Servers,
}

impl Served {
    /// Starts them; the interfaces may want a token.
    pub async fn start(config: NodeConfig, token: Option<&str>) -> Self {
        let node = Arc::new(Node::start(config).await.expect("the node starts"));
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let token = token.map(|token| Token::new(token).expect("a token"));
        let config = ServerConfig { http: any, rpc: any, token, ..ServerConfig::default() };
        let servers = Servers::start(node.clone(), config).await.expect("the servers start");
        Self { node, servers }
    }

    /// Its HTTP API.
    pub fn http(&self) -> ApiClient {
        ApiClient::new(self.servers.addresses().http.expect("it is served"))
    }

    /// Its JSON-RPC API.
    pub fn rpc(&self) -> ApiClient {
        ApiClient::new(self.servers.addresses().rpc.expect("it is served"))
    }

    /// Ends both.
    pub async fn close(self) {
        self.servers.close().await;
        self.node.close().await;
    }
}
