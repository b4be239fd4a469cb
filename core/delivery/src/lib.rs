//! Signed envelopes from device to device: a durable outbox, and an inbox that applies once.
//!
//! A service puts a body into the outbox in the transaction of the change that the body announces.
//! From then on it is delivery's: signed for the receiver, sent again with growing intervals until
//! the other device acknowledges, its time runs out, or the user cancels. The receiver applies the
//! body in one transaction with the note that it has seen it, and acknowledges after the commit: at
//! least once on the wire, applied once.
//!
//! `engine` decides (pure: time and inputs in, actions out), `worker` waits (tokio), `db` remembers,
//! `envelope` and `ack` are the wire formats, `receive` is what happens to bytes of strangers.
//! Bodies are opaque here; what they mean is the services' matter.

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
