//! JSON-RPC over a WebSocket.

use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::{Host, PATIENCE, request};

/// A client that waits where it stands; the servers have threads of their own.
struct Client(WebSocket<TcpStream>);

impl Client {
    fn connect(host: &Host) -> Self {
        let stream = TcpStream::connect(host.rpc()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}/any/path", host.rpc());
        Self(tungstenite::client(url, stream).unwrap().0)
    }

    fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    fn ask(&mut self, id: &str, method: &str, params: Value) {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&request.to_string());
    }

    fn read(&mut self) -> Value {
        serde_json::from_str(self.0.read().unwrap().to_text().unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_lets_later_ones_pass() {
    let host = Host::start(&[]).await;
    let mut client = Client::connect(&host);
    client.ask("waits", "popMessage", json!({ "timeout": 60 }));
    client.ask("passes", "getInfo", Value::Null);
    assert_eq!(client.read()["id"], "passes");
    let own = json!({ "dst": { "ip": host.node.address() }, "payload": "eA==" });
    client.ask("sends", "pushMessage", json!([own]));
    let both = [client.read(), client.read()];
    let waited = both.iter().find(|answer| answer["id"] == "waits").unwrap();
    assert_eq!(waited["result"]["payload"], "eA==");
    client.send("{");
    assert_eq!(client.read()["error"]["code"], -32700);
    client.send(r#"[{"jsonrpc":"2.0","id":1,"method":"getProxies"}]"#);
    assert_eq!(client.read(), json!([{ "jsonrpc": "2.0", "id": 1, "result": [] }]));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_may_run_wait_for_their_turn() {
    let host = Host::with(&[], |config| config.limits.calls = 2).await;
    let mut client = Client::connect(&host);
    for _ in 0..4 {
        client.ask("waits", "popMessage", json!({ "timeout": 60 }));
    }
    let own = json!({ "dst": { "ip": host.node.address() }, "payload": "eA==" });
    for _ in 0..4 {
        host.call("pushMessage", json!([own])).await.unwrap();
    }
    for _ in 0..4 {
        assert_eq!(client.read()["result"]["payload"], "eA==");
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_counts_as_a_connection_and_ends_with_the_servers() {
    let host = Host::with(&[], |config| config.limits.connections = 1).await;
    let mut client = Client::connect(&host);
    client.ask("a", "getProxies", Value::Null);
    client.read();
    let turned_away = request(host.rpc(), "POST", "/", &[], b"{}").await;
    assert_eq!(turned_away.status, 0, "there is one place, and the socket has it");
    client.ask("waits", "popMessage", json!({ "timeout": 60 }));
    let closing = host.servers.close();
    let reading = tokio::task::spawn_blocking(move || client.0.read());
    let (read, ()) = tokio::join!(reading, closing);
    // The answer that the servers are closing, or the end.
    if let Ok(Message::Text(text)) = read.unwrap() {
        assert!(text.contains("-32017"), "{text}");
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_ends_the_socket_and_nothing_else() {
    let host = Host::with(&[], |config| config.limits.rpc_body = 1000).await;
    let mut client = Client::connect(&host);
    // The end may come while it is being sent.
    let _ = client.0.send(Message::text(" ".repeat(2000)));
    assert!(matches!(client.0.read(), Err(_) | Ok(Message::Close(_))));
    host.call("getInfo", Value::Null).await.unwrap();
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_gets_no_socket() {
    let host = Host::start(&[]).await;
    let headers = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for page in ["Origin: https://evil.example", "Origin: null", "Host: evil.example"] {
        let headers = [&headers[..], &[page]].concat();
        request(host.rpc(), "GET", "/", &headers, b"").await.expect(403);
    }
    host.close().await;
}
