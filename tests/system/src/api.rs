//! A client of the HTTP API that stock daemons and nodes of ours have alike.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

/// Longer than any answer takes; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where an API listens. Each request has a connection of its own.
#[derive(Debug, Clone, Copy)]
pub struct ApiClient {
    api: SocketAddr,
}

/// A message the daemon handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its sender's name for it.
    pub id: String,
    /// Its sender.
    pub source: Ipv6Addr,
    /// What it says.
    pub payload: Vec<u8>,
}

impl ApiClient {
    /// For the API at `api`.
    pub fn new(api: SocketAddr) -> Self {
        Self { api }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.api
    }

    /// Hands the daemon a message to send.
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
        match status {
            200 => {}
            204 => return Ok(None),
            _ => return Err(std::io::Error::other(format!("{status}: {answer}"))),
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        let payload = BASE64.decode(text("payload").as_bytes()).map_err(std::io::Error::other)?;
        let source = text("srcIp").parse().map_err(std::io::Error::other)?;
        Ok(Some(Received { id: text("id").to_owned(), source, payload }))
    }

    /// One HTTP/1.1 request; the status and the JSON body.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.api)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // In one piece: the competitors' servers must not differ by what a split write costs.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }
}
