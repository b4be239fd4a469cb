//! Which messages are taken at all: topics with lists of who may send on them (spec 8.6).
//!
//! Judged when a message begins, before anything is kept of it. The policy is a plain value; the
//! file that older nodes read it from is understood by `file`.

mod file;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use self::file::TopicPolicyError;
use crate::Prefix;

/// What happens to messages on a topic without a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TopicAction {
    /// Anybody may send.
    #[default]
    Accept,
    /// Nobody may send.
    Reject,
}

/// Who may send on one topic, and who handles what comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicRule {
    /// A sender's address lies in one of them; with none, nobody may send.
    pub sources: Vec<Prefix>,
    /// The Unix socket of a service that gets each message and whose answer is the reply.
    pub forward_socket: Option<PathBuf>,
}

/// Rules by exact topic, and what holds for all other topics.
///
/// Replies to open requests are no matter of it, and a topic that somebody here subscribed to is open
/// unless it has a rule. The empty topic is one like any other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicPolicy {
    /// For topics without a rule.
    pub default: TopicAction,
    /// The rules.
    pub topics: BTreeMap<Bytes, TopicRule>,
}

impl TopicPolicy {
    /// Whether `source` may send on `topic`.
    pub fn allows(&self, topic: &[u8], source: Ipv6Addr) -> bool {
        match self.topics.get(topic) {
            Some(rule) => rule.sources.iter().any(|prefix| prefix.contains(source)),
            None => self.default == TopicAction::Accept,
        }
    }

    /// The service behind a topic, if it has one.
    pub fn forward_socket(&self, topic: &[u8]) -> Option<&Path> {
        self.topics.get(topic)?.forward_socket.as_deref()
    }

    /// Reads the text of a topic file: `default = "Accept"` or `"Reject"`, and for each topic a
    /// table `{ subnets = ["prefix or address", …], forward_socket = "/path" }`, both optional, or
    /// a plain list of subnets.
    ///
    /// # Errors
    /// What cannot be read says where it is; nothing is guessed and nothing is left out.
    pub fn from_toml(text: &str) -> Result<Self, TopicPolicyError> {
        file::parse(text)
    }

    /// Reads a topic file.
    ///
    /// # Errors
    /// As [`TopicPolicy::from_toml`], or that the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, TopicPolicyError> {
        let text = std::fs::read_to_string(path).map_err(|error| TopicPolicyError::Unreadable {
            path: path.to_owned(),
            error: error.to_string(),
        })?;
        Self::from_toml(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_counts_for_exactly_its_topic_and_an_empty_list_lets_nobody_in() {
        let text = "default = \"Reject\"\n[chat]\nsubnets = [\"400:1::/32\", \"500::1\"]\n[shut]\n";
        let policy = TopicPolicy::from_toml(text).unwrap();
        let may =
            |topic: &str, source: &str| policy.allows(topic.as_bytes(), source.parse().unwrap());
        assert!(may("chat", "400:1:2::3") && may("chat", "500::1"));
        assert!(!may("chat", "400:2::1") && !may("chat", "500::2"));
        assert!(!may("shut", "400:1::1"));
        assert!(!may("cha", "400:1::1") && !may("", "400:1::1"));
        assert!(TopicPolicy::default().allows(b"anything", "400::1".parse().unwrap()));
    }
}
