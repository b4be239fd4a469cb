//! The figures, as a strict reader of the exposition format takes them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::support::{Host, request};

/// Samples by name and labels.
type Samples = BTreeMap<String, u64>;

async fn scrape(host: &Host) -> Samples {
    let server = host.servers.addresses().metrics.unwrap();
    let answer = request(server, "GET", "/metrics", &[], b"").await.expect(200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    parse(&String::from_utf8(answer.body).unwrap())
}

/// Reads the format 0.0.4 and insists on what it only recommends.
fn parse(page: &str) -> Samples {
    assert!(page.ends_with('\n'));
    let (mut family, mut kind, mut families) = (String::new(), "", BTreeSet::new());
    let mut samples = Samples::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            assert!(!text.is_empty());
            (family, kind) = (name.to_owned(), "");
            continue;
        }
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, of) = typed.split_once(' ').unwrap();
            assert_eq!(name, family, "the type follows the help");
            kind = ["counter", "gauge"].into_iter().find(|known| *known == of).unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert_eq!((name, kind.is_empty()), (family.as_str(), false), "{line}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        for label in labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty())
        {
            let (label, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
            let plain =
                |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(plain(label) && plain(value), "{line}");
        }
        assert!(
            samples.insert(series.to_owned(), value.parse().unwrap()).is_none(),
            "{series} twice"
        );
    }
    samples
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_well_formed_and_counts_what_happens() {
    let ben = Host::start(&[]).await;
    let ann = Host::start(&[&ben]).await;
    let message = json!({ "dst": { "ip": ben.node.address() }, "payload": "aGVsbG8=" });
    let sent = ann.post("/messages", &message).await.expect(201).json();
    ben.get("/messages?timeout=60").await.expect(200);
    let path = format!("/messages/status/{}", sent["id"].as_str().unwrap());
    while ann.get(&path).await.json()["state"] != "read" {}
    let (sender, receiver) = (scrape(&ann).await, scrape(&ben).await);
    for (name, value) in [
        (r#"threephone_peers{kind="static",state="alive"}"#, 1),
        (r#"threephone_peers{kind="inbound",state="alive"}"#, 0),
        (r#"threephone_routes{state="selected"}"#, 1),
        ("threephone_links_opened_total", 1),
        ("threephone_messages_queued_total", 1),
        ("threephone_messages_queued_bytes_total", 5),
        ("threephone_messages_delivered_total", 1),
        ("threephone_messages_aborted_total", 0),
        (r#"threephone_bus_messages{queue="outgoing"}"#, 0),
    ] {
        assert_eq!(sender.get(name), Some(&value), "{name}");
    }
    assert!(sender["threephone_link_transmit_bytes_total"] > 0);
    assert_eq!(receiver[r#"threephone_peers{kind="inbound",state="alive"}"#], 1);
    assert_eq!(receiver["threephone_messages_arrived_total"], 1);
    assert_eq!(receiver["threephone_messages_taken_bytes_total"], 5);
    let server = ann.servers.addresses().metrics.unwrap();
    request(server, "GET", "/", &[], b"").await.expect(404);
    ann.close().await;
    // The peer is gone and with it its counters; the node's stay.
    let before = receiver["threephone_link_receive_bytes_total"];
    let after = loop {
        let after = scrape(&ben).await;
        if after["threephone_links_closed_total"] == 1 {
            break after;
        }
    };
    assert!(after["threephone_link_receive_bytes_total"] >= before);
    ben.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_and_every_label_is_explained_in_the_readme() {
    let readme = include_str!("../../README.md");
    let host = Host::start(&[]).await;
    let mut shown = BTreeSet::new();
    for series in scrape(&host).await.into_keys() {
        let (name, labels) = series.split_once('{').unwrap_or((&series, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        let pairs = labels.split(',').filter_map(|label| label.split_once('='));
        let (names, values): (Vec<&str>, Vec<&str>) = pairs.unzip();
        let name = match names.is_empty() {
            true => name.to_owned(),
            false => format!("{name}{{{}}}", names.join(",")),
        };
        let row = readme.lines().find(|line| line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is not explained"));
        for value in values {
            let value = format!("`{}`", value.trim_matches('"'));
            assert!(row.contains(&value), "{name}: {value} is not explained");
        }
        shown.insert(name);
    }
    for name in readme.split('`').filter(|word| word.starts_with("threephone_")) {
        assert!(shown.contains(name), "{name} is not on the page");
    }
    host.close().await;
}
