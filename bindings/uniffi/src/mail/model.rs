//! The plain values of mail in types that every language has.

use threephone::mail as core;

use crate::PhoneError;
use crate::convert::{count, limit, parse_all};

/// Where a mail lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Mailbox {
    /// Received or imported.
    Inbox,
    /// Written here.
    Sent,
}

impl From<Mailbox> for core::Mailbox {
    fn from(mailbox: Mailbox) -> Self {
        match mailbox {
            Mailbox::Inbox => Self::Inbox,
            Mailbox::Sent => Self::Sent,
        }
    }
}

impl From<core::Mailbox> for Mailbox {
    fn from(mailbox: core::Mailbox) -> Self {
        match mailbox {
            core::Mailbox::Inbox => Self::Inbox,
            core::Mailbox::Sent => Self::Sent,
        }
    }
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Attachment {
    /// The file name, without a path.
    pub name: String,
    /// A MIME type such as `image/png`; anything unreadable becomes `application/octet-stream`.
    pub content_type: String,
    /// The bytes of the file.
    pub data: Vec<u8>,
}

/// A mail to be written. An address is what chat takes, or `anything@[IPv6:…]`, or
/// `anything@….myc`.
#[derive(Debug, Clone, PartialEq, Eq, Default, uniffi::Record)]
pub struct MailDraft {
    /// Whom it is for.
    pub to: Vec<String>,
    /// Who gets a copy, visible to all.
    #[uniffi(default = [])]
    pub cc: Vec<String>,
    /// One line; line breaks become spaces.
    #[uniffi(default = "")]
    pub subject: String,
    /// The text.
    #[uniffi(default = "")]
    pub text: String,
    /// The same as HTML.
    #[uniffi(default = None)]
    pub html: Option<String>,
    /// Files.
    #[uniffi(default = [])]
    pub attachments: Vec<Attachment>,
}

impl TryFrom<MailDraft> for core::MailDraft {
    type Error = PhoneError;

    fn try_from(draft: MailDraft) -> Result<Self, PhoneError> {
        let attachment = |file: Attachment| core::Attachment {
            name: file.name,
            content_type: file.content_type,
            data: file.data,
        };
        Ok(Self {
            to: parse_all("to", &draft.to)?,
            cc: parse_all("cc", &draft.cc)?,
            subject: draft.subject,
            text: draft.text,
            html: draft.html,
            attachments: draft.attachments.into_iter().map(attachment).collect(),
        })
    }
}

/// Which mails to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct MailQuery {
    /// Only this mailbox.
    #[uniffi(default = None)]
    pub mailbox: Option<Mailbox>,
    /// At most so many; all if none.
    #[uniffi(default = None)]
    pub limit: Option<u32>,
    /// Only mails that arrived before this one: the last of the page before.
    #[uniffi(default = None)]
    pub before: Option<i64>,
}

impl From<MailQuery> for core::MailQuery {
    fn from(query: MailQuery) -> Self {
        Self {
            mailbox: query.mailbox.map(Into::into),
            limit: limit(query.limit),
            before: query.before.map(core::MailId),
        }
    }
}

/// What was done with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, uniffi::Record)]
pub struct MailFlags {
    /// It was opened.
    pub seen: bool,
    /// It was answered.
    pub answered: bool,
    /// It was marked by hand.
    pub flagged: bool,
}

impl From<core::MailFlags> for MailFlags {
    fn from(flags: core::MailFlags) -> Self {
        Self { seen: flags.seen, answered: flags.answered, flagged: flags.flagged }
    }
}

impl From<MailFlags> for core::MailFlags {
    fn from(flags: MailFlags) -> Self {
        Self { seen: flags.seen, answered: flags.answered, flagged: flags.flagged }
    }
}

/// How far a mail got on its way to one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
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

impl From<core::RecipientState> for RecipientState {
    fn from(state: core::RecipientState) -> Self {
        match state {
            core::RecipientState::Queued => Self::Queued,
            core::RecipientState::Delivered => Self::Delivered,
            core::RecipientState::Refused => Self::Refused,
            core::RecipientState::Expired => Self::Expired,
            core::RecipientState::Cancelled => Self::Cancelled,
        }
    }
}

/// One recipient of a mail that was sent from here.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RecipientView {
    /// Whose device.
    pub address: String,
    /// How far the mail got.
    pub state: RecipientState,
}

