//! The stock daemon's own command line tool against a node of ours, as it is.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test fails by panicking, and says what it skips

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use threephone_node::{Node, NodeConfig, SecretKey, TopicFilter};
use threephone_servers::{ServerConfig, Servers};

const PATIENCE: Duration = Duration::from_secs(60);

struct Host {
    node: Arc<Node>,
    servers: Servers,
}

impl Host {
    async fn start(peers: &[&Host]) -> Self {
        let mut config = NodeConfig::new(SecretKey::generate().unwrap());
        config.listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
        config.peers =
            peers.iter().flat_map(|peer| peer.node.listening().to_vec()).map(Into::into).collect();
        let node = Arc::new(Node::start(config).await.unwrap());
        let http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let config = ServerConfig { http, ..ServerConfig::default() };
        let servers = Servers::start(node.clone(), config).await.unwrap();
        Self { node, servers }
    }

    /// Runs the tool; none, having said so, where there is none.
    async fn run(&self, words: &[&str]) -> Option<Output> {
        let Some(binary) = std::env::var_os("MYCELIUM_BIN") else {
            println!("SKIPPED: MYCELIUM_BIN names no stock daemon");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.current_dir(folder.path()).arg("--silent");
        command.args(["--api-addr", &self.servers.addresses().http.unwrap().to_string()]);
        command.args(words);
        Some(tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap())
    }

    /// Runs a command that must succeed; its standard output.
    async fn ok(&self, words: &[&str]) -> Option<String> {
        let output = self.run(words).await?;
        assert!(output.status.success(), "{words:?}: {output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    async fn json(&self, words: &[&str]) -> Option<Value> {
        let text = self.ok(words).await?;
        Some(serde_json::from_str(&text).unwrap_or_else(|_| panic!("{words:?}: {text}")))
    }

    async fn close(self) {
        self.servers.close().await;
        self.node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_manages_peers_and_shows_tables() {
    let (ann, ben) = (Host::start(&[]).await, Host::start(&[]).await);
    let endpoint = ben.node.listening()[0].to_string();
    let script = async {
        ann.ok(&["peers", "add", &endpoint]).await?;
        ann.node.resolve(ben.node.address(), PATIENCE).await.unwrap();
        let again = ann.run(&["peers", "add", &endpoint]).await?;
        assert!(!again.status.success());
        let peers = ann.json(&["peers", "list", "--json"]).await?;
        assert_eq!(
            (&peers[0]["type"], &peers[0]["connectionState"]),
            (&json!("static"), &json!("alive"))
        );
        let table = ann.ok(&["peers", "list"]).await?;
        assert!(table.contains(endpoint.strip_prefix("tcp://").unwrap()), "{table}");
        let subnet = ben.node.subnet().to_string();
        let selected = ann.ok(&["routes", "selected"]).await?;
        assert!(selected.contains(&subnet) && selected.contains("TCP "), "{selected}");
        assert_eq!(ann.json(&["routes", "selected", "--json"]).await?[0]["subnet"], subnet);
        assert_eq!(ann.json(&["routes", "fallback", "--json"]).await?, json!([]));
        ann.ok(&["routes", "fallback"]).await?;
        assert_eq!(ann.json(&["routes", "queried", "--json"]).await?, json!([]));
        ann.ok(&["routes", "queried"]).await?;
        ann.ok(&["stats", "packets"]).await?;
        let statistics = ann.json(&["stats", "packets", "--json"]).await?;
        assert!(statistics["bySource"].is_array() && statistics["byDestination"].is_array());
        assert_eq!(ann.json(&["proxy", "list", "--json"]).await?, json!([]));
        ann.ok(&["proxy", "list"]).await?;
        ann.ok(&["proxy", "probe", "start"]).await?;
        ann.ok(&["proxy", "probe", "stop"]).await?;
        ann.ok(&["proxy", "disconnect"]).await?;
        assert!(!ann.run(&["proxy", "connect"]).await?.status.success());
        ann.ok(&["peers", "remove", &endpoint]).await?;
        assert_eq!(ann.json(&["peers", "list", "--json"]).await?, json!([]));
        assert!(!ann.run(&["peers", "remove", &endpoint]).await?.status.success());
        let key = ben.node.public_key().to_string();
        let inspected = ann.json(&["inspect", "--json", &key]).await?;
        assert_eq!(inspected["address"], ben.node.address().to_string());
        Some(())
    };
    script.await;
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_sends_waits_for_replies_and_receives() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    let to = ben.node.address().to_string();
    let key = ben.node.public_key().to_string();
    let script = async {
        let sent = ann.json(&["message", "send", "-t", "a topic", &to, "hello"]).await?;
        let receive = ["message", "receive", "--timeout", "60", "-t", "a topic"];
        let received = ben.json(&receive).await?;
        assert_eq!((&received["id"], &received["payload"]), (&sent["id"], &json!("hello")));
        assert_eq!(
            (&received["topic"], &received["srcIp"]),
            (&json!("a topic"), &json!(ann.node.address()))
        );
        // To a key, with a reply that somebody waits for.
        let words = ["message", "send", "--wait", "--timeout", "60", &key, "a question"];
        let (answer, question) = tokio::join!(ann.json(&words), async {
            let question = ben.json(&["message", "receive", "--timeout", "60"]).await?;
            let (id, from) =
                (question["id"].as_str().unwrap(), question["srcIp"].as_str().unwrap());
            ben.ok(&["message", "send", "--reply-to", id, from, "an answer"]).await?;
            Some(question)
        });
        let (answer, question) = (answer?, question?);
        assert_eq!((&answer["id"], &answer["payload"]), (&question["id"], &json!("an answer")));
        // Nothing there: nothing printed, and no failure.
        assert_eq!(ben.ok(&["message", "receive", "--timeout", "0"]).await?, "");
        // Nobody answers: the id is printed.
        let unheard = ann.json(&["message", "send", "--wait", "--timeout", "0", &to, "?"]).await?;
        assert_eq!(unheard["id"].as_str().unwrap().len(), 16);
        let filter = TopicFilter::Any;
        let message = ben.node.receive(filter, PATIENCE).await.unwrap();
        assert_eq!(message.payload, "?");
        Some(())
    };
    script.await;
    ann.close().await;
    ben.close().await;
}
