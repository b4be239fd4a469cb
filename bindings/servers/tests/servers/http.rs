//! The HTTP API does what the reference's does.

use std::time::Instant;

use serde_json::{Value, json};
use threephone_node::PublicKey;

use crate::support::{Host, PATIENCE, escape, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_tells_who_it_is() {
    let host = Host::start(&[]).await;
    let info = host.get("/admin").await.expect(200).json();
    assert_eq!(info["nodeSubnet"], host.node.subnet().to_string());
    assert_eq!(info["nodeIp"], host.node.address().to_string());
    assert_eq!(info["nodePubkey"], host.node.public_key().to_string());
    assert!(info["nodeStartTime"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(info.as_object().unwrap().len(), 4);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_are_added_listed_and_removed() {
    let (ann, ben) = (Host::start(&[]).await, Host::start(&[]).await);
    let endpoint = ben.node.listening()[0].to_string();
    let body = json!({ "endpoint": endpoint });
    ann.post("/admin/peers", &body).await.expect(204);
    ann.post("/admin/peers", &body).await.expect(409);
    ann.post("/admin/peers", &json!({ "endpoint": "carrier pigeon" })).await.expect(400);
    let peer = loop {
        let peers = ann.get("/admin/peers").await.expect(200).json();
        assert_eq!(peers.as_array().unwrap().len(), 1);
        if peers[0]["connectionState"] == "alive" {
            break peers[0].clone();
        }
    };
    let socket = endpoint.strip_prefix("tcp://").unwrap();
    assert_eq!(peer["endpoint"], json!({ "proto": "tcp", "addr": { "socket": socket } }));
    assert_eq!(peer["type"], "static");
    assert!(peer["txBytes"].is_u64() && peer["rxBytes"].is_u64());
    assert!(peer["discovered"].as_u64().unwrap() <= 60);
    assert!(peer["lastConnected"].as_u64().unwrap() <= 60);
    let seen = loop {
        let peers = ben.get("/admin/peers").await.expect(200).json();
        if peers[0]["connectionState"] == "alive" {
            break peers[0].clone();
        }
    };
    assert_eq!(seen["type"], "inbound");
    let path = format!("/admin/peers/{}", escape(&endpoint));
    ann.delete(&path).await.expect(204);
    ann.delete(&path).await.expect(404);
    ann.delete("/admin/peers/nonsense").await.expect(400);
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_and_keys_are_told() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    let address = ben.node.address();
    let key = ann.node.resolve(address, PATIENCE).await.unwrap();
    let routes = ann.get("/admin/routes/selected").await.expect(200).json();
    let route = &routes[0];
    assert_eq!(route["subnet"], ben.node.subnet().to_string());
    assert_eq!((&route["metric"], route["seqno"].is_u64()), (&json!(0), true));
    let port = ben.node.listening()[0].address().unwrap().port();
    let hop = route["nextHop"].as_str().unwrap();
    assert!(hop.starts_with("TCP ") && hop.ends_with(&format!("127.0.0.1:{port}")), "{hop}");
    assert_eq!(ann.get("/admin/routes/fallback").await.expect(200).json(), json!([]));
    let told = ann.get(&format!("/pubkey/{address}")).await.expect(200).json();
    assert_eq!(told, json!({ "publicKey": key.to_string() }));
    ann.get("/pubkey/4ff::1").await.expect(404);
    ann.get("/pubkey/2001:db8::1").await.expect(404);
    // What stopped the reference's request in its tracks.
    ann.get("/pubkey/192.0.2.1").await.expect(400);
    ann.get("/pubkey/somebody").await.expect(400);
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_looked_for_is_told_with_the_seconds_left() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    ann.node.resolve(ben.node.address(), PATIENCE).await.unwrap();
    assert_eq!(ann.get("/admin/routes/queried").await.expect(200).json(), json!([]));
    ann.get("/pubkey/4ff::1").await.expect(404);
    let queried = ann.get("/admin/routes/queried").await.expect(200).json();
    assert_eq!(queried[0]["subnet"], "4ff::/64");
    let left: u64 = queried[0]["expiration"].as_str().unwrap().parse().unwrap();
    assert!(left <= 15, "{left}");
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_proxies() {
    let host = Host::start(&[]).await;
    assert_eq!(host.get("/admin/proxy").await.expect(200).json(), json!([]));
    host.post("/admin/proxy", &json!({})).await.expect(404);
    host.post("/admin/proxy", &json!({ "remote": "[400::1]:1080" })).await.expect(404);
    host.delete("/admin/proxy").await.expect(204);
    host.get("/admin/proxy/probe").await.expect(204);
    host.delete("/admin/proxy/probe").await.expect(204);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_sent_peeked_at_taken_and_known_to_be_read() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    let ip = ben.node.address().to_string();
    let message = json!({ "dst": { "ip": ip }, "topic": "aGk+", "payload": "aGVsbG8=" });
    let sent = ann.post("/messages", &message).await.expect(201).json();
    let id = sent["id"].as_str().unwrap();
    assert_eq!((id.len(), sent.as_object().unwrap().len()), (16, 1));
    ben.get("/messages?topic=b3RoZXI=").await.expect(204);
    // The plus sign as the reference's own tool sends it, and as it ought to be sent.
    let peeked = ben.get("/messages?peek=true&timeout=60&topic=aGk+").await.expect(200).json();
    let taken = ben.get("/messages?topic=aGk%2B").await.expect(200).json();
    assert_eq!(peeked, taken);
    let expected = json!({
        "id": id,
        "srcIp": ann.node.address().to_string(),
        "srcPk": ann.node.public_key().to_string(),
        "dstIp": ip,
        "dstPk": ben.node.public_key().to_string(),
        "topic": "aGk+",
        "payload": "aGVsbG8=",
    });
    assert_eq!(taken, expected);
    ben.get("/messages").await.expect(204);
    let statistics = ben.get("/admin/stats/packets").await.expect(200).json();
    let source = ann.node.address().to_string();
    let from_ann =
        statistics["bySource"].as_array().unwrap().iter().find(|row| row["ip"] == source);
    let from_ann = from_ann.unwrap();
    assert!(from_ann["packetCount"].as_u64().unwrap() > 0, "{from_ann}");
    assert!(from_ann["byteCount"].as_u64().unwrap() > 28, "{from_ann}");
    assert!(statistics["byDestination"].as_array().unwrap().iter().any(|row| row["ip"] == ip));
    let info = loop {
        let info = ann.get(&format!("/messages/status/{id}")).await.expect(200).json();
        if info["state"] == "read" {
            break info;
        }
    };
    assert_eq!((&info["dst"], &info["msgLen"]), (&json!(ip), &json!(5)));
    let tried = info["deadline"].as_u64().unwrap() - info["created"].as_u64().unwrap();
    assert!((299..=301).contains(&tried), "{tried}");
    ann.get("/messages/status/0000000000000000").await.expect(404);
    ann.get("/messages/status/00").await.expect(400);
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_route_is_pending_and_one_by_key_has_no_topic() {
    let host = Host::start(&[]).await;
    let key = "aa".repeat(32);
    let sent = host.post("/messages", &json!({ "dst": { "pk": key }, "payload": "" })).await;
    let id = sent.expect(201).json()["id"].as_str().unwrap().to_owned();
    let info = host.get(&format!("/messages/status/{id}")).await.expect(200).json();
    let address = key.parse::<PublicKey>().unwrap().address();
    assert_eq!((&info["state"], &info["dst"]), (&json!("pending"), &json!(address)));
    let own = json!({ "dst": { "pk": host.node.public_key().to_string() }, "payload": "eA==" });
    host.post("/messages", &own).await.expect(201);
    let message = host.get("/messages?timeout=60").await.expect(200).json();
    assert!(message.get("topic").is_none(), "{message}");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_goes_to_who_waits_for_it() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    let question = json!({ "dst": { "ip": ben.node.address() }, "payload": "cGluZw==" });
    let asking = ann.post("/messages?reply_timeout=60", &question);
    let answering = async {
        let message = ben.get("/messages?timeout=60").await.expect(200).json();
        let answer = json!({ "dst": { "ip": message["srcIp"] }, "payload": "cG9uZw==" });
        let path = format!("/messages/reply/{}", message["id"].as_str().unwrap());
        ben.post(&path, &answer).await.expect(204);
        message
    };
    let (reply, message) = tokio::join!(asking, answering);
    let reply = reply.expect(200).json();
    assert_eq!((&reply["id"], &reply["payload"]), (&message["id"], &json!("cG9uZw==")));
    assert_eq!(reply["srcIp"], ben.node.address().to_string());
    ann.get("/messages").await.expect(204);
    let unheard = ann.post("/messages?reply_timeout=0", &question).await.expect(408).json();
    assert_eq!(unheard["id"].as_str().unwrap().len(), 16);
    ben.post("/messages/reply/xyz", &question).await.expect(400);
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_refused() {
    let host = Host::with(&[], |config| config.reserved_topics = vec!["ours".into()]).await;
    let good = "400::1";
    for (body, status) in [
        (json!({ "dst": { "ip": good }, "topic": "A".repeat(344), "payload": "" }), 400), // 258 bytes
        (json!({ "dst": { "ip": good }, "topic": "b3Vycw==", "payload": "" }), 400),
        (json!({ "dst": { "ip": "192.0.2.1" }, "payload": "" }), 400),
        (json!({ "dst": { "ip": "2001:db8::1" }, "payload": "" }), 400),
        (json!({ "dst": { "pk": "00".repeat(32) }, "payload": "" }), 400),
        (json!({ "dst": { "pk": "ab" }, "payload": "" }), 400),
        (json!({ "dst": { "ip": good }, "payload": "not base64" }), 422),
        (json!({ "dst": { "ip": good } }), 422),
        (json!({ "dst": {}, "payload": "" }), 400),
        (json!([]), 422),
    ] {
        host.post("/messages", &body).await.expect(status);
    }
    host.get("/messages?topic=%25%25").await.expect(400);
    host.get("/messages?timeout=soon").await.expect(400);
    host.get("/messages?timeout=-1").await.expect(400);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_configured() {
    let host = Host::with(&[], |config| config.reserved_topics = vec!["ours".into()]).await;
    assert_eq!(host.get("/messages/topics/default").await.json(), json!({ "accept": true }));
    host.put("/messages/topics/default", &json!({ "accept": false })).await.expect(204);
    assert_eq!(host.get("/messages/topics/default").await.json(), json!({ "accept": false }));
    assert_eq!(host.get("/messages/topics").await.json(), json!([]));
    let topic = "a/b?";
    host.post("/messages/topics", &json!(topic.as_bytes())).await.expect(201);
    host.post("/messages/topics", &json!(b"ours")).await.expect(400);
    host.post("/messages/topics", &json!(vec![0; 256])).await.expect(400);
    assert_eq!(host.get("/messages/topics").await.json(), json!(["YS9iPw=="]));
    let path = "/messages/topics/YS9iPw%3D%3D";
    host.get("/messages/topics/b3RoZXI%3D/sources").await.expect(404);
    host.get("/messages/topics/%21/sources").await.expect(400);
    let sources = format!("{path}/sources");
    for subnet in ["400:1::/32", "500::1"] {
        host.post(&sources, &json!({ "subnet": subnet })).await.expect(201);
    }
    host.post(&sources, &json!({ "subnet": "192.0.2.0/24" })).await.expect(400);
    assert_eq!(host.get(&sources).await.json(), json!(["400:1::/32", "500::1/128"]));
    host.delete(&format!("{sources}/400%3A1%3A%3A%2F32")).await.expect(204);
    host.delete(&format!("{sources}/nowhere")).await.expect(400);
    assert_eq!(host.get(&sources).await.json(), json!(["500::1/128"]));
    let forward = format!("{path}/forward");
    assert_eq!(host.get(&forward).await.expect(200).json(), Value::Null);
    host.put(&forward, &json!({ "socketPath": "/tmp/none.sock" })).await.expect(204);
    assert_eq!(host.get(&forward).await.json(), "/tmp/none.sock");
    host.delete(&forward).await.expect(204);
    assert_eq!(host.get(&forward).await.json(), Value::Null);
    host.delete(path).await.expect(204);
    assert_eq!(host.get("/messages/topics").await.json(), json!([]));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_holds_nobody_up_and_ends_with_the_servers() {
    let host = Host::start(&[]).await;
    let waiting = host.get("/messages?timeout=31536000");
    let others = async {
        for _ in 0..20 {
            host.get("/admin").await.expect(200);
            host.call("getPeers", Value::Null).await.unwrap();
        }
        host.servers.close().await;
    };
    let begun = Instant::now();
    let (waited, ()) = tokio::join!(waiting, others);
    // Answered, or hung up on before it began to wait.
    assert!(matches!(waited.status, 503 | 0), "{waited:?}");
    assert!(begun.elapsed() < PATIENCE);
    host.close().await;
}

/// The reference gives the status alone, and its clients go by that; people read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_path_or_method_is_answered_with_a_line_that_says_what_there_is() {
    let host = Host::start(&[]).await;
    let metrics = host.servers.addresses().metrics.unwrap();
    for (server, method, path, status, part) in [
        (host.http(), "GET", "/", 404, "/api/v1/admin"),
        (host.http(), "GET", "/api/v1/nothing", 404, "/api/v1/admin"),
        (host.http(), "PATCH", "/api/v1/admin", 405, "PATCH is not for this path"),
        (host.http(), "DELETE", "/api/v1/messages", 405, "Allow"),
        (metrics, "GET", "/", 404, "/metrics"),
        (metrics, "POST", "/metrics", 405, "Allow"),
        (host.rpc(), "GET", "/", 405, "POST"),
    ] {
        let answer = request(server, method, path, &[], b"").await.expect(status);
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains(part) && body.lines().count() == 1, "{path}: {body:?}");
        let allows = answer.head.to_ascii_lowercase().contains("\r\nallow: ");
        assert_eq!(allows, status == 405, "{path}: {}", answer.head);
    }
    host.close().await;
}
