//! Nodes with servers, and a client that sends exactly what it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use threephone_node::{Node, NodeConfig, SecretKey};
use threephone_servers::{ServerConfig, Servers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node and its servers.
pub(crate) struct Host {
    pub(crate) node: Arc<Node>,
    pub(crate) servers: Servers,
}

impl Host {
    /// A node that dials `peers`, with all three servers on ports of their own.
    pub(crate) async fn start(peers: &[&Host]) -> Self {
        Self::with(peers, |_| {}).await
    }

    pub(crate) async fn with(peers: &[&Host], change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = NodeConfig::new(SecretKey::generate().unwrap());
        config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
        config.peers =
            peers.iter().flat_map(|peer| peer.node.listening().to_vec()).map(Into::into).collect();
        let node = Arc::new(Node::start(config).await.unwrap());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = ServerConfig {
            http: Some(any),
            rpc: Some(any),
            metrics: Some(any),
            ..ServerConfig::default()
        };
        change(&mut config);
        let servers = Servers::start(node.clone(), config).await.unwrap();
        Self { node, servers }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.servers.addresses().http.unwrap()
    }

    pub(crate) fn rpc(&self) -> SocketAddr {
        self.servers.addresses().rpc.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request(self.http(), "GET", &format!("/api/v1{path}"), &[], b"").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        request(self.http(), "DELETE", &format!("/api/v1{path}"), &[], b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let path = format!("/api/v1{path}");
        request(self.http(), method, &path, &[JSON], body.to_string().as_bytes()).await
    }

    /// One JSON-RPC call; its result or its error's code.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, i64> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.rpc_bytes(body.to_string().as_bytes()).await.json();
        assert_eq!(answer["jsonrpc"], "2.0");
        match answer.get("error") {
            Some(error) => Err(error["code"].as_i64().unwrap()),
            None => Ok(answer["result"].clone()),
        }
    }

    pub(crate) async fn rpc_bytes(&self, body: &[u8]) -> Answer {
        request(self.rpc(), "POST", "/", &[JSON], body).await
    }

    pub(crate) async fn close(self) {
        self.servers.close().await;
        self.node.close().await;
    }
}

pub(crate) const JSON: &str = "Content-Type: application/json";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {}", self.head, String::from_utf8_lossy(&self.body));
        self
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        head += "Host: localhost\r\n";
    }
    for header in headers {
        head += header;
        head += "\r\n";
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    raw(to, &[head.as_bytes(), body].concat()).await
}

/// Sends bytes as they are and reads until the other side has nothing more to say.
pub(crate) async fn raw(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // Whoever refuses may hang up before all is sent.
    let _ = stream.write_all(bytes).await;
    read(&mut stream).await
}

pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(split);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = body.get(4..).unwrap_or_default().to_vec();
    Answer { status, head, body }
}

/// Everything but letters and digits escaped.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
