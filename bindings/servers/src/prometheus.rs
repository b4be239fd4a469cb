//! The node's figures as Prometheus reads them: the text exposition format, version 0.0.4.
//!
//! Every family begins with its help and its type. Counts that only grow end in `_total`; labels
//! have a fixed set of values, so that nobody on the network can make the page grow.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use threephone_node::{NodeMetrics, PeerKind, PeerState};

use crate::api::Api;
use crate::http::wrong_method;

/// What the page is served as.
pub const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the page at `/metrics`.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let router = Router::new().route("/metrics", get(page));
    router.method_not_allowed_fallback(wrong_method).fallback(unknown_path).with_state(api)
}

async fn unknown_path() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is nothing at this path; the metrics are at /metrics")
}

async fn page(State(api): State<Arc<Api>>) -> Response {
    let text = render(&api.node().metrics().await);
    ([(CONTENT_TYPE, CONTENT)], text).into_response()
}

/// The page.
pub fn render(metrics: &NodeMetrics) -> String {
    let mut page = Page::default();
    peers(&mut page, metrics);
    links(&mut page, metrics);
    routes(&mut page, metrics);
    drops(&mut page, metrics);
    data(&mut page, metrics);
    messages(&mut page, metrics);
    held(&mut page, metrics);
    page.0
}

fn peers(page: &mut Page, metrics: &NodeMetrics) {
    let kinds = [
        (PeerKind::Static, "static"),
        (PeerKind::Inbound, "inbound"),
        (PeerKind::Discovered, "discovered"),
        (PeerKind::Public, "public"),
    ];
    let states = [
        (PeerState::Alive, "alive"),
        (PeerState::Connecting, "connecting"),
        (PeerState::Dead, "dead"),
        (PeerState::Itself, "itself"),
    ];
    page.gauge("threephone_peers", "Peers in the table.");
    for (kind, kind_name) in kinds {
        for (state, state_name) in states {
            let rows = metrics.peers.iter().filter(|row| (row.kind, row.state) == (kind, state));
            let count = rows.map(|row| row.count).sum();
            page.sample(&[("kind", kind_name), ("state", state_name)], count);
        }
    }
}

fn links(page: &mut Page, metrics: &NodeMetrics) {
    let links = &metrics.links;
    page.count("threephone_links_opened_total", "Links that came up.", links.opened);
    page.count("threephone_links_closed_total", "Links that ended.", links.closed);
    page.count(
        "threephone_link_transmit_packets_total",
        "Packets queued for links.",
        links.tx_packets,
    );
    page.count("threephone_link_receive_packets_total", "Packets that came.", links.rx_packets);
    page.count("threephone_link_transmit_bytes_total", "Bytes written to links.", links.tx_bytes);
    page.count("threephone_link_receive_bytes_total", "Bytes read from links.", links.rx_bytes);
    let queues = &metrics.link_queues;
    let queues = [("control", queues.control_bytes), ("data", queues.data_bytes)];
    page.gauges(
        "threephone_link_queue_bytes",
        "Bytes that wait to be written to links.",
        "class",
        &queues,
    );
}

fn routes(page: &mut Page, metrics: &NodeMetrics) {
    let routes = &metrics.routes;
    let states = [
        ("selected", routes.selected),
        ("fallback", routes.fallback),
        ("retracted", routes.retracted),
    ];
    page.gauges("threephone_routes", "Entries of the routing table.", "state", &states);
    page.gauge("threephone_route_queries", "Prefixes that are being looked for.");
    page.sample(&[], routes.queried);
    let router = &metrics.router;
    let events = [
        ("lookup_failed", router.lookups_failed),
        ("route_evicted", router.routes_evicted),
        ("announcement_damped", router.damped),
        ("probe_sent", router.probes),
        ("link_silent", router.silences),
        ("route_undelivered", router.undelivered),
    ];
    page.counts("threephone_router_events_total", "What the router noticed.", "event", &events);
}

