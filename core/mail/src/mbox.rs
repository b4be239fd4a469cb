//! The mbox file, variant mboxrd, without losing a byte.
//!
//! A message is preceded by a *separator*, a line that begins with `From `, and followed by a blank
//! line, the *trailer*. Inside it, lines that begin with any number of `>` and then `From ` carry
//! one `>` more than in the message itself. Reading gives separator, message and trailer; writing
//! the three back gives the same bytes:
//!
//! - every line that begins with `From ` is a separator, whatever stands before or after it;
//! - the last line before the next separator or the end is the trailer if it is blank (`\n` or
//!   `\r\n`); if it is not blank the trailer is empty and the line belongs to the message;
//! - line ends are never changed, and a last line without one stays so.
//!
//! A message that does not end with a line end can stand only at the end of a file. Elsewhere its
//! separator gets [`MARK`] at its end, and its trailer is two line ends: the first is not part of
//! the message. Other programs see one line end more; this one reads the message back exactly.

#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

mod read;
mod write;

pub(crate) use read::{Next, Reader};
pub(crate) use write::{Place, wrap, write};

/// What a separator ends with when the message after it has no final line end.
pub(crate) const MARK: &[u8] = b" no-final-newline";

/// A message and what stood around it in its file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// The `From ` line with its line end.
    pub(crate) separator: Vec<u8>,
    /// The message, unquoted.
    pub(crate) raw: Vec<u8>,
    /// What follows it: nothing, a blank line, or two line ends behind a marked separator.
    pub(crate) trailer: Vec<u8>,
}

fn without_mark(separator: &[u8]) -> Option<&[u8]> {
    let text = separator.strip_suffix(b"\n")?;
    text.strip_suffix(b"\r").unwrap_or(text).strip_suffix(MARK)
}

fn line_end(line: &[u8]) -> &'static [u8] {
    if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" }
}

fn is_separator(line: &[u8]) -> bool {
    line.starts_with(b"From ")
}

/// How many `>` stand before a `From ` at the beginning of the line; nothing if none stands there.
fn quoted_depth(line: &[u8]) -> Option<usize> {
    let depth = line.iter().take_while(|byte| **byte == b'>').count();
    line.get(depth..)?.starts_with(b"From ").then_some(depth)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // the tests know their bytes
mod tests;
