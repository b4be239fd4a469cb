//! Every figure that is measured, with what it must be.

use crate::hostile::attack::Attack;

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Must {
    /// Only shown.
    Nothing,
    /// The median may not lie above.
    AtMost(f64),
    /// The median may not lie below.
    AtLeast(f64),
    /// The median is this.
    Exactly(f64),
}

/// What is measured, and on whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figure {
    /// The work.
    pub(crate) what: &'static str,
    /// Who does it.
    pub(crate) who: &'static str,
    /// The unit of the values.
    pub(crate) unit: &'static str,
    /// The bound.
    pub(crate) must: Must,
}

const OURS: &str = "3Phone";
const SIMULATED: &str = "3Phone, simulated";
const OURS_HTTP: &str = "3Phone, over HTTP";
const STOCK: &str = "stock, over HTTP";
const API_TCP: &str = "HTTP APIs, 100 bytes, TCP";
const API_QUIC: &str = "HTTP APIs, 100 bytes, QUIC";
const DIRECT: &str = "bus, 100 bytes";
const ROUTED: &str = "bus, 100 bytes, one router between";
const BULK: &str = "bus, 1,000,000 bytes";

const SHAPED: &str = "HTTP APIs, 1,000,000 bytes over 2 Mbit/s, 100 ms, TCP";
const SHAPED_COST: &str = "bytes sent for them, all, by the payload";
const RATE: &str = "bus, 200 bytes, 8 senders";

const fn figure(what: &'static str, who: &'static str, unit: &'static str, must: Must) -> Figure {
    Figure { what, who, unit, must }
}

/// A short message over one link.
pub(crate) const BUS: Figure = figure(DIRECT, OURS, "ms", Must::AtMost(2.0));
/// The same between stock daemons.
pub(crate) const BUS_STOCK: Figure = figure(DIRECT, STOCK, "ms", Must::Nothing);
/// A short message through the HTTP API of each side, over TCP.
pub(crate) const API: Figure = figure(API_TCP, OURS_HTTP, "ms", Must::AtMost(2.0));
/// The same between stock daemons.
pub(crate) const API_STOCK: Figure = figure(API_TCP, STOCK, "ms", Must::Nothing);
/// The same over QUIC.
pub(crate) const API_OVER_QUIC: Figure = figure(API_QUIC, OURS_HTTP, "ms", Must::AtMost(3.0));
/// The same between stock daemons.
pub(crate) const API_OVER_QUIC_STOCK: Figure = figure(API_QUIC, STOCK, "ms", Must::Nothing);
/// A short message over two links.
pub(crate) const ROUTER: Figure = figure(ROUTED, OURS, "ms", Must::AtMost(3.0));
/// The same between our nodes over a stock router.
pub(crate) const ROUTER_MIXED: Figure = figure(ROUTED, "3Phone, router stock", "ms", Must::Nothing);
/// The same between stock daemons over a stock router.
pub(crate) const ROUTER_STOCK: Figure = figure(ROUTED, STOCK, "ms", Must::Nothing);
/// A long message over one link.
pub(crate) const LONG: Figure = figure(BULK, OURS, "ms", Must::Nothing);
/// The same between stock daemons.
pub(crate) const LONG_STOCK: Figure = figure(BULK, STOCK, "ms", Must::Nothing);
/// Short messages of many senders.
pub(crate) const MESSAGE_RATE: Figure = figure(RATE, OURS, "messages/s", Must::AtLeast(30_000.0));
/// The same between stock daemons.
pub(crate) const MESSAGE_RATE_STOCK: Figure = figure(RATE, STOCK, "messages/s", Must::Nothing);
/// One message of 64 MiB.
pub(crate) const BULK_RATE: Figure =
    figure("bus, one message of 64 MiB", OURS, "MB/s", Must::AtLeast(100.0));
/// A million bytes over a slow path.
pub(crate) const SLOW_TIME: Figure =
    figure("bus, 1,000,000 bytes over 2 Mbit/s, 100 ms", SIMULATED, "s", Must::AtMost(5.0));
/// What that costs.
pub(crate) const SLOW_BYTES: Figure =
    figure("bytes sent for them, by the payload", SIMULATED, "", Must::AtMost(1.1));
/// How long a packet of it waited before the link at most: so long others wait too.
pub(crate) const SLOW_QUEUE: Figure =
    figure("longest wait of a packet before the link", SIMULATED, "ms", Must::Nothing);
/// Packets of it that did not fit there.
pub(crate) const SLOW_DROPS: Figure = figure("packets dropped there", SIMULATED, "", Must::Nothing);
/// The same with losses.
pub(crate) const LOSSY_TIME: Figure =
    figure("the same, 2 % of data packets lost", SIMULATED, "s", Must::AtMost(6.0));
