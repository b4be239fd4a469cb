//! The node's figures as Prometheus reads them: the text exposition format, version 0.0.4.
//!
//! Every family begins with its help and its type. Counts that only grow end in `_total`; labels
//! have a fixed set of values, so that nobody on the network can make the page grow.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use threephone_node::{NodeMetrics, PeerKind, PeerState};

use crate::api::Api;

/// What the page is served as.
pub const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the page at `/metrics`.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new().route("/metrics", get(page)).with_state(api)
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
    messages(&mut page, metrics);
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
    page.gauge("threephone_link_queue_bytes", "Bytes that wait to be written to links.");
    page.sample(&[("class", "control")], metrics.link_queues.control_bytes);
    page.sample(&[("class", "data")], metrics.link_queues.data_bytes);
    page.count("threephone_link_receive_bytes_total", "Bytes read from links.", links.rx_bytes);
}

fn routes(page: &mut Page, metrics: &NodeMetrics) {
    let routes = &metrics.routes;
    page.gauge("threephone_routes", "Entries of the routing table.");
    page.sample(&[("state", "selected")], routes.selected);
    page.sample(&[("state", "fallback")], routes.fallback);
    page.sample(&[("state", "retracted")], routes.retracted);
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
    page.counter("threephone_router_events_total", "What the router noticed.");
    for (event, count) in events {
        page.sample(&[("event", event)], count);
    }
}

fn drops(page: &mut Page, metrics: &NodeMetrics) {
    let (router, data, links) = (&metrics.router, &metrics.data, &metrics.links);
    let control = [
        ("malformed", links.malformed),
        ("filtered", router.filtered),
        ("infeasible", router.infeasible),
        ("other_key", router.other_key),
        ("other_router_id", router.other_router_id),
        ("own_forged", router.own_forged),
        ("hello_rate", router.hellos_over_rate),
        ("ihu_rate", router.ihus_over_rate),
        ("update_rate", router.updates_over_rate),
        ("route_request_rate", router.route_requests_over_rate),
        ("seqno_request_rate", router.seqno_requests_over_rate),
        ("request_refused", router.requests_refused),
        ("lookup_refused", router.lookups_refused),
        ("table_full", router.routes_refused),
        ("unwanted", router.routes_unwanted),
        ("link_slow", router.held_back),
    ];
    page.counter("threephone_control_dropped_total", "Control packets and routes not taken.");
    for (cause, count) in control {
        page.sample(&[("cause", cause)], count);
    }
    let packets = [
        ("queue_full", links.dropped),
        ("hop_limit", data.hop_limit),
        ("unopened", data.unopened),
        ("malformed", data.malformed),
        ("no_route", data.no_route),
        ("no_tun", data.l3),
    ];
    page.counter("threephone_data_dropped_total", "Data packets that went nowhere.");
    for (cause, count) in packets {
        page.sample(&[("cause", cause)], count);
    }
    page.count(
        "threephone_data_error_reports_total",
        "Error reports of other nodes about packets of this one.",
        data.errors,
    );
}

fn messages(page: &mut Page, metrics: &NodeMetrics) {
    let messages = &metrics.messages;
    let counts = [
        ("queued", "Messages taken for sending.", messages.queued),
        ("queued_bytes", "Bytes of messages taken for sending.", messages.queued_bytes),
        ("delivered", "Messages that the other node has.", messages.delivered),
        ("aborted", "Messages given up, cancelled or refused.", messages.aborted),
        ("arrived", "Whole messages that came.", messages.arrived),
        ("taken", "Messages handed to applications.", messages.taken),
        ("taken_bytes", "Bytes of messages handed to applications.", messages.taken_bytes),
    ];
    for (name, help, count) in counts {
        page.count(&format!("threephone_messages_{name}_total"), help, count);
    }
    let bus = &metrics.bus;
    page.gauge("threephone_bus_messages", "Messages held.");
    page.sample(&[("queue", "outgoing")], bus.outgoing);
    page.sample(&[("queue", "incoming")], bus.incoming);
    page.sample(&[("queue", "ready")], bus.ready);
    page.gauge("threephone_bus_bytes", "Bytes of messages held.");
    page.sample(&[("queue", "outgoing")], bus.outgoing_bytes);
    page.sample(&[("queue", "incoming")], bus.incoming_bytes);
    page.sample(&[("queue", "ready")], bus.ready_bytes);
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
