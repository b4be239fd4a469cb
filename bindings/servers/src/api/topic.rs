//! Who may send on which topic.
//!
//! The node has the policy as one value; a change reads it, changes it and puts it back, one change
//! at a time.

use bytes::Bytes;
use threephone_node::Prefix;
use threephone_node::bus::{TopicAction, TopicPolicy, TopicRule};

use super::Api;
use crate::error::ApiError;

/// Topics that can be configured from here, and sources of one. Each message that begins is held
/// against them, and nobody types more.
const TOPICS: usize = 4096;
const SOURCES: usize = 4096;
/// Bytes of a topic (spec 8.2).
const TOPIC: usize = 255;

impl Api {
    pub(crate) async fn accepts_by_default(&self) -> bool {
        self.node.topic_policy().await.default == TopicAction::Accept
    }

    pub(crate) async fn set_default(&self, accept: bool) -> Result<(), ApiError> {
        self.change(|policy| {
            policy.default = if accept { TopicAction::Accept } else { TopicAction::Reject };
            Ok(())
        })
        .await
    }

    pub(crate) async fn topics(&self) -> Vec<Bytes> {
        self.node.topic_policy().await.topics.into_keys().collect()
    }

    /// From now on only the sources of the topic, of which it has none yet, may send on it.
    pub(crate) async fn add_topic(&self, topic: Bytes) -> Result<(), ApiError> {
        self.change_rule(topic, |_| Ok(())).await
    }

    /// The default holds for the topic again.
    pub(crate) async fn remove_topic(&self, topic: &Bytes) -> Result<(), ApiError> {
        self.change(|policy| {
            policy.topics.remove(topic);
            Ok(())
        })
        .await
    }

    pub(crate) async fn topic_sources(&self, topic: &Bytes) -> Result<Vec<String>, ApiError> {
        let policy = self.node.topic_policy().await;
        let rule = policy.topics.get(topic).ok_or(ApiError::UnknownTopic)?;
        Ok(rule.sources.iter().map(ToString::to_string).collect())
    }

    pub(crate) async fn add_source(&self, topic: Bytes, source: Prefix) -> Result<(), ApiError> {
        self.change_rule(topic, |rule| {
            if rule.sources.contains(&source) {
                return Ok(());
            }
            if rule.sources.len() >= SOURCES {
                return Err(ApiError::TooManyTopics);
            }
            rule.sources.push(source);
            Ok(())
        })
        .await
    }

    pub(crate) async fn remove_source(
        &self,
        topic: &Bytes,
        source: Prefix,
    ) -> Result<(), ApiError> {
        self.change_known(topic, |rule| rule.sources.retain(|known| *known != source)).await
    }

    pub(crate) async fn forward_socket(&self, topic: &Bytes) -> Option<String> {
        let policy = self.node.topic_policy().await;
        policy.forward_socket(topic).map(|path| path.to_string_lossy().into_owned())
    }

    pub(crate) async fn set_forward_socket(
        &self,
        topic: &Bytes,
        path: Option<String>,
    ) -> Result<(), ApiError> {
        self.change_known(topic, |rule| rule.forward_socket = path.map(Into::into)).await
    }

    /// Does nothing for a topic that is not configured, as the reference.
    async fn change_known(
        &self,
        topic: &Bytes,
        change: impl FnOnce(&mut TopicRule),
    ) -> Result<(), ApiError> {
        self.change(|policy| {
            if let Some(rule) = policy.topics.get_mut(topic) {
                change(rule);
            }
            Ok(())
        })
        .await
    }

    async fn change_rule(
        &self,
        topic: Bytes,
        change: impl FnOnce(&mut TopicRule) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        if topic.len() > TOPIC {
            return Err(ApiError::TopicTooLong(topic.len()));
        }
        // Were it closed to all but some, the program around the node would be deaf to the others.
        if self.is_reserved(&topic) {
            return Err(ApiError::ReservedTopic);
        }
        self.change(|policy| {
            if policy.topics.len() >= TOPICS && !policy.topics.contains_key(&topic) {
                return Err(ApiError::TooManyTopics);
            }
            change(policy.topics.entry(topic).or_default())
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut TopicPolicy) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let _turn = self.policy.lock().await;
        let mut policy = self.node.topic_policy().await;
        change(&mut policy)?;
        self.node.set_topic_policy(policy).await;
        Ok(())
    }
}
