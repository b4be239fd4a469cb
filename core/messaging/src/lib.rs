//! The crate's parts and what it re-exports; no logic lives here.
#![doc = include_str!("../README.md")]

mod model;
#[warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]
mod wire;

pub use model::{LineState, MessagingEvent};
pub use wire::{MAX_TEXT_BYTES, NOUN, Payload, WireError, decode, encode};
