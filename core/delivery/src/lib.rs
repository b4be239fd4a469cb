#![doc = include_str!("../README.md")]

mod ack;
mod db;
mod delivery;
mod engine;
mod envelope;
mod error;
mod inbound;
mod inbox;
mod limits;
mod link;
mod receive;
mod window;
mod worker;

#[doc(hidden)]
pub mod testing;

use threephone_store::Room;

pub use delivery::{Delivery, DeliveryConfig, OutboxCounts, OutgoingDraft};
pub use envelope::{EnvelopeId, WireError};
pub use error::{DeliveryError, DeliveryEvent, RefusalKind};
pub use inbound::{Inbound, Outcome, Refusal, Sender};
pub use limits::{Limits, MAX_BODY_BYTES, Timing};
pub use link::{BoxFuture, Link, LinkError, LinkEvent, Sent};

/// The tables of this crate.
pub const ROOM: Room =
    Room { name: "delivery", migrations: &[include_str!("migrations/0001_init.sql")] };
