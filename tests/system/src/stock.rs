//! A stock Mycelium daemon as a child process, driven through its HTTP API.
//!
//! Only where the variable `MYCELIUM_BIN` names one; the project builds none.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{ApiClient, Received};

/// How long the daemon gets to open its API after it was started.
const START: Duration = Duration::from_secs(20);

/// A running daemon; killed when dropped.
pub struct StockDaemon {
    child: Child,
    api: ApiClient,
    tcp: SocketAddr,
    quic: SocketAddr,
    address: Ipv6Addr,
    _folder: tempfile::TempDir,
}

impl StockDaemon {
    /// Starts the daemon named by `MYCELIUM_BIN`, without TUN and discovery; none, having
    /// said so, where the variable is not set.
    pub fn start(peers: &[String]) -> Option<Self> {
        let Some(binary) = std::env::var_os("MYCELIUM_BIN") else {
            println!("SKIPPED: MYCELIUM_BIN names no stock daemon");
            return None;
        };
        Some(Self::run(Path::new(&binary), peers).expect("the stock daemon starts"))
    }

    /// As [`StockDaemon::start`], without a word.
    pub fn start_quietly(peers: &[String]) -> Option<Self> {
        let binary = std::env::var_os("MYCELIUM_BIN")?;
        Some(Self::run(Path::new(&binary), peers).expect("the stock daemon starts"))
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn run(binary: &Path, peers: &[String]) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (tcp, api, rpc) = (free_port()?, free_port()?, free_port()?);
        let quic = UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut command = Command::new(binary);
        command
            .args(["--no-tun", "--disable-peer-discovery", "--silent"])
            .args(["--tcp-listen-port", &tcp.port().to_string()])
            .args(["--quic-listen-port", &quic.port().to_string()])
            .args(["--api-addr", &api.to_string(), "--jsonrpc-addr", &rpc.to_string()])
            .arg("--key-file")
            .arg(folder.path().join("priv_key.bin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !peers.is_empty() {
            command.arg("--peers").args(peers);
        }
        let child = command.spawn()?;
        let mut daemon = Self {
            child,
            api: ApiClient::new(api),
            tcp,
            quic,
            address: Ipv6Addr::UNSPECIFIED,
            _folder: folder,
        };
        daemon.address = daemon.wait_for_address()?;
        Ok(daemon)
    }

    /// Where it takes links.
    pub fn endpoint(&self) -> String {
        format!("tcp://{}", self.tcp)
    }

    /// The same over QUIC.
    pub fn quic_endpoint(&self) -> String {
        format!("quic://{}", self.quic)
    }

    /// Its overlay address.
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// Its HTTP API.
    pub fn api(&self) -> ApiClient {
        self.api
    }

    /// Hands it a message to send.
    pub fn send(&self, to: Ipv6Addr, topic: &[u8], payload: &[u8]) -> std::io::Result<String> {
        self.api.send(to, topic, payload)
    }

    /// Takes the next message of a topic, waiting up to `timeout`.
    pub fn receive(&self, topic: &[u8], timeout: Duration) -> std::io::Result<Option<Received>> {
        self.api.receive(topic, timeout)
    }

    fn wait_for_address(&self) -> std::io::Result<Ipv6Addr> {
        let begun = Instant::now();
        loop {
            let answer = self.api.request("GET", "/api/v1/admin", None);
            if let Ok((200, info)) = &answer
                && let Some(address) = info.get("nodeIp").and_then(Value::as_str)
            {
                return address.parse().map_err(std::io::Error::other);
            }
            if begun.elapsed() > START {
                return Err(std::io::Error::other(format!("no API: {answer:?}")));
            }
            // The daemon tells nobody when its API is up: asking again is the only way.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for StockDaemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
