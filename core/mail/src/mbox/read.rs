//! Reading, one message in memory at a time.

use std::io::{self, BufRead, Read};

use super::{Entry, is_separator, line_end, quoted_depth, without_mark};

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
            let line = self.piece()?;
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
            let more = self.piece()?;
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
            let line = self.piece()?;
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
    fn piece(&mut self) -> io::Result<Vec<u8>> {
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
