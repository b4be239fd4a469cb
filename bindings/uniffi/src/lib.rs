#![doc = include_str!("../README.md")]
// The exported functions are unsafe where the generator writes them; nothing here is by hand.
#![allow(unsafe_code)]

mod bus;
mod cancel;
mod convert;
mod error;
mod event;
mod mail;
mod messaging;
mod model;
mod phone;

pub use bus::{Bus, BusMessage, SendState};
pub use cancel::CancelHandle;
pub use error::{ListenerError, PhoneError};
pub use event::{Event, EventBatch, EventListener, Events, RefusalKind};
pub use mail::{
    Attachment, AttachmentView, HeaderField, Mail, MailDetail, MailDraft, MailFlags, MailQuery,
    MailView, Mailbox, Progress, ProgressListener, RecipientState, RecipientView,
};
pub use messaging::{ChatView, LineQuery, LineState, LineView, Messaging};
pub use model::{
    InitReport, KeySource, Network, OutboxCounts, PeerKind, PeerState, PeerView, PhoneOptions,
    PowerMode, Status,
};
pub use phone::{Phone, init_profile};

uniffi::setup_scaffolding!();
