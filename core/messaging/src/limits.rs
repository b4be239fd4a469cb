//! The bounds on everything that grows, with their reasons.

/// Longest text of one line, in UTF-8 bytes: a long letter, and far below what one envelope carries.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Chats that people we never wrote to may open.
pub(crate) const MAX_STRANGER_CHATS: i64 = 1_000;
/// Bytes one stranger's lines may take, [`LINE_OVERHEAD_BYTES`] included: some 30,000 short lines.
pub(crate) const MAX_STRANGER_BYTES: i64 = 16 << 20;
/// Bytes all strangers' lines may take together.
pub(crate) const MAX_STRANGERS_BYTES: i64 = 128 << 20;
/// What a row costs beside its text.
pub(crate) const LINE_OVERHEAD_BYTES: i64 = 300;

/// The latest stamp that is believed, the end of the year 9999: keeps sums far from overflow.
pub(crate) const MAX_STAMP: i64 = 253_402_300_799_999;

/// Line events of one receipt or one reading; past that the chat is announced instead.
pub(crate) const MAX_LINE_EVENTS: usize = 64;
