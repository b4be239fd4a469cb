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
mod metrics;
mod model;
mod node;
mod phone;

pub use bus::{Bus, BusAnswer, BusMessage, SendProgress, SendState, TopicPolicy, TopicRule};
pub use cancel::CancelHandle;
pub use error::{ListenerError, PhoneError};
pub use event::{Event, EventBatch, EventListener, Events, RefusalKind};
pub use mail::{
    Attachment, AttachmentView, HeaderField, Mail, MailDetail, MailDraft, MailFlags, MailQuery,
    MailView, Mailbox, Progress, ProgressListener, RecipientState, RecipientView,
};
pub use messaging::{ChatView, LineQuery, LineState, LineView, Messaging};
pub use metrics::{
    AddressCount, CauseUse, DropCount, DropKind, Ledger, Metrics, PacketStatistics, PeerUse, Use,
    WakeCause,
};
pub use model::{
    InitReport, KeySource, Network, OutboxCounts, PeerKind, PeerState, PeerView, PhoneOptions,
    Status,
};
pub use node::{NodeOptions, PowerMode, PowerPolicy, PrivateNetwork, Tun};
pub use phone::{Phone, init_profile};

uniffi::setup_scaffolding!();
