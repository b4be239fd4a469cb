//! Outcomes as a table or as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use threephone_lab::Counters;

use crate::large::Outcome;

/// Of one node in one hour.
fn hourly(total: u64, nodes: usize, hours: f64) -> f64 {
    total as f64 / nodes.max(1) as f64 / hours.max(f64::MIN_POSITIVE)
}

fn quantile(delays: &[Duration], of_hundred: usize) -> Option<f64> {
    let mut sorted = delays.to_vec();
    sorted.sort();
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[last * of_hundred / 100].as_secs_f64() * 1000.0)
}

fn part(counters: &Counters, nodes: usize, hours: f64, routes: usize) -> Value {
    json!({
        "nodes": nodes,
        "control_bytes_per_hour": hourly(counters.control_bytes, nodes, hours),
        "control_packets_per_hour": hourly(counters.control_packets(), nodes, hours),
        "updates_per_hour": hourly(counters.updates, nodes, hours),
        "route_requests_per_hour": hourly(counters.route_requests, nodes, hours),
        "data_bytes_per_hour": hourly(counters.data_bytes, nodes, hours),
        "wakeups_per_hour": hourly(counters.wakeups, nodes, hours),
        "timer_wakeups_per_hour": hourly(counters.timer_wakeups, nodes, hours),
        "routes": routes as f64 / nodes.max(1) as f64,
    })
}

pub(crate) fn json(outcome: &Outcome) -> Value {
    let delivered = outcome.delays.len();
    json!({
        "nodes": outcome.nodes,
        "hours": outcome.hours,
        "messages_sent": outcome.sent,
        "messages_delivered": delivered,
        "messages_aborted": outcome.aborted,
        "delivery_rate": delivered as f64 / outcome.sent.max(1) as f64,
        "delay_ms_median": quantile(&outcome.delays, 50),
        "delay_ms_99": quantile(&outcome.delays, 99),
        "leaf": part(&outcome.leaves, outcome.leaf_count, outcome.hours, outcome.leaf_routes),
        "router": part(&outcome.routers, outcome.router_count, outcome.hours, outcome.router_routes),
        "bytes_per_route": outcome.route_bytes,
        "bytes_per_node": outcome.node_bytes,
        "loops": outcome.loops,
        "violations": outcome.violations,
        "events": outcome.events,
        "seconds": outcome.took.as_secs_f64(),
    })
}

/// One row a figure, in the order of the JSON.
pub(crate) fn table(outcome: &Outcome) -> String {
    let mut text = String::from("| figure | value |\n| --- | ---: |\n");
    rows("", &json(outcome), &mut text);
    text
}

fn rows(before: &str, value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('_', " ");
                let name = if before.is_empty() { name } else { format!("{before}: {name}") };
                rows(&name, value, text);
            }
        }
        Value::Number(number) if number.is_f64() => {
            text.push_str(&format!("| {before} | {:.3} |\n", number.as_f64().unwrap_or_default()));
        }
        other => text.push_str(&format!("| {before} | {other} |\n")),
    }
}