fn drops(page: &mut Page, metrics: &NodeMetrics) {
    for (name, help, drops) in [
        (
            "control_dropped",
            "Control packets and routes not taken.",
            &metrics.control_refused()[..],
        ),
        ("data_dropped", "Data packets that went nowhere.", &metrics.data_dropped()),
        (
            "messages_refused",
            "Messages of other nodes that were refused.",
            &metrics.messages_refused(),
        ),
    ] {
        page.counts(&format!("threephone_{name}_total"), help, "cause", drops);
    }
}

fn data(page: &mut Page, metrics: &NodeMetrics) {
    let data = &metrics.data;
    page.counts(
        "threephone_data_packets_total",
        "Data packets of others sent on, IP packets from and to the TUN, pings answered without one.",
        "way",
        &[
            ("forwarded", data.forwarded),
            ("tun_sent", data.sent),
            ("tun_delivered", data.delivered),
            ("echoed", data.echoed),
        ],
    );
    page.counts(
        "threephone_data_error_reports_total",
        "Error reports that came about own packets, and that were sent about those of others.",
        "direction",
        &[("received", data.errors), ("sent", data.reports)],
    );
}

fn messages(page: &mut Page, metrics: &NodeMetrics) {
    let bus = &metrics.bus;
    let counts = [
        ("messages_queued", "Messages and replies taken for sending.", bus.accepted),
        ("messages_queued_bytes", "Bytes of those.", bus.accepted_bytes),
        ("messages_delivered", "Messages that the other node has whole.", bus.delivered),
        ("messages_aborted", "Messages given up, cancelled or refused.", bus.aborted),
        ("messages_arrived", "Whole messages that came.", bus.completed),
        ("messages_taken", "Messages handed to applications.", bus.taken),
        ("messages_taken_bytes", "Bytes of those.", bus.taken_bytes),
        ("message_chunks_sent", "Pieces of messages sent, repeats among them.", bus.chunks_sent),
        ("message_chunks_repeated", "Pieces of messages sent again.", bus.chunks_repeated),
        ("message_repeats_received", "Packets of messages that were whole.", bus.repeated),
    ];
    for (name, help, count) in counts {
        page.count(&format!("threephone_{name}_total"), help, count);
    }
}

fn held(page: &mut Page, metrics: &NodeMetrics) {
    let bus = &metrics.bus;
    let queues = [
        ("outgoing", bus.outgoing, Some(bus.outgoing_bytes)),
        ("incoming", bus.pending, Some(bus.pending_bytes)),
        ("blocked", bus.blocked, None), // their bytes are among those of the incoming
        ("ready", bus.ready, Some(bus.ready_bytes)),
    ];
    let messages = queues.map(|(queue, messages, _)| (queue, messages));
    page.gauges("threephone_bus_messages", "Messages held.", "queue", &messages);
    let bytes = queues.iter().filter_map(|(queue, _, bytes)| bytes.map(|bytes| (*queue, bytes)));
    page.gauges(
        "threephone_bus_bytes",
        "Bytes of messages held, with what their keeping costs.",
        "queue",
        &bytes.collect::<Vec<_>>(),
    );
    page.gauge(
        "threephone_bus_remembered",
        "Ids of messages that became whole, kept to recognise repeats, with what their keeping costs.",
    );
    page.sample(&[], bus.remembered);
}

/// The text so far, and the family that samples belong to.
#[derive(Default)]
struct Page(String, String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.family(name, "counter", help);
    }

    /// A family of one sample.
    fn count(&mut self, name: &str, help: &str, value: u64) {
        self.counter(name, help);
        self.sample(&[], value);
    }

    /// A family with a sample for each value of one label.
    fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.gauge(name, help);
        self.by(label, values);
    }

    /// The same of what only grows.
    fn counts(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.counter(name, help);
        self.by(label, values);
    }

    fn by(&mut self, label: &str, values: &[(&str, u64)]) {
        for (of, value) in values {
            self.sample(&[(label, of)], *value);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        name.clone_into(&mut self.1);
        // Writing into a `String` does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(&self.1);
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if !labels.is_empty() {
            let _ = write!(self.0, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(self.0, " {value}");
    }
}