/// What that costs.
pub(crate) const LOSSY_BYTES: Figure =
    figure("bytes sent for them then, by the payload", SIMULATED, "", Must::AtMost(1.25));
/// A million bytes over a slow path of whole programs.
pub(crate) const SHAPED_TIME: Figure = figure(SHAPED, OURS_HTTP, "s", Must::AtMost(5.0));
/// What that costs.
pub(crate) const SHAPED_BYTES: Figure = figure(SHAPED_COST, OURS_HTTP, "", Must::AtMost(1.1));
/// The same between stock daemons.
pub(crate) const SHAPED_TIME_STOCK: Figure = figure(SHAPED, STOCK, "s", Must::Nothing);
/// What that costs.
pub(crate) const SHAPED_BYTES_STOCK: Figure = figure(SHAPED_COST, STOCK, "", Must::Nothing);
/// What the stock daemon's API takes by itself.
pub(crate) const HTTP: Figure = figure("one request to the HTTP API", "stock", "ms", Must::Nothing);
/// From `send` to the receiver's event.
pub(crate) const LINE: Figure =
    figure("chat line, send to event, 5 ms a sync", OURS, "ms", Must::AtMost(15.0));
/// From `send` until the sender knows that it is durable at the receiver.
pub(crate) const LINE_DELIVERED: Figure =
    figure("chat line, send to delivered, 5 ms a sync", OURS, "ms", Must::Nothing);
/// Syncs of the sender on the way of a line.
pub(crate) const SYNCS_SENDER: Figure =
    figure("syncs on a line's way, median", "3Phone, sender", "", Must::Exactly(1.0));
/// Syncs of the receiver on the way of a line.
pub(crate) const SYNCS_RECEIVER: Figure =
    figure("syncs on a line's way, median", "3Phone, receiver", "", Must::Exactly(1.0));
/// How many lines cost neither side more; the others met a checkpoint.
pub(crate) const ONE_SYNC: Figure =
    figure("lines with one sync a side on their way", OURS, "%", Must::Nothing);
/// A full outbox, until everything is applied and acknowledged.
pub(crate) const DRAIN: Figure =
    figure("10,000 lines drained, 5 ms a sync", OURS, "lines/s", Must::AtLeast(1000.0));
/// Syncs of the sender meanwhile.
pub(crate) const DRAIN_SYNCS_SENDER: Figure =
    figure("syncs while 10,000 lines drain", "3Phone, sender", "", Must::Nothing);
/// Syncs of the receiver meanwhile.
pub(crate) const DRAIN_SYNCS_RECEIVER: Figure =
    figure("syncs while 10,000 lines drain", "3Phone, receiver", "", Must::Nothing);
const SILENCE: &str = "router stopped by SIGSTOP, time without deliveries";
/// In a diamond of four nodes.
pub(crate) const SILENT: Figure = figure(SILENCE, OURS_HTTP, "s", Must::AtMost(3.0));
/// The same of stock daemons.
pub(crate) const SILENT_STOCK: Figure = figure(SILENCE, STOCK, "s", Must::Nothing);
const WAKE_UPS: &str = "idle with one peer, wake-ups of all threads";
const WAKE_UPS_LOW: &str = "idle with one peer and --power idle, wake-ups of all threads";
const MEMORY: &str = "idle with one peer, memory resident";
/// `up` without options, all services open.
pub(crate) const IDLE: Figure = figure(WAKE_UPS, OURS, "1/hour", Must::AtMost(600.0));
/// `up --power idle`.
pub(crate) const IDLE_LOW: Figure = figure(WAKE_UPS_LOW, OURS, "1/hour", Must::AtMost(400.0));
/// The stock daemon.
pub(crate) const IDLE_STOCK: Figure = figure(WAKE_UPS, "stock", "1/hour", Must::Nothing);
/// `up` without options, all services open.
pub(crate) const IDLE_MEMORY: Figure = figure(MEMORY, OURS, "MiB", Must::AtMost(16.0));
/// What of it no file lies behind: what the system cannot take back.
pub(crate) const IDLE_PRIVATE: Figure =
    figure("of that, not backed by a file", OURS, "MiB", Must::Nothing);
/// The stock daemon.
pub(crate) const IDLE_MEMORY_STOCK: Figure = figure(MEMORY, "stock", "MiB", Must::Nothing);
const ROUTES: &str = "100,000 routes of one peer";
const ROUTES_GROWTH: &str = "100,000 routes of one peer, what the daemon grows by";
/// Updates of routes not known yet, per second of CPU time.
pub(crate) const ROUTES_NEW: Figure =
    figure(ROUTES, "3Phone, new ones", "per CPU second", Must::AtLeast(125_000.0));
