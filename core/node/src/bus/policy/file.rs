//! The topic file of older nodes (spec 8.6), read strictly: they take a broken file for an empty
//! one, and then everything is accepted.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use bytes::Bytes;

use super::{TopicAction, TopicPolicy, TopicRule};
use crate::Prefix;

/// Why a topic file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicPolicyError {
    /// The file could not be read.
    #[error("the topic file cannot be read: {error}; name one that is there and that you may read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// It is no TOML.
    #[error("the topic file is not valid TOML: {0}")]
    Syntax(String),
    /// `default` has another value.
    #[error("the topic file's `default` is neither \"Accept\" nor \"Reject\"")]
    Default,
    /// A topic is longer than a message's can be.
    #[error("the topic {0:?} is longer than 255 bytes")]
    TopicTooLong(String),
    /// What is said of a topic is neither a table nor a list of subnets.
    #[error(
        "the topic {0:?} must be a table with `subnets` and `forward_socket`, or a list of subnets"
    )]
    Rule(String),
    /// A topic's table holds something unknown.
    #[error("the topic {0:?} has a setting {1:?}; only `subnets` and `forward_socket` are known")]
    Unknown(String, String),
    /// A subnet of a topic is none.
    #[error("the topic {0:?} names {1:?}, which is no IPv6 address and no prefix such as 400::/64")]
    Subnet(String, String),
}

type Result<T> = std::result::Result<T, TopicPolicyError>;

pub(super) fn parse(text: &str) -> Result<TopicPolicy> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| TopicPolicyError::Syntax(error.to_string()))?;
    let mut policy = TopicPolicy::default();
    for (topic, value) in table {
        if topic == "default" {
            policy.default = match value.as_str() {
                Some("Accept") => TopicAction::Accept,
                Some("Reject") => TopicAction::Reject,
                _ => return Err(TopicPolicyError::Default),
            };
            continue;
        }
        if topic.len() > 255 {
            return Err(TopicPolicyError::TopicTooLong(topic));
        }
        let rule = rule(&topic, &value)?;
        policy.topics.insert(Bytes::from(topic), rule);
    }
    Ok(policy)
}

fn rule(topic: &str, value: &toml::Value) -> Result<TopicRule> {
    let wrong = || TopicPolicyError::Rule(topic.to_owned());
    let table = match value {
        toml::Value::Array(list) => {
            return Ok(TopicRule { sources: subnets(topic, list)?, forward_socket: None });
        }
        toml::Value::Table(table) => table,
        _ => return Err(wrong()),
    };
    let mut rule = TopicRule::default();
    for (name, value) in table {
        match name.as_str() {
            "subnets" => rule.sources = subnets(topic, value.as_array().ok_or_else(wrong)?)?,
            "forward_socket" => {
                rule.forward_socket = Some(value.as_str().ok_or_else(wrong)?.into());
            }
            _ => return Err(TopicPolicyError::Unknown(topic.to_owned(), name.clone())),
        }
    }
    Ok(rule)
}

fn subnets(topic: &str, list: &[toml::Value]) -> Result<Vec<Prefix>> {
    let subnet = |value: &toml::Value| {
        let text = value.as_str().unwrap_or("something that is no text");
        let wrong = || TopicPolicyError::Subnet(topic.to_owned(), text.to_owned());
        let address = text.parse::<Ipv6Addr>().ok().and_then(|address| Prefix::new(address, 128));
        address.or_else(|| text.parse().ok()).ok_or_else(wrong)
    };
    list.iter().map(subnet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_older_nodes_is_understood() {
        let text = r#"
            default = "Reject"
            example = { subnets = ["400:aaaa::/32", "503::1"], forward_socket = "/run/example" }
            older = ["400::/7"]
            [bare]
        "#;
        let policy = parse(text).unwrap();
        assert_eq!(policy.default, TopicAction::Reject);
        let example = &policy.topics[&b"example"[..]];
        assert_eq!(example.sources, ["400:aaaa::/32", "503::1/128"].map(|p| p.parse().unwrap()));
        assert_eq!(example.forward_socket, Some("/run/example".into()));
        assert_eq!(policy.topics[&b"older"[..]].sources, ["400::/7".parse().unwrap()]);
        assert_eq!(policy.topics[&b"bare"[..]], TopicRule::default());
        assert_eq!(parse("").unwrap(), TopicPolicy::default());
    }

    /// Spec 8.6, known weakness: what older nodes take for "accept everything".
    #[test]
    fn a_bad_topic_file_is_refused_whole() {
        let bad = [
            "default = ",
            "default = \"accept\"",
            "default = true",
            "a = 1",
            "a = { subnet = [] }",
            "a = { subnets = \"400::/7\" }",
            "a = { subnets = [\"10.0.0.0/8\"] }",
            "a = { subnets = [1] }",
            "a = { forward_socket = 1 }",
            "a = []\na = []",
        ];
        for text in bad {
            assert!(parse(text).is_err(), "{text}");
        }
        let long = format!("{} = []", "a".repeat(256));
        assert_eq!(parse(&long), Err(TopicPolicyError::TopicTooLong("a".repeat(256))));
    }
}
