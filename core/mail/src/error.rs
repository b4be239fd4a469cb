//! What can go wrong with mail, said so that a person can act on it.

use std::net::Ipv6Addr;

use threephone_store::StoreError;

use crate::{MAX_MAIL_BYTES, MAX_RECIPIENTS, MailId};

/// Why a mail operation did nothing.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The finished mail is larger than what one envelope may carry.
    #[error(
        "the mail is {size} bytes with its attachments encoded; the limit is {MAX_MAIL_BYTES} bytes"
    )]
    TooLarge {
        /// Bytes of the finished mail.
        size: usize,
    },
    /// Nobody to send it to.
    #[error("a mail needs at least one recipient")]
    NoRecipient,
    /// More recipients than one mail may have.
    #[error("a mail goes to at most {MAX_RECIPIENTS} recipients, not {0}")]
    TooManyRecipients(usize),
    /// No such mail.
    #[error("there is no mail {0}; the list shows which there are")]
    Unknown(MailId),
    /// No such attachment.
    #[error("mail {mail} has no attachment {index}")]
    NoAttachment {
        /// The mail.
        mail: MailId,
        /// What was asked for, from 0.
        index: usize,
    },
    /// The mail could not be written in the mail format.
    #[error("the mail cannot be written: {0}")]
    Compose(String),
    /// Bytes that are to become a draft are no mail.
    #[error("the file is not a mail that can be sent: {0}")]
    NotAMail(String),
    /// A file that is to be read as mbox does not begin with a `From ` line.
    #[error("not an mbox file: it does not begin with a line that starts with 'From '")]
    NotMbox,
    /// A file that is to be read as one message is empty, or has line ends only.
    #[error("the file holds no message")]
    NoMessage,
    /// A single message that is larger than an import takes.
    #[error("the message is larger than {limit} bytes, which is all an import takes")]
    ImportTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Reading or writing the file failed.
    #[error("the file cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The outbox did not take the mail.
    #[error("the mail for {to} was not queued: {reason}")]
    Delivery {
        /// For whom.
        to: Ipv6Addr,
        /// What delivery said.
        reason: String,
    },
}

impl From<rusqlite::Error> for MailError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
