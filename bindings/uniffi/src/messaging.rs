//! Chats for the other languages.

use std::sync::Arc;

use threephone::address::Target;
use threephone::messaging as core;

use crate::PhoneError;
use crate::convert::{count, limit, now_ms, parse};
use crate::phone::Inner;

/// How far a line has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum LineState {
    /// Ours, waiting in the outbox.
    Queued,
    /// Ours, taken by the peer's node.
    Sent,
    /// Ours, durable on the peer's phone.
    Delivered,
    /// Read by whoever received it.
    Read,
    /// Ours, given up or refused.
    Failed,
    /// Theirs, not read yet.
    Received,
}

impl From<core::LineState> for LineState {
    fn from(state: core::LineState) -> Self {
        match state {
            core::LineState::Queued => Self::Queued,
            core::LineState::Sent => Self::Sent,
            core::LineState::Delivered => Self::Delivered,
            core::LineState::Read => Self::Read,
            core::LineState::Failed => Self::Failed,
            core::LineState::Received => Self::Received,
        }
    }
}

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct LineView {
    /// Its name on this device.
    pub id: i64,
    /// The other person's address.
    pub chat: String,
    /// The address of who wrote it.
    pub sender: String,
    /// The address of whom it was written to.
    pub recipient: String,
    /// What it says.
    pub text: String,
    /// Unix milliseconds by the author's clock: for display, not for order.
    pub sent_at: i64,
    /// Its place among its author's lines of this chat, from 1, without gaps.
    pub seq: u64,
    /// How far it has come.
    pub state: LineState,
}

impl From<core::LineView> for LineView {
    fn from(line: core::LineView) -> Self {
        Self {
            id: line.id.0,
            chat: line.chat.to_string(),
            sender: line.from.to_string(),
            recipient: line.to.to_string(),
            text: line.text,
            sent_at: line.sent_at,
            seq: line.seq,
            state: line.state.into(),
        }
    }
}

/// Which lines to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct LineQuery {
    /// Only the chat with this person.
    #[uniffi(default = None)]
    pub chat: Option<String>,
    /// Only the newest so many; all if none.
    #[uniffi(default = None)]
    pub limit: Option<u32>,
    /// Only lines listed before this one: the next page upwards.
    #[uniffi(default = None)]
    pub before: Option<i64>,
}

impl TryFrom<LineQuery> for core::LineQuery {
    type Error = PhoneError;

    fn try_from(query: LineQuery) -> Result<Self, PhoneError> {
        Ok(Self {
            with: query.chat.map(|chat| parse("chat", &chat)).transpose()?,
            limit: limit(query.limit),
            before: query.before.map(core::LineId),
        })
    }
}

/// A chat as a list of chats shows it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ChatView {
    /// The other person's address.
    pub peer: String,
    /// Their lines that were not read yet.
    pub unread: u64,
    /// The newest line.
    pub last: LineView,
}

impl From<core::ChatView> for ChatView {
    fn from(chat: core::ChatView) -> Self {
        Self { peer: chat.peer.to_string(), unread: chat.unread, last: chat.last.into() }
    }
}

/// The chats of a phone.
#[derive(uniffi::Object)]
pub struct Messaging {
    inner: Arc<Inner>,
}

impl Messaging {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    fn core(&self) -> core::Messaging {
        self.inner.phone.messaging().clone()
    }
}

#[uniffi::export]
impl Messaging {
    /// Writes a line and queues it for delivery: on return it is on the disk.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no address or an empty text; `TooLarge`; `Full`; `Closed`.
    pub async fn send(&self, to: String, text: String) -> Result<LineView, PhoneError> {
        let to: Target = parse("to", &to)?;
        let core = self.core();
        let line = self.inner.run(async move { core.send(to, &text, now_ms()).await }).await?;
        Ok(line.into())
    }

    /// One line, if it is there.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn line(&self, id: i64) -> Result<Option<LineView>, PhoneError> {
        let core = self.core();
        let line = self.inner.run(async move { core.line(core::LineId(id)).await }).await?;
        Ok(line.map(Into::into))
    }

    /// Lines, oldest first, each author's in the author's order. Listing marks nothing as read.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no address; `Closed`.
    pub async fn list_lines(&self, query: LineQuery) -> Result<Vec<LineView>, PhoneError> {
        let (core, query) = (self.core(), query.try_into()?);
        let lines = self.inner.run(async move { core.list_lines(query).await }).await?;
        Ok(lines.into_iter().map(Into::into).collect())
    }

    /// All chats, the one with the newest line first.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn list_chats(&self) -> Result<Vec<ChatView>, PhoneError> {
        let core = self.core();
        let chats = self.inner.run(async move { core.list_chats().await }).await?;
        Ok(chats.into_iter().map(Into::into).collect())
    }

    /// Marks what the other person wrote as read and tells them so. How many lines were unread.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no address; `Full`; `Closed`.
    pub async fn mark_read(&self, chat: String) -> Result<u64, PhoneError> {
        let with: Target = parse("chat", &chat)?;
        let core = self.core();
        Ok(count(self.inner.run(async move { core.mark_read(with, now_ms()).await }).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_crosses_with_everything_it_has() {
        let line = core::LineView {
            id: core::LineId(7),
            chat: "400::1".parse().unwrap(),
            from: "400::2".parse().unwrap(),
            to: "400::1".parse().unwrap(),
            text: "Grüße 🌍".into(),
            sent_at: 1_795_539_723_000,
            seq: 3,
            state: core::LineState::Delivered,
        };
        let expected = LineView {
            id: 7,
            chat: "400::1".into(),
            sender: "400::2".into(),
            recipient: "400::1".into(),
            text: "Grüße 🌍".into(),
            sent_at: 1_795_539_723_000,
            seq: 3,
            state: LineState::Delivered,
        };
        assert_eq!(LineView::from(line), expected);
    }

    #[test]
    fn a_query_for_somebody_who_is_no_address_is_refused() {
        let query = LineQuery { chat: Some("Ben".into()), ..LineQuery::default() };
        let error = core::LineQuery::try_from(query).err();
        assert!(
            matches!(error, Some(PhoneError::InvalidArgument { argument, .. }) if argument == "chat")
        );
        let all = core::LineQuery::try_from(LineQuery::default()).unwrap();
        assert!(all.with.is_none() && all.limit.is_none() && all.before.is_none());
    }
}
