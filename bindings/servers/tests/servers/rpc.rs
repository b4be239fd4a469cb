//! The JSON-RPC API: the standard, the reference's methods, and a description that is true.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Host, JSON, PATIENCE, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_answers_with_the_references_shapes() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    let address = ben.node.address().to_string();
    let key = ann.node.resolve(ben.node.address(), PATIENCE).await.unwrap();
    let call = async |method: &str, params| ann.call(method, params).await.unwrap();
    assert_eq!(call("getInfo", Value::Null).await["nodeIp"], ann.node.address().to_string());
    assert_eq!(call("getPublicKeyFromIp", json!([address])).await, key.to_string());
    assert_eq!(call("getPeers", json!([])).await[0]["type"], "static");
    assert_eq!(call("getSelectedRoutes", json!({})).await[0]["metric"], 0);
    assert_eq!(call("getFallbackRoutes", Value::Null).await, json!([]));
    assert_eq!(call("getQueriedSubnets", Value::Null).await, json!([]));
    assert_eq!(call("getProxies", Value::Null).await, json!([]));
    for method in ["disconnectProxy", "startProxyProbe", "stopProxyProbe"] {
        assert_eq!(call(method, Value::Null).await, json!(true));
    }
    let message = json!({ "dst": { "ip": address }, "topic": "dA==", "payload": "aGk=" });
    let sent = call("pushMessage", json!([message])).await;
    let taken = ben.call("popMessage", json!({ "timeout": 60, "topic": "dA==" })).await.unwrap();
    assert_eq!((&taken["id"], &taken["payload"]), (&sent["id"], &json!("aGk=")));
    assert_eq!(ben.call("popMessage", Value::Null).await.unwrap(), Value::Null);
    let info = call("getMessageInfo", json!([sent["id"]])).await;
    assert_eq!(info["msgLen"], 2);
    let asking = ann.call("pushMessage", json!({ "message": message, "replyTimeout": 60 }));
    let answering = async {
        let question = ben.call("popMessage", json!([false, 60])).await.unwrap();
        let answer = json!({ "dst": { "ip": question["srcIp"] }, "payload": "eWVz" });
        ben.call("pushMessageReply", json!([question["id"], answer])).await.unwrap();
    };
    let (reply, ()) = tokio::join!(asking, answering);
    assert_eq!(reply.unwrap()["payload"], "eWVz");
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_configured() {
    let host = Host::start(&[]).await;
    let call = async |method: &str, params| host.call(method, params).await.unwrap();
    assert_eq!(call("getDefaultTopicAction", Value::Null).await, json!(true));
    assert_eq!(call("setDefaultTopicAction", json!([false])).await, json!(true));
    assert_eq!(call("getDefaultTopicAction", Value::Null).await, json!(false));
    assert_eq!(call("addTopic", json!(["dA=="])).await, json!(true));
    assert_eq!(call("getTopics", Value::Null).await, json!(["dA=="]));
    assert_eq!(call("addTopicSource", json!(["dA==", "400::1"])).await, json!(true));
    assert_eq!(call("getTopicSources", json!(["dA=="])).await, json!(["400::1/128"]));
    assert_eq!(call("removeTopicSource", json!(["dA==", "400::1"])).await, json!(true));
    assert_eq!(call("getTopicSources", json!(["dA=="])).await, json!([]));
    let socket = json!({ "topic": "dA==", "socketPath": "/tmp/none.sock" });
    assert_eq!(call("setTopicForwardSocket", socket).await, json!(true));
    assert_eq!(call("getTopicForwardSocket", json!(["dA=="])).await, "/tmp/none.sock");
    assert_eq!(call("removeTopicForwardSocket", json!(["dA=="])).await, json!(true));
    assert_eq!(call("getTopicForwardSocket", json!(["dA=="])).await, Value::Null);
    assert_eq!(call("removeTopic", json!(["dA=="])).await, json!(true));
    assert_eq!(call("getTopics", Value::Null).await, json!([]));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_the_references_numbers() {
    let host = Host::start(&[]).await;
    let message = json!({ "dst": { "ip": "400::1" }, "payload": "" });
    let peer = "tcp://127.0.0.1:9";
    host.call("addPeer", json!([peer])).await.unwrap();
    for (method, params, code) in [
        ("getPublicKeyFromIp", json!(["nobody"]), -32007),
        ("getPublicKeyFromIp", json!(["192.0.2.1"]), -32007),
        ("getPublicKeyFromIp", json!(["4ff::1"]), -32008),
        ("addPeer", json!(["nonsense"]), -32009),
        ("addPeer", json!([peer]), -32010),
        ("deletePeer", json!(["tcp://127.0.0.1:10"]), -32011),
        ("deletePeer", json!(["nonsense"]), -32012),
        ("popMessage", json!([false, 0, "!"]), -32013),
        (
            "pushMessage",
            json!([{ "dst": { "ip": "400::1" }, "topic": "A".repeat(344), "payload": "" }]),
            -32015,
        ),
        ("pushMessageReply", json!(["xyz", message]), -32018),
        ("getMessageInfo", json!(["0000000000000000"]), -32019),
        ("getMessageInfo", json!(["xyz"]), -32020),
        ("addTopic", json!(["!"]), -32021),
        ("removeTopicForwardSocket", json!(["!"]), -32021),
        ("addTopicSource", json!(["dA==", "nowhere"]), -32023),
        ("getTopicSources", json!(["dA=="]), -32030),
        ("connectProxy", Value::Null, -32032),
        ("connectProxy", json!(["[400::1]:1080"]), -32032),
        ("addPeer", Value::Null, -32602),
        ("addPeer", json!([7]), -32602),
        ("pushMessage", json!([{ "dst": { "ip": "192.0.2.1" }, "payload": "" }]), -32602),
        ("pushMessage", json!([{ "dst": { "ip": "400::1" }, "payload": "!" }]), -32602),
        ("popMessage", json!([1]), -32602),
        ("dance", Value::Null, -32601),
        ("rpc.dance", Value::Null, -32601),
    ] {
        assert_eq!(host.call(method, params.clone()).await, Err(code), "{method} {params}");
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_notifications_are_those_of_the_standard() {
    let host = Host::with(&[], |config| config.limits.batch = 4).await;
    let post = async |body: &str| host.rpc_bytes(body.as_bytes()).await;
    let good = r#"{"jsonrpc":"2.0","id":"a","method":"getProxies"}"#;
    let quiet = r#"{"jsonrpc":"2.0","method":"getProxies"}"#;
    assert_eq!(post(quiet).await.expect(204).body, b"");
    assert_eq!(post(&format!("[{quiet},{quiet}]")).await.expect(204).body, b"");
    let answers = post(&format!("[{good},{quiet},1]")).await.expect(200).json();
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": "a", "result": [] }));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&Value::Null, &json!(-32600)));
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!(post("[]").await.json()["error"]["code"], -32600);
    assert_eq!(post("{").await.json()["error"]["code"], -32700);
    assert_eq!(post("").await.json()["error"]["code"], -32700);
    // Answers are longer than the numbers that cause them.
    assert_eq!(post("[1,1,1,1,1]").await.json()["error"]["code"], -32600);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_path_takes_posts_of_json_and_nothing_else() {
    let host = Host::start(&[]).await;
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"getProxies"}"#;
    for path in ["/", "/rpc", "/a/b/../c"] {
        request(host.rpc(), "POST", path, &[JSON], body).await.expect(200);
    }
    request(host.rpc(), "GET", "/", &[], b"").await.expect(405);
    request(host.rpc(), "PUT", "/", &[JSON], body).await.expect(405);
    request(host.rpc(), "POST", "/", &["Content-Type: text/plain"], body).await.expect(415);
    request(host.rpc(), "POST", "/", &[], body).await.expect(415);
    host.close().await;
}

/// Every method that is described can be called, takes the parameters that are described, and
/// answers in the shape that is described.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_true() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    ann.node.resolve(ben.node.address(), PATIENCE).await.unwrap();
    let document = ann.call("rpc.discover", Value::Null).await.unwrap();
    assert!(document["openrpc"].as_str().unwrap().starts_with("1."));
    let schemas = &document["components"]["schemas"];
    let ip = ben.node.address().to_string();
    let message = json!({ "dst": { "ip": ip }, "payload": "aGk=" });
    ann.call("addTopic", json!(["dA=="])).await.unwrap();
    for method in document["methods"].as_array().unwrap() {
        let name = method["name"].as_str().unwrap();
        let mut params = json!({});
        for param in method["params"].as_array().unwrap() {
            let name = param["name"].as_str().unwrap();
            params[name] = match name {
                "ip" => json!(ip),
                "endpoint" => json!("tcp://127.0.0.1:9"),
                "message" => message.clone(),
                "id" => ann.call("pushMessage", json!([message])).await.unwrap()["id"].clone(),
                "topic" => json!("dA=="),
                "subnet" => json!("400::1"),
                "accept" => json!(true),
                "socket_path" => json!("/tmp/none.sock"),
                "peek" => json!(true),
                "timeout" | "reply_timeout" => json!(0),
                "remote" => json!("127.0.0.1:9"),
                other => panic!("{name} takes {other}"),
            };
        }
        match ann.call(name, params.clone()).await {
            Ok(result) => check(&result, &method["result"]["schema"], schemas, name),
            Err(code) => {
                let told = method["errors"].as_array().unwrap();
                assert!(told.iter().any(|error| error["code"] == code), "{name} {code}");
            }
        }
        let required = method["params"].as_array().unwrap().iter();
        for missing in required.filter(|param| param["required"] == true) {
            let mut fewer = params.clone();
            fewer.as_object_mut().unwrap().remove(missing["name"].as_str().unwrap());
            assert_eq!(ann.call(name, fewer).await, Err(-32602), "{name} without {missing}");
        }
    }
    ann.close().await;
    ben.close().await;
}

/// As much of JSON Schema as the description uses, and strict about members.
#[track_caller]
fn check(value: &Value, schema: &Value, schemas: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return check(value, &schemas[name], schemas, &format!("{at}: {name}"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        assert!(choices.iter().any(|choice| fits(value, choice, schemas)), "{at}: {value}");
        return;
    }
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{at}: {value}");
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = &schema["type"];
    let fits = kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!(kind)));
    assert!(fits, "{at}: {value} is no {kinds}");
    for item in value.as_array().into_iter().flatten() {
        check(item, &schema["items"], schemas, at);
    }
    if let (Some(members), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        let there: BTreeSet<&str> = members.keys().map(String::as_str).collect();
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(there.contains(name.as_str().unwrap()), "{at}: no {name} in {value}");
        }
        for (name, member) in members {
            assert!(known.contains_key(name), "{at}: {name} is not described");
            check(member, &known[name], schemas, &format!("{at}.{name}"));
        }
    }
}

fn fits(value: &Value, schema: &Value, schemas: &Value) -> bool {
    let schema = match schema["$ref"].as_str() {
        Some(name) => &schemas[name.rsplit('/').next().unwrap()],
        None => schema,
    };
    match (value, schema["type"].as_str()) {
        (Value::Object(members), Some("object")) => {
            let required = schema["required"].as_array().unwrap();
            required.iter().all(|name| members.contains_key(name.as_str().unwrap()))
        }
        (Value::Null, Some("null")) | (Value::Number(_), Some("integer")) => true,
        (value, None) => {
            schema["const"] == *value
                || schema["enum"].as_array().is_some_and(|all| all.contains(value))
        }
        _ => false,
    }
}
