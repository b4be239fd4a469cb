//! A stock Mycelium daemon as a child process, driven through its HTTP API.
//!
//! Only where the variable `MYCELIUM_BIN` names one; the project builds none. Private networks
//! need the build that has them: `MYCELIUM_PRIVATE_BIN`, or `MYCELIUM_BIN` where that is it.

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{ApiClient, Received, Secrets};

/// How long the daemon gets to open its API after it was started.
const START: Duration = Duration::from_secs(20);

/// How a daemon is started.
#[derive(Debug, Clone, Default)]
pub struct StockConfig {
    /// Whom it dials.
    pub peers: Vec<String>,
    /// Name and key of the private network that it belongs to.
    pub private: Option<Secrets>,
    /// The text of its topic file.
    pub topics: Option<String>,
    /// Whether it looks for peers on its networks.
    pub discovery: bool,
}

/// A daemon that runs, or has been stopped to be started again; killed when dropped.
pub struct StockDaemon {
    child: Option<Child>,
    binary: OsString,
    config: StockConfig,
    api: ApiClient,
    rpc: SocketAddr,
    tcp: SocketAddr,
    quic: SocketAddr,
    address: Ipv6Addr,
    folder: tempfile::TempDir,
}

impl StockDaemon {
    /// Starts the daemon named by `MYCELIUM_BIN`, without TUN and discovery; none, having
    /// said so, where the variable is not set.
    pub fn start(peers: &[String]) -> Option<Self> {
        Self::start_with(StockConfig { peers: peers.to_vec(), ..StockConfig::default() })
    }

    /// As [`StockDaemon::start`], without a word.
    pub fn start_quietly(peers: &[String]) -> Option<Self> {
        let config = StockConfig { peers: peers.to_vec(), ..StockConfig::default() };
        let binary = std::env::var_os("MYCELIUM_BIN")?;
        Some(Self::run(binary, config).expect("the stock daemon starts"))
    }

    /// As [`StockDaemon::start`], as told.
    pub fn start_with(config: StockConfig) -> Option<Self> {
        let binary = match &config.private {
            None => stock_binary(),
            Some(_) => private_binary(),
        }?;
        Some(Self::run(binary, config).expect("the stock daemon starts"))
    }

    fn run(binary: OsString, config: StockConfig) -> std::io::Result<Self> {
        let (tcp, api, rpc) = (free_port()?, free_port()?, free_port()?);
        let quic = UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut daemon = Self {
            child: None,
            binary,
            config,
            api: ApiClient::new(api),
            rpc,
            tcp,
            quic,
            address: Ipv6Addr::UNSPECIFIED,
            folder: tempfile::tempdir()?,
        };
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Kills it; who was connected sees the connection end, over QUIC much later.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it once more after [`StockDaemon::stop`], with the same key and ports.
    pub fn start_again(&mut self) -> std::io::Result<()> {
        let mut command = Command::new(&self.binary);
        command
            .args(["--no-tun", "--silent"])
            .args(["--tcp-listen-port", &self.tcp.port().to_string()])
            .args(["--quic-listen-port", &self.quic.port().to_string()])
            .args(["--api-addr", &self.api.address().to_string()])
            .args(["--jsonrpc-addr", &self.rpc.to_string()])
            .arg("--key-file")
            .arg(self.folder.path().join("priv_key.bin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !self.config.discovery {
            command.arg("--disable-peer-discovery");
        }
        if let Some(network) = &self.config.private {
            command.args(["--network-name", &network.name]);
            command.arg("--network-key-file").arg(self.file("network.key", &network.key)?);
        }
        if let Some(topics) = &self.config.topics {
            command.arg("--topic-config").arg(self.file("topics.toml", topics.as_bytes())?);
        }
        if !self.config.peers.is_empty() {
            command.arg("--peers").args(&self.config.peers);
        }
        self.child = Some(command.spawn()?);
        self.address = self.wait_for_address()?;
        Ok(())
    }

    /// The process; 0 while it is stopped.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
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

    /// Where its JSON-RPC API listens.
    pub fn rpc(&self) -> SocketAddr {
        self.rpc
    }

    /// Hands it a message to send.
    pub fn send(&self, to: Ipv6Addr, topic: &[u8], payload: &[u8]) -> std::io::Result<String> {
        self.api.send(to, topic, payload)
    }

    /// Takes the next message of a topic, waiting up to `timeout`.
    pub fn receive(&self, topic: &[u8], timeout: Duration) -> std::io::Result<Option<Received>> {
        self.api.receive(topic, timeout)
    }

    fn file(&self, name: &str, content: &[u8]) -> std::io::Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path)
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
        self.stop();
    }
}

/// The stock daemon; none, having said so, where there is none.
pub fn stock_binary() -> Option<OsString> {
    let binary = std::env::var_os("MYCELIUM_BIN");
    if binary.is_none() {
        println!("SKIPPED: MYCELIUM_BIN names no stock daemon");
    }
    binary
}

/// One that knows private networks.
fn private_binary() -> Option<OsString> {
    if let Some(binary) = std::env::var_os("MYCELIUM_PRIVATE_BIN") {
        return Some(binary);
    }
    let binary = stock_binary()?;
    let help = Command::new(&binary).arg("--help").output().ok()?;
    if String::from_utf8_lossy(&help.stdout).contains("--network-name") {
        return Some(binary);
    }
    println!(
        "SKIPPED: MYCELIUM_BIN knows no private networks, and MYCELIUM_PRIVATE_BIN names no \
         stock daemon that does"
    );
    None
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
