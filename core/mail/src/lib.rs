#![doc = include_str!("../README.md")]
//!
//! Rooms of the house: `service`, `transfer` and `inbound` open and use transactions; `compose`,
//! `parse`, `mbox` and `search` know only bytes; `db` knows only SQL.

mod compose;
mod db;
mod error;
mod inbound;
mod limits;
mod mbox;
mod model;
mod parse;
mod search;
mod service;
mod transfer;

pub use compose::local_part;
pub use db::ROOM;
pub use error::MailError;
pub use limits::{MAX_IMPORT_BYTES, MAX_MAIL_BYTES, MAX_RECIPIENTS};
pub use model::{
    Attachment, AttachmentView, Imported, MailDetail, MailDraft, MailEvent, MailFlags, MailId,
    MailQuery, MailView, Mailbox, MailboxError, Progress, RecipientState, RecipientView,
};
pub use service::{Mail, NOUN};
pub use transfer::is_mbox;
