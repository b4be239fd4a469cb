//! Writing: entries as they were read, and new ones around messages that were in no mbox.

use std::io::{self, Write};

use super::{Entry, MARK, line_end, quoted_depth};

/// Whether more messages follow the one being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Another one follows.
    Middle,
    /// The file ends here.
    Last,
}

/// Writes one entry and says how many bytes it took.
pub(crate) fn write(out: &mut impl Write, entry: &Entry, place: Place) -> io::Result<u64> {
    let mut out = Counted { out, bytes: 0 };
    let open = !entry.raw.is_empty() && !entry.raw.ends_with(b"\n");
    let unfinished = entry.trailer.is_empty() && place == Place::Middle;
    if unfinished && open {
        let end = line_end(&entry.separator);
        let text = entry.separator.strip_suffix(end).unwrap_or(&entry.separator);
        out.write_all(text)?;
        out.write_all(MARK)?;
        out.write_all(end)?;
        write_quoted(&mut out, &entry.raw)?;
        out.write_all(end)?;
        out.write_all(end)?;
    } else {
        out.write_all(&entry.separator)?;
        let cut = !entry.separator.ends_with(b"\n");
        if cut && (unfinished || !entry.raw.is_empty()) {
            out.write_all(b"\n")?;
        }
        write_quoted(&mut out, &entry.raw)?;
        out.write_all(&entry.trailer)?;
    }
    Ok(out.bytes)
}

fn write_quoted(out: &mut impl Write, raw: &[u8]) -> io::Result<()> {
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if quoted_depth(line).is_some() {
            out.write_all(b">")?;
        }
        out.write_all(line)?;
    }
    Ok(())
}

/// Separator and trailer for a message that has never been in an mbox.
pub(crate) fn wrap(raw: Vec<u8>, sender: &str, date: &str) -> Entry {
    let first = raw.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let end = line_end(first);
    let mut separator = format!("From {sender} {date}").into_bytes();
    separator.extend_from_slice(end);
    let whole = raw.is_empty() || raw.ends_with(b"\n");
    let trailer = if whole { end.to_vec() } else { Vec::new() };
    Entry { separator, raw, trailer }
}

struct Counted<'a, W> {
    out: &'a mut W,
    bytes: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
