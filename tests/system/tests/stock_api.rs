//! Our API beside the stock daemon's: the same requests to both, and what comes back compared in
//! status, error number, and names and types of members.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::time::Instant;

use serde_json::{Value, json};
use threephone_node::TopicPolicy;
use threephone_system_tests::exchange::{PATIENCE, blocking, ours_to_stock, stock_to_ours};
use threephone_system_tests::{ApiClient, Link, Served, StockDaemon};

/// A node of ours with its servers, linked to a stock daemon.
struct Two {
    ours: Served,
    stock: StockDaemon,
}

impl Two {
    async fn start(secret: u8) -> Option<Self> {
        let stock = Link::Tcp.stock(&[])?;
        let ours = Served::start(Link::Tcp.config(secret, &[stock.endpoint()]), None).await;
        ours_to_stock(&ours.node, &stock, 1300).await;
        stock_to_ours(&stock, &ours.node, 1300).await;
        Some(Self { ours, stock })
    }

    fn http(&self) -> [ApiClient; 2] {
        [self.stock.api(), self.ours.http()]
    }

    fn rpc(&self) -> [ApiClient; 2] {
        [ApiClient::new(self.stock.rpc()), self.ours.rpc()]
    }

    /// The overlay address of the other side, from each.
    fn others(&self) -> [String; 2] {
        [self.ours.node.address(), self.stock.address()].map(|address| address.to_string())
    }

