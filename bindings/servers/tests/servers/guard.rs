//! Who is let in.

use std::sync::Arc;

use serde_json::Value;
use threephone_node::{Node, NodeConfig, SecretKey};
use threephone_servers::{ServerConfig, ServerError, Servers, Token};

use crate::support::{Host, JSON, request};

const TOKEN: &str = "correct-horse-battery-staple";
const INFO: &str = "/api/v1/admin";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_are_turned_away() {
    let host = Host::start(&[]).await;
    let get = async |headers: &[&str]| request(host.http(), "GET", INFO, headers, b"").await.status;
    for page in [
        &["Origin: https://evil.example"][..],
        &["Origin: null"],
        &["Origin: http://127.0.0.1:8989"],
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-origin"],
        // DNS rebinding: the name of the page's own server, made to mean this machine.
        &["Host: evil.example"],
        &["Host: evil.example:8989"],
        &["Host: "],
    ] {
        assert_eq!(get(page).await, 403, "{page:?}");
    }
    for person in [
        &["Host: 127.0.0.1:8989"][..],
        &["Host: [::1]:8989"],
        &["Host: localhost"],
        &["Sec-Fetch-Site: none"],
    ] {
        assert_eq!(get(person).await, 200, "{person:?}");
    }
    let absolute = request(host.http(), "GET", "http://evil.example/api/v1/admin", &[], b"").await;
    assert_eq!(absolute.status, 403);
    let preflight = ["Access-Control-Request-Method: POST", "Origin: https://evil.example"];
    let answer = request(host.http(), "OPTIONS", INFO, &preflight, b"").await.expect(403);
    assert!(!answer.head.to_ascii_lowercase().contains("access-control"), "{}", answer.head);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_nothing_is_told_without_it() {
    let host = Host::with(&[], |config| config.token = Some(Token::new(TOKEN).unwrap())).await;
    let addresses = host.servers.addresses();
    let right = format!("Authorization: Bearer {TOKEN}");
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"getInfo"}"#;
    for (server, method, path, body) in [
        (addresses.http, "GET", INFO, &b""[..]),
        (addresses.rpc, "POST", "/", body),
        (addresses.metrics, "GET", "/metrics", b""),
    ] {
        let server = server.unwrap();
        for wrong in [
            "X: y",
            "Authorization: Bearer",
            "Authorization: Bearer correct-horse-battery-stapl",
            "Authorization: Basic eA==",
        ] {
            let answer = request(server, method, path, &[wrong, JSON], body).await.expect(401);
            assert!(answer.head.contains("www-authenticate: Bearer"), "{}", answer.head);
        }
        request(server, method, path, &[&right, JSON], body).await.expect(200);
        // Who has the token need not come from here.
        request(server, method, path, &[&right, JSON, "Host: node.lan"], body).await.expect(200);
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_listened_to_only_with_a_token() {
    let node =
        Arc::new(Node::start(NodeConfig::new(SecretKey::generate().unwrap())).await.unwrap());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let config =
            ServerConfig { rpc: Some(address.parse().unwrap()), ..ServerConfig::default() };
        let error = Servers::start(node.clone(), config).await.unwrap_err();
        assert!(matches!(error, ServerError::NotLoopback(_)), "{address}: {error}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _keeps = std::net::TcpListener::bind(taken);
    let config = ServerConfig {
        http: Some("0.0.0.0:0".parse().unwrap()),
        token: Some(Token::new(TOKEN).unwrap()),
        ..ServerConfig::default()
    };
    let servers = Servers::start(node.clone(), config).await.unwrap();
    let port = servers.addresses().http.unwrap().port();
    let here = ([127, 0, 0, 1], port).into();
    request(here, "GET", INFO, &[], b"").await.expect(401);
    servers.close().await;
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_listens_unless_asked_to_and_a_taken_port_is_named() {
    let host = Host::start(&[]).await;
    let none = Servers::start(host.node.clone(), ServerConfig::default()).await.unwrap();
    assert_eq!(none.addresses(), threephone_servers::Addresses::default());
    none.close().await;
    let config = ServerConfig { rpc: Some(host.http()), ..ServerConfig::default() };
    let error = Servers::start(host.node.clone(), config).await.unwrap_err();
    assert!(error.to_string().contains(&host.http().to_string()), "{error}");
    host.call("getInfo", Value::Null).await.unwrap();
    host.close().await;
}
