//! What a command reads before it asks for anything: standard input, and files that options name.
//!
//! Never more than can be used, so that a wrong file costs neither memory nor a long wait, and the
//! limit is told here, by name, instead of by whoever would have refused it later.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::CliError;

/// How much of something can be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// The most bytes.
    pub(crate) bytes: usize,
    /// What may have that many, as in "a message".
    pub(crate) of: &'static str,
}

/// All of standard input. Signals are heard meanwhile.
pub(crate) async fn stdin(limit: Limit) -> Result<Vec<u8>, CliError> {
    let read = tokio::task::spawn_blocking(move || read(&mut io::stdin().lock(), limit.bytes));
    let bytes = read
        .await
        .map_err(CliError::failed)?
        .map_err(|error| CliError::Failed(format!("cannot read standard input: {error}")))?;
    bytes.ok_or_else(|| too_large("standard input", limit))
}

/// All of the file that `option` names.
pub(crate) fn file(option: &str, path: &Path, limit: Limit) -> Result<Vec<u8>, CliError> {
    let bytes = File::open(path)
        .and_then(|mut file| read(&mut file, limit.bytes))
        .map_err(|error| CliError::option(option, path, &error))?;
    bytes.ok_or_else(|| too_large(&format!("{option} {}", path.display()), limit))
}

/// The text of a file's first line, without the end of line.
pub(crate) fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// None when there is more.
fn read(from: &mut impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(one_more).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

fn too_large(what: &str, limit: Limit) -> CliError {
    let Limit { bytes, of } = limit;
    let size = indicatif::HumanBytes(u64::try_from(bytes).unwrap_or(u64::MAX));
    CliError::Failed(format!(
        "{what} is larger than {of} may be, {bytes} bytes ({size}); send less, or in parts"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_too_many_is_refused_with_the_limit_and_not_read_further() {
        assert_eq!(read(&mut &b"abc"[..], 3).unwrap().unwrap(), b"abc");
        let mut rest = &b"abcdefgh"[..];
        assert!(read(&mut rest, 3).unwrap().is_none());
        assert_eq!(rest, b"efgh");
        let limit = Limit { bytes: 16 << 20, of: "a message" };
        let text = too_large("standard input", limit).to_string();
        assert!(text.contains("16777216 bytes (16.00 MiB)"), "{text}");
    }

    #[test]
    fn the_first_line_is_what_stands_before_any_end_of_line() {
        for text in ["word", "word\n", "word\r\n", "word\nmore"] {
            assert_eq!(first_line(text.as_bytes()), b"word");
        }
        assert!(first_line(b"").is_empty());
    }
}
