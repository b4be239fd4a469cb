//! A stock Mycelium daemon as a child process, driven through its HTTP API.
//!
//! Only where the variable `MYCELIUM_BIN` names one; the project builds none.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};

/// How long the daemon gets to open its API after it was started.
const START: Duration = Duration::from_secs(20);

/// A running daemon; killed when dropped.
pub struct StockDaemon {
    child: Child,
    api: SocketAddr,
    tcp: SocketAddr,
    address: Ipv6Addr,
    _folder: tempfile::TempDir,
}

/// A message the daemon handed out.
pub struct Received {
    /// Its sender.
    pub source: Ipv6Addr,
    /// What it says.
    pub payload: Vec<u8>,
}

impl StockDaemon {
    /// Starts the daemon named by `MYCELIUM_BIN`, without TUN, QUIC and discovery; none, having
    /// said so, where the variable is not set.
    pub fn start(peers: &[String]) -> Option<Self> {
        let Some(binary) = std::env::var_os("MYCELIUM_BIN") else {
            println!("SKIPPED: MYCELIUM_BIN names no stock daemon");
            return None;
        };
        Some(Self::run(Path::new(&binary), peers).expect("the stock daemon starts"))
    }

    fn run(binary: &Path, peers: &[String]) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (tcp, api, rpc) = (free_port()?, free_port()?, free_port()?);
        let mut command = Command::new(binary);
        command
            .args(["--no-tun", "--disable-quic", "--disable-peer-discovery", "--silent"])
            .args(["--tcp-listen-port", &tcp.port().to_string()])
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
        let mut daemon = Self { child, api, tcp, address: Ipv6Addr::UNSPECIFIED, _folder: folder };
        daemon.address = daemon.wait_for_address()?;
        Ok(daemon)
    }

    /// Where it takes links.
    pub fn endpoint(&self) -> String {
        format!("tcp://{}", self.tcp)
    }

    /// Its overlay address.
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// Hands it a message to send.
    pub fn send(&self, to: Ipv6Addr, topic: &[u8], payload: &[u8]) -> std::io::Result<String> {
        let body = json!({
            "dst": {"ip": to.to_string()},
            "topic": BASE64.encode(topic),
            "payload": BASE64.encode(payload),
        });
        let (status, answer) = self.request("POST", "/api/v1/messages", Some(&body))?;
        match (status, answer.get("id").and_then(Value::as_str)) {
            (200 | 201, Some(id)) => Ok(id.to_owned()),
            _ => Err(std::io::Error::other(format!("{status}: {answer}"))),
        }
    }

    /// Takes the next message of a topic, waiting up to `timeout`.
    pub fn receive(&self, topic: &[u8], timeout: Duration) -> std::io::Result<Option<Received>> {
        let topic =
            BASE64.encode(topic).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let path =
            format!("/api/v1/messages?peek=false&timeout={}&topic={topic}", timeout.as_secs());
        let (status, answer) = self.request("GET", &path, None)?;
        if status == 204 {
            return Ok(None);
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        let payload = BASE64.decode(text("payload").as_bytes()).map_err(std::io::Error::other)?;
        let source = text("srcIp").parse().map_err(std::io::Error::other)?;
        Ok(Some(Received { source, payload }))
    }

    fn wait_for_address(&self) -> std::io::Result<Ipv6Addr> {
        let begun = Instant::now();
        loop {
            let answer = self.request("GET", "/api/v1/admin", None);
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

    /// One HTTP/1.1 request on a connection of its own; the status and the JSON body.
    fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.api)?;
        stream.set_read_timeout(Some(Duration::from_secs(90)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
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