/// A mail in a list. People and subject are decoded text, empty where the mail has none that can
/// be read.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct MailView {
    /// Which mail.
    pub id: i64,
    /// Where it lies.
    pub mailbox: Mailbox,
    /// `Name <address>`.
    pub sender: String,
    /// The same for everyone under To, then Cc.
    pub to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// Unix milliseconds: the mail's own date, or when it arrived if it states none.
    pub date: i64,
    /// Bytes as stored.
    pub size: u64,
    /// How many files go with it.
    pub attachments: u64,
    /// Its Message-ID without angle brackets.
    pub message_id: String,
    /// What was done with it.
    pub flags: MailFlags,
    /// For mails sent from here: each recipient.
    pub recipients: Vec<RecipientView>,
}

impl From<core::MailView> for MailView {
    fn from(mail: core::MailView) -> Self {
        let recipient = |recipient: core::RecipientView| RecipientView {
            address: recipient.address.to_string(),
            state: recipient.state.into(),
        };
        Self {
            id: mail.id.0,
            mailbox: mail.mailbox.into(),
            sender: mail.from,
            to: mail.to,
            subject: mail.subject,
            date: mail.date,
            size: count(mail.size),
            attachments: count(mail.attachments),
            message_id: mail.message_id,
            flags: mail.flags.into(),
            recipients: mail.recipients.into_iter().map(recipient).collect(),
        }
    }
}

/// What is known of an attachment without taking its bytes.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AttachmentView {
    /// The file name, empty if it states none. From a stranger: never use it as a path.
    pub name: String,
    /// The MIME type it states.
    pub content_type: String,
    /// Decoded bytes.
    pub size: u64,
}

/// One header field as written, unfolded.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct HeaderField {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A mail opened.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct MailDetail {
    /// What lists show.
    pub view: MailView,
    /// The text; from the HTML where there is only that; empty where there is neither.
    pub text: String,
    /// The HTML as it came: untrusted.
    pub html: Option<String>,
    /// The files, in the order of `attachment(id, n)`.
    pub attachments: Vec<AttachmentView>,
    /// The header fields, in the mail's order.
    pub headers: Vec<HeaderField>,
}

impl From<core::MailDetail> for MailDetail {
    fn from(mail: core::MailDetail) -> Self {
        let attachment = |file: core::AttachmentView| AttachmentView {
            name: file.name,
            content_type: file.content_type,
            size: count(file.size),
        };
        Self {
            view: mail.view.into(),
            text: mail.text,
            html: mail.html,
            attachments: mail.attachments.into_iter().map(attachment).collect(),
            headers: mail
                .headers
                .into_iter()
                .map(|(name, value)| HeaderField { name, value })
                .collect(),
        }
    }
}

/// How far an import or export is, and at the end what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, uniffi::Record)]
pub struct Progress {
    /// Bytes of the file read or written.
    pub bytes: u64,
    /// Mails imported or exported.
    pub done: u64,
    /// Messages skipped since the mailbox holds the same bytes.
    pub duplicates: u64,
    /// Messages skipped since they are larger than an import takes.
    pub too_large: u64,
}

impl From<core::Progress> for Progress {
    fn from(progress: core::Progress) -> Self {
        Self {
            bytes: progress.bytes,
            done: count(progress.done),
            duplicates: count(progress.duplicates),
            too_large: count(progress.too_large),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_takes_the_forms_of_address_that_mail_has() {
        let draft = MailDraft {
            to: vec!["ben@[IPv6:400::1]".into(), "400::2".into()],
            attachments: vec![Attachment {
                name: "a.txt".into(),
                content_type: "text/plain".into(),
                data: vec![0, 255],
            }],
            ..MailDraft::default()
        };
        let draft = core::MailDraft::try_from(draft).unwrap();
        assert_eq!(draft.to.len(), 2);
        assert_eq!(draft.attachments[0].data, [0, 255]);
    }

    #[test]
    fn a_copy_to_nobody_names_its_argument() {
        let draft = MailDraft {
            to: vec!["400::1".into()],
            cc: vec!["ben@example.org".into()],
            ..MailDraft::default()
        };
        match core::MailDraft::try_from(draft) {
            Err(PhoneError::InvalidArgument { argument, .. }) => assert_eq!(argument, "cc"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_and_mailboxes_cross_both_ways() {
        let flags = MailFlags { seen: true, answered: false, flagged: true };
        assert_eq!(MailFlags::from(core::MailFlags::from(flags)), flags);
        for mailbox in [Mailbox::Inbox, Mailbox::Sent] {
            assert_eq!(Mailbox::from(core::Mailbox::from(mailbox)), mailbox);
        }
    }
}
