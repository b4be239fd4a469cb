//! What goes over the message bus and what is told of it, in types that every language has.

use std::time::SystemTime;

use threephone::node;

use crate::PhoneError;
use crate::convert::{count, parse};

/// How far an outgoing message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum SendState {
    /// Waiting for a route, or under way.
    Pending,
    /// The other node has all of it.
    Received,
    /// An application there has taken it.
    Read,
    /// Given up by the sender or refused by the receiver, or long forgotten.
    Aborted,
}

impl From<node::SendState> for SendState {
    fn from(state: node::SendState) -> Self {
        match state {
            node::SendState::Pending => Self::Pending,
            node::SendState::Received => Self::Received,
            node::SendState::Read => Self::Read,
            node::SendState::Aborted => Self::Aborted,
        }
    }
}

/// What is known of an outgoing message, for example to draw how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct SendProgress {
    /// How far it has come.
    pub state: SendState,
    /// Bytes of the whole message.
    pub bytes: u64,
    /// Pieces that it is sent in; 0 before it is cut, and again once it has ended.
    pub pieces: u64,
    /// Pieces that the other node has.
    pub pieces_received: u64,
    /// When it was handed over.
    pub created: SystemTime,
    /// When it will be given up.
    pub deadline: SystemTime,
}

impl From<node::MessageInfo> for SendProgress {
    fn from(info: node::MessageInfo) -> Self {
        let node::Progress { pending, sent, acked } = info.progress;
        Self {
            state: info.state.into(),
            bytes: count(info.length),
            pieces: count(pending.saturating_add(sent).saturating_add(acked)),
            pieces_received: count(acked),
            created: info.created,
            deadline: info.deadline,
        }
    }
}

/// A message from another node.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct BusMessage {
    /// The sender's name for it.
    pub id: String,
    /// At most 255 bytes; empty when the sender gave none.
    pub topic: Vec<u8>,
    /// The overlay address it came from.
    pub source: String,
    /// The sender's node key, 64 hexadecimal digits.
    pub source_public_key: String,
    /// What was sent; may be empty.
    pub payload: Vec<u8>,
    /// Whether it answers a message of ours.
    pub reply: bool,
}

impl From<node::ReceivedMessage> for BusMessage {
    fn from(message: node::ReceivedMessage) -> Self {
        Self {
            id: message.id.to_string(),
            topic: message.topic.into(),
            source: message.source.to_string(),
            source_public_key: message.source_key.to_string(),
            payload: message.payload.into(),
            reply: message.reply,
        }
    }
}

/// A question that was sent, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct BusAnswer {
    /// The question's id; it goes on being sent when nobody answered in time.
    pub id: String,
    /// The reply, if one came in time.
    pub reply: Option<BusMessage>,
}

/// Who may send messages on which topic. Replies that somebody waits for are no matter of it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct TopicPolicy {
    /// Whether anybody may send on a topic without a rule.
    #[uniffi(default = true)]
    pub accept_others: bool,
    /// The rules.
    #[uniffi(default = [])]
    pub rules: Vec<TopicRule>,
}

/// Who may send on one topic.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct TopicRule {
    /// Its exact bytes.
    pub topic: Vec<u8>,
    /// Prefixes such as `400:1::/32`, or single addresses, of those who may; with none nobody may.
    pub sources: Vec<String>,
}

impl TryFrom<TopicPolicy> for node::TopicPolicy {
    type Error = PhoneError;

    fn try_from(policy: TopicPolicy) -> Result<Self, PhoneError> {
        let default = match policy.accept_others {
            true => node::TopicAction::Accept,
            false => node::TopicAction::Reject,
        };
        let rules = policy.rules.into_iter().map(|rule| {
            let sources = rule.sources.iter().map(|text| prefix(text)).collect::<Result<_, _>>()?;
            Ok((rule.topic.into(), node::TopicRule { sources, forward_socket: None }))
        });
        Ok(Self { default, topics: rules.collect::<Result<_, PhoneError>>()? })
    }
}

impl From<node::TopicPolicy> for TopicPolicy {
    fn from(policy: node::TopicPolicy) -> Self {
        let rules = policy.topics.into_iter().map(|(topic, rule)| TopicRule {
            topic: topic.into(),
            sources: rule.sources.iter().map(ToString::to_string).collect(),
        });
        Self { accept_others: policy.default == node::TopicAction::Accept, rules: rules.collect() }
    }
}

fn prefix(text: &str) -> Result<node::Prefix, PhoneError> {
    match text.contains('/') {
        true => parse("sources", text),
        false => parse("sources", &format!("{text}/128")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_policy_comes_back_as_it_went_and_what_is_no_prefix_is_refused() {
        let rule = TopicRule {
            topic: b"a\xff".to_vec(),
            sources: vec!["400:1::/32".into(), "500::1/128".into()],
        };
        let policy = TopicPolicy { accept_others: false, rules: vec![rule.clone()] };
        let core = node::TopicPolicy::try_from(policy.clone()).unwrap();
        assert!(core.allows(b"a\xff", "400:1::5".parse().unwrap()));
        assert!(!core.allows(b"b", "400:1::5".parse().unwrap()));
        assert_eq!(TopicPolicy::from(core), policy);
        for source in ["", "nowhere", "192.0.2.1", "400::/129"] {
            let rules = vec![TopicRule { sources: vec![source.into()], ..rule.clone() }];
            let refused = node::TopicPolicy::try_from(TopicPolicy { accept_others: true, rules });
            assert!(matches!(refused, Err(PhoneError::InvalidArgument { .. })), "{source}");
        }
        let rules = vec![TopicRule { sources: vec!["500::1".into()], ..rule }];
        assert!(node::TopicPolicy::try_from(TopicPolicy { accept_others: true, rules }).is_ok());
    }
}