    async fn close(self) {
        self.ours.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_http_request_is_answered_as_by_the_stock_daemon() {
    let Some(two) = Two::start(71).await else { return };
    let others = two.others();
    let own: String = "/api/v1".into();
    let long = "A".repeat(344); // 258 bytes
    let script: &[(&str, &str, Option<Value>)] = &[
        ("GET", "/admin", None),
        ("GET", "/admin/peers", None),
        ("POST", "/admin/peers", Some(json!({ "endpoint": "tcp://127.0.0.1:9" }))),
        ("POST", "/admin/peers", Some(json!({ "endpoint": "tcp://127.0.0.1:9" }))),
        ("POST", "/admin/peers", Some(json!({ "endpoint": "carrier pigeon" }))),
        ("DELETE", "/admin/peers/tcp%3A%2F%2F127.0.0.1%3A9", None),
        ("DELETE", "/admin/peers/tcp%3A%2F%2F127.0.0.1%3A9", None),
        ("DELETE", "/admin/peers/pigeon", None),
        ("GET", "/admin/routes/selected", None),
        ("GET", "/admin/routes/fallback", None),
        ("GET", "/admin/stats/packets", None),
        ("GET", "/admin/proxy", None),
        ("DELETE", "/admin/proxy", None),
        ("DELETE", "/admin/proxy/probe", None),
        ("GET", "/pubkey/{other}", None),
        ("GET", "/pubkey/4ff::1", None),
        ("GET", "/pubkey/nobody", None),
        ("GET", "/messages", None),
        ("GET", "/messages?peek=true&timeout=0&topic=aGk%3D", None),
        ("POST", "/messages", Some(json!({ "dst": { "ip": "4ff::1" }, "payload": "" }))),
        ("GET", "/admin/routes/queried", None),
        (
            "POST",
            "/messages?reply_timeout=0",
            Some(json!({ "dst": { "ip": "4ff::1" }, "topic": "aGk=", "payload": "aGk=" })),
        ),
        ("POST", "/messages", Some(json!({ "dst": { "pk": "{key}" }, "payload": "aGk=" }))),
        (
            "POST",
            "/messages",
            Some(json!({ "dst": { "ip": "4ff::1" }, "topic": long, "payload": "" })),
        ),
        ("POST", "/messages", Some(json!({ "dst": { "ip": "4ff::1" } }))),
        (
            "POST",
            "/messages/reply/0011223344556677",
            Some(json!({ "dst": { "ip": "4ff::1" }, "payload": "" })),
        ),
        ("GET", "/messages/status/0000000000000000", None),
        ("GET", "/messages/topics/default", None),
        ("PUT", "/messages/topics/default", Some(json!({ "accept": false }))),
        ("GET", "/messages/topics/default", None),
        ("GET", "/messages/topics", None),
        ("POST", "/messages/topics", Some(json!([116, 101]))),
        ("GET", "/messages/topics", None),
        ("GET", "/messages/topics/dGU%3D/sources", None),
        ("GET", "/messages/topics/b3RoZXI%3D/sources", None),
        ("GET", "/messages/topics/%21/sources", None),
        ("POST", "/messages/topics/dGU%3D/sources", Some(json!({ "subnet": "400:1::/32" }))),
        ("POST", "/messages/topics/dGU%3D/sources", Some(json!({ "subnet": "nowhere" }))),
        ("GET", "/messages/topics/dGU%3D/sources", None),
        ("DELETE", "/messages/topics/dGU%3D/sources/400%3A1%3A%3A%2F32", None),
        ("DELETE", "/messages/topics/dGU%3D/sources/nowhere", None),
        ("GET", "/messages/topics/dGU%3D/forward", None),
        ("PUT", "/messages/topics/dGU%3D/forward", Some(json!({ "socketPath": "/none.sock" }))),
        ("GET", "/messages/topics/dGU%3D/forward", None),
        ("DELETE", "/messages/topics/dGU%3D/forward", None),
        ("DELETE", "/messages/topics/dGU%3D", None),
        ("DELETE", "/messages/topics/%21", None),
        ("GET", "/nothing", None),
    ];
    for (method, path, body) in script {
        let mut answers = Vec::new();
        for (api, other) in two.http().into_iter().zip(&others) {
            let path = format!("{own}{path}").replace("{other}", other);
            let key = two.ours.node.public_key().to_string();
            let body = body.as_ref().map(|body| body.to_string().replace("{key}", &key));
            let body = body.map(|body| serde_json::from_str(&body).unwrap());
            answers.push(blocking(|| api.request(method, &path, body.as_ref())).unwrap());
        }
        compare(&format!("{method} {path}"), &answers[0], &answers[1]);
    }
    states_of_messages(&two).await;
    two.close().await;
}

/// A message that waits for a route, and one that was taken.
async fn states_of_messages(two: &Two) {
    let status = |api: ApiClient, id: &Value| {
        let path = format!("/api/v1/messages/status/{}", id.as_str().unwrap());
        blocking(|| api.request("GET", &path, None)).unwrap()
    };
    let send = |api: ApiClient, to: &str| {
        let body = json!({ "dst": { "ip": to }, "topic": "c3RhdGU=", "payload": "aGk=" });
        let sent = blocking(|| api.request("POST", "/api/v1/messages", Some(&body))).unwrap();
        assert_eq!(sent.0, 201);
        sent.1["id"].clone()
    };
    let [stock, ours] = two.http().map(|api| status(api, &send(api, "4ff::2")));
    compare("a message without a route", &stock, &ours);
    assert_eq!((&stock.1["state"], &ours.1["state"]), (&json!("pending"), &json!("pending")));
    two.ours.node.set_topic_policy(TopicPolicy::default()).await;
    let allow = json!({ "accept": true });
    let path = "/api/v1/messages/topics/default";
    let allowed = blocking(|| two.stock.api().request("PUT", path, Some(&allow))).unwrap();
    assert_eq!(allowed.0, 204);
    let mut answers = Vec::new();
    let [stock, ours] = two.http();
    for ((from, to), other) in [(stock, ours), (ours, stock)].into_iter().zip(two.others()) {
        let id = send(from, &other);
        let taken = blocking(|| to.receive(b"state", PATIENCE)).unwrap().unwrap();
        assert_eq!(id, taken.id.as_str());
        let begun = Instant::now();
        // The READ is on its way; nothing tells when it has come.
        let answer = loop {
            let answer = status(from, &id);
            if answer.1["state"] == "read" {
                break answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer:?}");
        };
        answers.push(answer);
    }
    compare("a message that was read", &answers[0], &answers[1]);
}

fn compare(at: &str, stock: &(u16, Value), ours: &(u16, Value)) {
    assert_eq!(stock.0, ours.0, "{at}: {} {}", stock.1, ours.1);
    if (200..300).contains(&stock.0) || stock.0 == 408 {
        same_shape(&stock.1, &ours.1, at);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_call_is_answered_as_by_the_stock_daemon() {
    let Some(two) = Two::start(72).await else { return };
    let others = two.others();
    let message = json!({ "dst": { "ip": "4ff::1" }, "payload": "aGk=" });
    let too_long = json!({ "dst": { "ip": "4ff::1" }, "topic": "A".repeat(344), "payload": "" });
    let script: &[(&str, Value)] = &[
        ("getInfo", Value::Null),
        ("getPublicKeyFromIp", json!(["{other}"])),
        ("getPublicKeyFromIp", json!({ "ip": "nobody" })),
        ("getPublicKeyFromIp", json!(["4ff::1"])),
        ("getPeers", json!([])),
        ("addPeer", json!(["tcp://127.0.0.1:9"])),
        ("addPeer", json!(["tcp://127.0.0.1:9"])),
        ("addPeer", json!(["pigeon"])),
        ("deletePeer", json!({ "endpoint": "tcp://127.0.0.1:9" })),
        ("deletePeer", json!({ "endpoint": "tcp://127.0.0.1:9" })),
        ("deletePeer", json!(["pigeon"])),
        ("getSelectedRoutes", json!([])),
        ("getFallbackRoutes", json!([])),
        ("getQueriedSubnets", json!([])),
        ("getProxies", json!([])),
        ("disconnectProxy", json!([])),
        ("stopProxyProbe", json!([])),
        ("getPacketStatistics", json!([])),
        ("popMessage", json!({ "peek": true, "timeout": 0 })),
        ("popMessage", json!([false, 0, "%"])),
        ("pushMessage", json!([message])),
        ("pushMessage", json!({ "message": message, "replyTimeout": 0 })),
        ("pushMessage", json!([too_long])),
        ("pushMessage", json!([])),
        ("pushMessageReply", json!(["0011223344556677", message])),
        ("pushMessageReply", json!(["no", message])),
        ("getMessageInfo", json!(["0000000000000000"])),
        ("getMessageInfo", json!(["no"])),
        ("getDefaultTopicAction", json!([])),
        ("setDefaultTopicAction", json!([true])),
        ("getTopics", json!([])),
        ("addTopic", json!(["dGU="])),
        ("addTopic", json!(["%"])),
        ("getTopics", json!([])),
        ("getTopicSources", json!(["dGU="])),
        ("getTopicSources", json!(["b3RoZXI="])),
        ("addTopicSource", json!({ "topic": "dGU=", "subnet": "400:1::/32" })),
        ("addTopicSource", json!(["dGU=", "nowhere"])),
        ("removeTopicSource", json!(["dGU=", "400:1::/32"])),
        ("removeTopicSource", json!(["dGU=", "nowhere"])),
        ("getTopicForwardSocket", json!(["dGU="])),
        ("setTopicForwardSocket", json!({ "topic": "dGU=", "socket_path": "/none.sock" })),
        ("getTopicForwardSocket", json!(["dGU="])),
        ("removeTopicForwardSocket", json!(["dGU="])),
        ("removeTopic", json!(["dGU="])),
        ("removeTopic", json!(["%"])),
        ("noSuchMethod", json!([])),
    ];
    for (method, params) in script {
        let mut answers = Vec::new();
        for (api, other) in two.rpc().into_iter().zip(&others) {
            let call = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
            let call: Value =
                serde_json::from_str(&call.to_string().replace("{other}", other)).unwrap();
            let (status, answer) = blocking(|| api.request("POST", "/", Some(&call))).unwrap();
            assert_eq!(
                (status, &answer["id"], &answer["jsonrpc"]),
                (200, &json!(7), &json!("2.0"))
            );
            answers.push(answer);
        }
        let at = format!("{method} {params}");
        let [stock, ours] = &answers[..] else { unreachable!() };
        assert_eq!(stock["error"]["code"], ours["error"]["code"], "{at}: {stock} {ours}");
        same_shape(&stock["result"], &ours["result"], &at);
    }
    two.close().await;
}

/// Whether two values have members of the same names and types. Of lists the first rows count, and
/// of two empty ones or one nothing is known.
fn same_shape(stock: &Value, ours: &Value, at: &str) {
    match (stock, ours) {
        (Value::Object(stock), Value::Object(ours)) => {
            let names = |members: &serde_json::Map<String, Value>| {
                members.keys().cloned().collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(names(stock), names(ours), "{at}");
            for (name, member) in stock {
                same_shape(member, &ours[name], &format!("{at}: {name}"));
            }
        }
        (Value::Array(stock), Value::Array(ours)) => {
            if let Some((stock, ours)) = stock.first().zip(ours.first()) {
                same_shape(stock, ours, &format!("{at}: row"));
            }
        }
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) => {}
        (stock, ours) => assert_eq!(stock, ours, "{at}"),
    }
}
