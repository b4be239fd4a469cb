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

use std::io::{self, BufRead, Read, Write};

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

/// One step of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A message.
    Entry(Entry),
    /// A message of more than the limit, passed over.
    TooLarge,
}

/// Reads an mbox holding one message in memory, and of that no more than a limit.
pub(crate) struct Reader<R> {
    input: R,
    limit: usize,
    /// The separator that ended the message before.
    pending: Option<Vec<u8>>,
    started: bool,
    bytes: u64,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, limit, pending: None, started: false, bytes: 0 }
    }

    /// Bytes read from the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next message; nothing at the end. `InvalidData` where the file is not an mbox.
    pub(crate) fn next(&mut self) -> io::Result<Option<Next>> {
        if !self.started {
            self.started = true;
            let line = self.piece(true)?;
            if line.is_empty() {
                return Ok(None);
            }
            if !is_separator(&line) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.pending = Some(line);
        }
        let Some(mut separator) = self.pending.take() else { return Ok(None) };
        while !separator.ends_with(b"\n") && separator.len() < self.limit {
            let more = self.piece(false)?;
            if more.is_empty() {
                break;
            }
            separator.extend(more);
        }
        self.content(separator).map(Some)
    }

    fn content(&mut self, separator: Vec<u8>) -> io::Result<Next> {
        let mut content = Vec::new();
        let mut too_large = false;
        let mut line_start = true;
        loop {
            let line = self.piece(line_start)?;
            if line.is_empty() {
                break;
            }
            if line_start && is_separator(&line) {
                self.pending = Some(line);
                break;
            }
            if line_start && quoted_depth(&line) > Some(0) {
                content.extend_from_slice(line.get(1..).unwrap_or_default());
            } else {
                content.extend_from_slice(&line);
            }
            line_start = line.ends_with(b"\n");
            // The trailer does not count, so allow for the longest.
            if content.len() > self.limit.saturating_add(4) {
                too_large = true;
                content.clear();
            }
        }
        let entry = split(separator, content);
        let too_large = too_large || entry.raw.len() > self.limit;
        Ok(if too_large { Next::TooLarge } else { Next::Entry(entry) })
    }

    /// A line with its end, or as much of it as the limit allows.
    fn piece(&mut self, _line_start: bool) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(16);
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut line)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(line)
    }
}

/// Takes the trailer off what stands between two separators.
fn split(separator: Vec<u8>, mut raw: Vec<u8>) -> Entry {
    let end = line_end(&separator);
    let body = without_blank_line(&raw);
    let mut keep = body.len();
    if without_mark(&separator).is_some() {
        let doubled = raw.strip_suffix(end).and_then(|rest| rest.strip_suffix(end));
        if let Some(message) =
            doubled.filter(|message| !message.ends_with(b"\n") && !message.is_empty())
        {
            keep = message.len();
        }
    }
    let trailer = raw.split_off(keep);
    Entry { separator, raw, trailer }
}

fn without_blank_line(content: &[u8]) -> &[u8] {
    let is_end_of_line = |rest: &&[u8]| rest.is_empty() || rest.ends_with(b"\n");
    let crlf = content.strip_suffix(b"\r\n".as_slice()).filter(is_end_of_line);
    let lf = || content.strip_suffix(b"\n".as_slice()).filter(is_end_of_line);
    crlf.or_else(lf).unwrap_or(content)
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

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<Entry> {
        let mut reader = Reader::new(bytes, 1 << 20);
        let mut entries = Vec::new();
        while let Some(next) = reader.next().unwrap() {
            match next {
                Next::Entry(entry) => entries.push(entry),
                Next::TooLarge => panic!("too large"),
            }
        }
        assert_eq!(reader.bytes(), bytes.len() as u64);
        entries
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut out = Vec::new();
        for (n, entry) in entries.iter().enumerate() {
            let place = if n + 1 == entries.len() { Place::Last } else { Place::Middle };
            write(&mut out, entry, place).unwrap();
        }
        out
    }

    #[test]
    fn quotes_and_blank_lines_are_no_part_of_the_message() {
        let file = b"From a Mon\nSubject: x\n\n>From me\n>>From you\n\nFrom b Tue\r\nS: y\r\n\r\nend\r\n\r\nFrom c\nlast";
        let entries = read(file);
        assert_eq!(entries[0].raw, b"Subject: x\n\nFrom me\n>From you\n");
        assert_eq!(entries[1].raw, b"S: y\r\n\r\nend\r\n");
        assert_eq!(entries[2].raw, b"last");
        assert_eq!(written(&entries), file);
    }

    #[test]
    fn a_last_message_without_a_blank_line_keeps_its_line_end() {
        let entries = read(b"From a\nx\n");
        assert_eq!((entries[0].raw.as_slice(), entries[0].trailer.len()), (b"x\n".as_slice(), 0));
    }

    #[test]
    fn a_file_without_separator_is_no_mbox_and_an_empty_one_is_empty() {
        assert!(Reader::new(b"Subject: x\n\n".as_slice(), 100).next().is_err());
        assert_eq!(read(b""), []);
    }

    #[test]
    fn a_message_over_the_limit_is_passed_over_and_the_next_one_read() {
        let mut file = b"From a\n".to_vec();
        file.extend(vec![b'x'; 5000]);
        file.extend(b"\n\nFrom b\nshort\n");
        let mut reader = Reader::new(file.as_slice(), 100);
        assert_eq!(reader.next().unwrap(), Some(Next::TooLarge));
        let Some(Next::Entry(entry)) = reader.next().unwrap() else { panic!("no entry") };
        assert_eq!(entry.raw, b"short\n");
        assert_eq!(reader.next().unwrap(), None);
    }

    fn mail_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"From ".to_vec()),
            Just(b">".to_vec()),
            Just(b">From x\n".to_vec()),
            Just(MARK.to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_mbox_is_written_back_byte_for_byte(rest in mail_bytes()) {
            let file = [b"From ".as_slice(), &rest].concat();
            prop_assert_eq!(written(&read(&file)), file);
        }

        #[test]
        fn any_messages_are_read_back_byte_for_byte(
            mails in proptest::collection::vec(mail_bytes(), 1..5)
        ) {
            let entries: Vec<_> =
                mails.iter().map(|raw| wrap(raw.clone(), "a@b", "Thu Jan  1 00:00:00 1970")).collect();
            let back = read(&written(&entries));
            prop_assert_eq!(back.into_iter().map(|entry| entry.raw).collect::<Vec<_>>(), mails);
        }

        #[test]
        fn messages_of_an_mbox_survive_any_order(rest in mail_bytes()) {
            let mut entries = read(&[b"From ".as_slice(), &rest].concat());
            entries.reverse();
            let raws: Vec<_> = entries.iter().map(|entry| entry.raw.clone()).collect();
            let back: Vec<_> = read(&written(&entries)).into_iter().map(|entry| entry.raw).collect();
            prop_assert_eq!(back, raws);
        }
    }
}
