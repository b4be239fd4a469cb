//! The plain values of mail: what goes in and what is shown.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use threephone_address::MailTarget;

/// A mail in this profile. Ids grow in the order of arrival and are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MailId(pub i64);

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MailId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self)
    }
}

/// Where a mail lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mailbox {
    /// Received or imported.
    Inbox,
    /// Written here.
    Sent,
}

impl Mailbox {
    /// `inbox` or `sent`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Sent => "sent",
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no mailbox; there are inbox and sent")]
pub struct MailboxError(String);

impl FromStr for Mailbox {
    type Err = MailboxError;

    fn from_str(text: &str) -> Result<Self, MailboxError> {
        match text {
            "inbox" => Ok(Self::Inbox),
            "sent" => Ok(Self::Sent),
            other => Err(MailboxError(other.chars().take(80).collect())),
        }
    }
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// The file name, without a path.
    pub name: String,
    /// A MIME type such as `image/png`; anything unreadable becomes `application/octet-stream`.
    pub content_type: String,
    /// The bytes of the file.
    pub data: Vec<u8>,
}

/// A mail to be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailDraft {
    /// Whom it is for.
    pub to: Vec<MailTarget>,
    /// Who gets a copy, visible to all.
    pub cc: Vec<MailTarget>,
    /// One line; line breaks and runs of spaces become one space.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// Which mails to list.
#[derive(Debug, Clone, Default)]
pub struct MailQuery {
    /// Only this mailbox.
    pub mailbox: Option<Mailbox>,
    /// At most so many; all without.
    pub limit: Option<usize>,
    /// Only mails that arrived before this one: the last of the page before.
    pub before: Option<MailId>,
}

/// What was done with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailFlags {
    /// It was opened.
    pub seen: bool,
    /// It was answered.
    pub answered: bool,
    /// It was marked by hand.
    pub flagged: bool,
}

/// How far a mail got on its way to one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientState {
    /// In the outbox.
    Queued,
    /// The recipient's device has it on its disk.
    Delivered,
    /// The recipient's device refused it.
    Refused,
    /// Nobody took it in time.
    Expired,
    /// It was called back.
    Cancelled,
}

impl RecipientState {
    /// The state's name, lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "delivered" => Self::Delivered,
            "refused" => Self::Refused,
            "expired" => Self::Expired,
            "cancelled" => Self::Cancelled,
            _ => Self::Queued,
        }
    }
}

/// One recipient of a mail that was sent from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientView {
    /// Whose device.
    pub address: Ipv6Addr,
    /// How far the mail got.
    pub state: RecipientState,
}

/// A mail in a list. People and subject are decoded text, empty where the mail has none that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailView {
    /// Which mail.
    pub id: MailId,
    /// Where it lies.
    pub mailbox: Mailbox,
    /// `Name <address>`.
    pub from: String,
    /// The same for everyone under To, then Cc.
    pub to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// Unix milliseconds: the mail's own date, or when it arrived if it states none.
    pub date: i64,
    /// Bytes as stored.
    pub size: usize,
    /// How many files go with it.
    pub attachments: usize,
    /// Its Message-ID without angle brackets.
    pub message_id: String,
    /// What was done with it.
    pub flags: MailFlags,
    /// For mails sent from here: each recipient.
    pub recipients: Vec<RecipientView>,
}

/// What is known of an attachment without taking its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentView {
    /// The file name, empty if it states none. From a stranger: never use it as a path.
    pub name: String,
    /// The MIME type it states.
    pub content_type: String,
    /// Decoded bytes.
    pub size: usize,
}

/// A mail opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailDetail {
    /// What lists show.
    pub view: MailView,
    /// The text; from the HTML where there is only that; empty where there is neither.
    pub text: String,
    /// The HTML as it came: untrusted.
    pub html: Option<String>,
    /// The files, in the order of `attachment(id, n)`.
    pub attachments: Vec<AttachmentView>,
    /// Name and value of each header field as written, unfolded.
    pub headers: Vec<(String, String)>,
}

/// What came of importing one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is a new mail.
    New(MailId),
    /// The same bytes are in the mailbox already, as this mail.
    Duplicate(MailId),
}

impl Imported {
    /// The mail with these bytes.
    pub const fn id(self) -> MailId {
        match self {
            Self::New(id) | Self::Duplicate(id) => id,
        }
    }
}

/// How far an import or export is, and at the end what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of the mbox file read or written.
    pub bytes: u64,
    /// Mails imported or exported.
    pub done: usize,
    /// Messages skipped since the mailbox holds the same bytes as often as the file did so far.
    pub duplicates: usize,
    /// Messages skipped since they are larger than an import takes.
    pub too_large: usize,
}

/// What changed; ask for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailEvent {
    /// A mail was received.
    Arrived {
        /// Which.
        id: MailId,
    },
    /// A mail was sent, imported, delivered or marked.
    Changed {
        /// Which.
        id: MailId,
    },
}
