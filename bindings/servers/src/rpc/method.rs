//! The list of methods: what is not in it is not called, and what `rpc.discover` tells is read from
//! it, so that the description cannot differ from what is done.

/// One method.
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) params: &'static [Param],
    pub(super) result: Shape,
    /// Numbers of its own errors, besides those that any method may give.
    pub(super) errors: &'static [i64],
}

/// One parameter.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    /// A whole number from 0 on.
    Count,
    Text,
    TextOrNull,
    Texts,
    /// A description of an interface.
    Document,
    /// One of the named shapes in `schemas.json`.
    Named(&'static str),
    NamedOrNull(&'static str),
    List(&'static str),
    /// One of two named shapes.
    Either(&'static str, &'static str),
}

const fn required(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, is_required: true }
}

const fn optional(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, is_required: false }
}

const fn method(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    result: Shape,
    errors: &'static [i64],
) -> Method {
    Method { name, summary, params, result, errors }
}

const ENDPOINT: &[Param] = &[required("endpoint", Shape::Text)];
const TOPIC: &[Param] = &[required("topic", Shape::Text)];
const TOPIC_AND_SUBNET: &[Param] =
    &[required("topic", Shape::Text), required("subnet", Shape::Text)];
const MESSAGE: Shape = Shape::Named("MessageSendInfo");

/// Finds a method by its name.
pub(super) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// All of them.
#[rustfmt::skip] // a table
pub(super) static METHODS: &[Method] = &[
    method("getInfo", "Key, address and start of this node", &[], Shape::Named("Info"), &[]),
    method("getPublicKeyFromIp", "The key of the node at an address", &[required("ip", Shape::Text)], Shape::Text, &[-32_007, -32_008]),
    method("getPeers", "The peer table", &[], Shape::List("PeerStats"), &[]),
    method("addPeer", "Connects to a peer for as long as the node runs", ENDPOINT, Shape::Bool, &[-32_009, -32_010]),
    method("deletePeer", "Disconnects from a peer and forgets it", ENDPOINT, Shape::Bool, &[-32_012, -32_011]),
    method("getSelectedRoutes", "The routes that packets take", &[], Shape::List("Route"), &[]),
    method("getFallbackRoutes", "All other route entries", &[], Shape::List("Route"), &[]),
    method("getQueriedSubnets", "Prefixes that are being looked for", &[], Shape::List("QueriedSubnet"), &[]),
    method("getProxies", "SOCKS5 proxies; this node looks for none", &[], Shape::Texts, &[]),
    method("connectProxy", "Always fails: this node has no proxy", &[optional("remote", Shape::Text)], Shape::Text, &[-32_032]),
    method("disconnectProxy", "Does nothing", &[], Shape::Bool, &[]),
    method("startProxyProbe", "Does nothing", &[], Shape::Bool, &[]),
    method("stopProxyProbe", "Does nothing", &[], Shape::Bool, &[]),
    method("getPacketStatistics", "Data packets by source and by destination", &[], Shape::Named("PacketStatistics"), &[]),
    method("rpc.discover", "This document", &[], Shape::Document, &[]),
    method(
        "popMessage",
        "Takes the oldest message, waiting for it up to so many seconds; with peek it stays",
        &[optional("peek", Shape::Bool), optional("timeout", Shape::Count), optional("topic", Shape::Text)],
        Shape::NamedOrNull("MessageReceiveInfo"),
        &[-32_013],
    ),
    method(
        "pushMessage",
        "Sends a message; with a reply timeout in seconds gives the reply if one comes in time",
        &[required("message", MESSAGE), optional("reply_timeout", Shape::Count)],
        Shape::Either("MessageId", "MessageReceiveInfo"),
        &[-32_015],
    ),
    method("pushMessageReply", "Answers a message", &[required("id", Shape::Text), required("message", MESSAGE)], Shape::Bool, &[-32_018]),
    method("getMessageInfo", "How far a message is", &[required("id", Shape::Text)], Shape::Named("MessageInfo"), &[-32_020, -32_019]),
    method("getDefaultTopicAction", "Whether topics without a rule are accepted", &[], Shape::Bool, &[]),
    method("setDefaultTopicAction", "Says whether they are", &[required("accept", Shape::Bool)], Shape::Bool, &[]),
    method("getTopics", "The topics with a rule", &[], Shape::Texts, &[]),
    method("addTopic", "Gives a topic a rule that lets nobody in yet", TOPIC, Shape::Bool, &[-32_021]),
    method("removeTopic", "Takes a topic's rule away", TOPIC, Shape::Bool, &[-32_021]),
    method("getTopicSources", "Who may send on a topic", TOPIC, Shape::Texts, &[-32_021, -32_030]),
    method("addTopicSource", "Lets a subnet or an address send on a topic", TOPIC_AND_SUBNET, Shape::Bool, &[-32_021, -32_023]),
    method("removeTopicSource", "Lets it no more", TOPIC_AND_SUBNET, Shape::Bool, &[-32_021, -32_023]),
    method("getTopicForwardSocket", "The service that gets a topic's messages", TOPIC, Shape::TextOrNull, &[-32_021]),
    method(
        "setTopicForwardSocket",
        "Sets it; nothing happens for a topic without a rule",
        &[required("topic", Shape::Text), required("socket_path", Shape::Text)],
        Shape::Bool,
        &[-32_021],
    ),
    method("removeTopicForwardSocket", "Messages of the topic wait to be taken again", TOPIC, Shape::Bool, &[-32_021]),
];