/// The same Updates once more.
pub(crate) const ROUTES_AGAIN: Figure =
    figure(ROUTES, "3Phone, repeated", "per CPU second", Must::AtLeast(125_000.0));
/// What they take, and what the process grows by.
pub(crate) const ROUTES_MEMORY: Figure = figure(ROUTES, OURS, "MiB", Must::AtMost(40.0));
/// The same per route, as allocated.
pub(crate) const ROUTES_BYTES: Figure = figure(ROUTES, OURS, "bytes a route", Must::Nothing);

const fn attack_name(attack: Attack) -> &'static str {
    match attack {
        Attack::Hello => "a peer floods Hellos",
        Attack::Ihu => "a peer floods IHUs",
        Attack::Update => "a peer floods Updates of new routes",
        Attack::Flapping => "a peer floods Updates of routes that come and go",
        Attack::RouteRequest => "a peer floods Route Requests",
        Attack::Wildcard => "a peer floods requests for the whole table",
        Attack::SeqnoRequest => "a peer floods Seqno Requests",
        Attack::Data => "a peer floods packets for made-up nodes",
        Attack::Sources => "a peer floods packets from made-up nodes",
        Attack::Deaf => "a peer floods and reads nothing",
        Attack::Connections => "somebody connects without end",
        Attack::Drip => "400 connections bring one byte a second",
    }
}

/// The time of others' messages meanwhile, by what they take without.
pub(crate) const fn hostile_latency(attack: Attack) -> Figure {
    figure(attack_name(attack), "3Phone, another peer's messages", "x usual", Must::AtMost(2.0))
}

/// What the node gives to it.
pub(crate) const fn hostile_memory(attack: Attack) -> Figure {
    figure(attack_name(attack), "3Phone, memory", "MiB", Must::AtMost(64.0))
}
/// The same at our daemon, over TCP.
pub(crate) const ROUTES_DAEMON: Figure =
    figure(ROUTES, "3Phone's daemon", "per CPU second", Must::AtLeast(125_000.0));
/// What the daemon grows by.
pub(crate) const ROUTES_DAEMON_MEMORY: Figure =
    figure(ROUTES_GROWTH, "3Phone's daemon", "MiB", Must::AtMost(40.0));
/// The stock daemon.
pub(crate) const ROUTES_STOCK: Figure = figure(ROUTES, "stock", "per CPU second", Must::Nothing);
/// The stock daemon.
pub(crate) const ROUTES_STOCK_MEMORY: Figure = figure(ROUTES_GROWTH, "stock", "MiB", Must::Nothing);

const BETTER: &str = "3Phone, times better than stock";

const fn ratio(what: &'static str, at_least: f64) -> Figure {
    figure(what, BETTER, "x", Must::AtLeast(at_least))
}

/// For what a proxy's clock decides, which is the same on every machine.
const fn shown(what: &'static str) -> Figure {
    figure(what, BETTER, "x", Must::Nothing)
}

/// What of ours compares with what of the stock daemon's, and by how much ours must be better: the
/// bound of ours by what the stock daemon was measured at when the bound was set. Machines differ,
/// ratios hardly.
pub(crate) const RATIOS: [(Figure, Figure, Figure); 11] = [
    (ratio(API_TCP, 102.0 / 2.0), API, API_STOCK),
    (ratio(API_QUIC, 103.0 / 3.0), API_OVER_QUIC, API_OVER_QUIC_STOCK),
    (shown(SHAPED), SHAPED_TIME, SHAPED_TIME_STOCK),
    (shown(SHAPED_COST), SHAPED_BYTES, SHAPED_BYTES_STOCK),
    (ratio(RATE, 30_000.0 / 2500.0), MESSAGE_RATE, MESSAGE_RATE_STOCK),
    (ratio(SILENCE, 42.0 / 3.0), SILENT, SILENT_STOCK),
    (ratio(WAKE_UPS, 4236.0 / 600.0), IDLE, IDLE_STOCK),
    (ratio(WAKE_UPS_LOW, 4236.0 / 400.0), IDLE_LOW, IDLE_STOCK),
    (ratio(MEMORY, 14.0 / 16.0), IDLE_MEMORY, IDLE_MEMORY_STOCK),
    (ratio(ROUTES, 125_000.0 / 11_300.0), ROUTES_DAEMON, ROUTES_STOCK),
    (ratio(ROUTES_GROWTH, 168.0 / 40.0), ROUTES_DAEMON_MEMORY, ROUTES_STOCK_MEMORY),
];
