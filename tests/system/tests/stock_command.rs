//! The stock daemon's own command line tool against a node of ours, as it is.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use threephone_node::{Node, Prefix, SecretKey, TopicFilter};
use threephone_system_tests::exchange::ours_to_stock;
use threephone_system_tests::route::{Route, at_ours};
use threephone_system_tests::{Link, Served, stock_binary};

const PATIENCE: Duration = Duration::from_secs(60);

/// A node of ours, and the tool to ask it with.
struct Host(Served);

impl Host {
    async fn start(peers: &[&Host]) -> Self {
        let peers: Vec<String> = peers.iter().map(|peer| Link::Tcp.to_ours(peer.node())).collect();
        Self::over(Link::Tcp, &peers, None).await
    }

    /// One that dials peers over links of a kind; its API may want a token.
    async fn over(link: Link, peers: &[String], token: Option<&str>) -> Self {
        let mut config = link.config(0, peers);
        config.secret = SecretKey::generate().unwrap();
        Self(Served::start(config, token).await)
    }

    fn node(&self) -> &Node {
        &self.0.node
    }

    /// Runs the tool; none, having said so, where there is none.
    async fn run(&self, words: &[&str]) -> Option<Output> {
        let binary = stock_binary()?;
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.current_dir(folder.path()).arg("--silent");
        command.args(["--api-addr", &self.0.http().address().to_string()]);
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
        self.0.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_manages_peers_and_shows_tables() {
    let (ann, ben) = (Host::start(&[]).await, Host::start(&[]).await);
    let endpoint = ben.node().listening()[0].to_string();
    let script = async {
        ann.ok(&["peers", "add", &endpoint]).await?;
        ann.node().resolve(ben.node().address(), PATIENCE).await.unwrap();
        let again = ann.run(&["peers", "add", &endpoint]).await?;
        assert!(!again.status.success());
        let peers = ann.json(&["peers", "list", "--json"]).await?;
        assert_eq!(
            (&peers[0]["type"], &peers[0]["connectionState"]),
            (&json!("static"), &json!("alive"))
        );
        let table = ann.ok(&["peers", "list"]).await?;
        assert!(table.contains(endpoint.strip_prefix("tcp://").unwrap()), "{table}");
        let subnet = ben.node().subnet().to_string();
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
        let key = ben.node().public_key().to_string();
        let inspected = ann.json(&["inspect", "--json", &key]).await?;
        assert_eq!(inspected["address"], ben.node().address().to_string());
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
    let to = ben.node().address().to_string();
    let key = ben.node().public_key().to_string();
    let script = async {
        let sent = ann.json(&["message", "send", "-t", "a topic", &to, "hello"]).await?;
        let receive = ["message", "receive", "--timeout", "60", "-t", "a topic"];
        let received = ben.json(&receive).await?;
        assert_eq!((&received["id"], &received["payload"]), (&sent["id"], &json!("hello")));
        assert_eq!(
            (&received["topic"], &received["srcIp"]),
            (&json!("a topic"), &json!(ann.node().address()))
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
        let message = ben.node().receive(filter, PATIENCE).await.unwrap();
        assert_eq!(message.payload, "?");
        Some(())
    };
    script.await;
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_sends_files_and_writes_what_came_to_files() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    let folder = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    let [from, into] = [&here, &there].map(|path| path.to_str().unwrap().to_owned());
    let to = ben.node().address().to_string();
    let bytes: Vec<u8> = (0..100_000).map(|index| (index % 256) as u8).collect();
    std::fs::write(&here, &bytes).unwrap();
    let script = async {
        ann.json(&["message", "send", "-t", "file", "--msg-path", &from, &to]).await?;
        let receive = ["message", "receive", "--timeout", "60", "-t", "file", "--msg-path", &into];
        let told = ben.json(&receive).await?;
        assert_eq!((&told["topic"], told.get("payload")), (&json!("file"), None));
        assert_eq!(std::fs::read(&there).unwrap(), bytes);
        ann.json(&["message", "send", &to, "plain"]).await?;
        let raw = ben.ok(&["message", "receive", "--timeout", "60", "--raw"]).await?;
        assert_eq!(raw, "plain\n");
        // More than a body may have: a failure that the tool tells of, and nothing is sent.
        std::fs::write(&here, vec![0; 2 << 20]).unwrap();
        assert!(!ann.run(&["message", "send", "--msg-path", &from, &to]).await?.status.success());
        assert_eq!(ben.ok(&["message", "receive", "--timeout", "0"]).await?, "");
        Some(())
    };
    script.await;
    ann.close().await;
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_shows_ways_to_a_stock_node_over_every_kind_of_link() {
    for (link, way) in [
        (Link::Tcp, "TCP 127.0.0.1:"),
        (Link::Quic, "QUIC -> 127.0.0.1:"),
        (Link::Private, "TLS 127.0.0.1:"),
    ] {
        let Some(stock) = link.stock(&[]) else { continue };
        let ann = Host::over(link, &[link.to_stock(&stock)], None).await;
        at_ours(ann.node(), Prefix::subnet_of(stock.address()), Route::There).await;
        ours_to_stock(ann.node(), &stock, 1300).await;
        let (subnet, address) = (Prefix::subnet_of(stock.address()).to_string(), stock.address());
        let selected = ann.ok(&["routes", "selected"]).await.unwrap();
        assert!(selected.contains(&subnet) && selected.contains(way), "{link:?}: {selected}");
        let peers = ann.ok(&["peers", "list"]).await.unwrap().to_lowercase();
        assert!(peers.contains(link.protocol()) && peers.contains("alive"), "{link:?}: {peers}");
        let statistics = ann.ok(&["stats", "packets"]).await.unwrap();
        assert!(statistics.contains(&address.to_string()), "{link:?}: {statistics}");
        // What nobody has is being looked for.
        ann.json(&["message", "send", "4ff::1", "anybody?"]).await.unwrap();
        let queried = ann.ok(&["routes", "queried"]).await.unwrap();
        assert!(queried.contains("4ff::/64"), "{link:?}: {queried}");
        ann.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_manages_several_peers_at_once_and_inspects_keys() {
    let ann = Host::start(&[]).await;
    let [one, two] = ["tcp://127.0.0.1:9", "quic://[::1]:9"];
    let script = async {
        ann.ok(&["peers", "add", one, two]).await?;
        let table = ann.ok(&["peers", "list"]).await?;
        assert!(table.contains("127.0.0.1:9") && table.contains("[::1]:9"), "{table}");
        ann.ok(&["peers", "remove", one, two]).await?;
        assert_eq!(ann.json(&["peers", "list", "--json"]).await?, json!([]));
        let key = ann.node().public_key().to_string();
        let inspected = ann.ok(&["inspect", &key]).await?;
        let address = ann.node().address().to_string();
        assert!(inspected.contains(&key) && inspected.contains(&address), "{inspected}");
        Some(())
    };
    script.await;
    ann.close().await;
}

/// It has no way to send one; so it must fail, and not take silence for an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_is_turned_away_where_a_token_is_wanted() {
    let ann = Host::over(Link::Tcp, &[], Some("a-token-of-letters")).await;
    let script = async {
        for words in [&["peers", "list"][..], &["message", "send", "400::1", "x"]] {
            let output = ann.run(words).await?;
            assert!(!output.status.success(), "{words:?}: {output:?}");
        }
        Some(())
    };
    script.await;
    ann.close().await;
}
