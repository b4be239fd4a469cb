#![doc = include_str!("../README.md")]

mod db;
mod error;
mod inbound;
mod limits;
mod model;
mod service;
#[cfg(test)]
mod tests;
#[warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]
mod wire;

use threephone_store::Room;

pub use error::MessagingError;
pub use limits::MAX_TEXT_BYTES;
pub use model::{ChatView, LineId, LineQuery, LineState, LineView, MessagingEvent};
pub use service::Messaging;
pub use wire::WireError;

/// The tables of this room.
pub const ROOM: Room =
    Room { name: "messaging", migrations: &[include_str!("../migrations/0001_init.sql")] };
