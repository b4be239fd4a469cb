//! Reading mail of strangers: what is indexed, what is shown, who wrote it.
//!
//! The parser is fed only what it can carry. It nests attached messages, and a nest deep enough
//! overflows the stack when it is dropped, which cannot be caught. So mail with more parts than
//! [`MAX_PARTS`], or with an attached message hidden in base64 (which RFC 2046 forbids), is read as
//! header fields only. A panic is caught. Nothing here decides whether a mail is kept: unreadable
//! mail is stored like any other.

#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::net::Ipv6Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{
    Address, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType,
};
use threephone_address::MailTarget;

use crate::{Attachment, AttachmentView, MailDraft, MailError};

/// Content-Type fields in a mail that is read whole: bounds its parts and how deep they nest, and
/// with that the time (each part may cost one look over the mail).
const MAX_PARTS: usize = 500;
/// Characters of text that are indexed.
const MAX_INDEXED: usize = 1024 * 1024;
/// Characters of one header field that are indexed and listed.
const MAX_FIELD: usize = 1000;
/// People under To and Cc that are listed.
const MAX_PEOPLE: usize = 500;

/// What is indexed beside a mail. Empty where the mail has none that can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    /// Unix milliseconds.
    pub(crate) date: Option<i64>,
    pub(crate) message_id: String,
    pub(crate) attachments: usize,
    pub(crate) text: String,
}

/// What is shown of an opened mail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opened {
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    pub(crate) attachments: Vec<AttachmentView>,
    pub(crate) headers: Vec<(String, String)>,
}

fn with_message<T: Default>(raw: &[u8], read: impl FnOnce(&Message<'_>) -> T) -> T {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let parser = MessageParser::default();
        let message = if is_bomb(raw) { parser.parse_headers(raw) } else { parser.parse(raw) };
        message.map(|message| read(&message))
    }));
    match attempt {
        Ok(result) => result.unwrap_or_default(),
        Err(_) => {
            tracing::warn!(bytes = raw.len(), "the mail parser panicked; the mail is kept unread");
            T::default()
        }
    }
}

/// Whether reading the whole of it could cost more than it is worth.
///
/// Looks at the bytes only, so that no trick with boundaries gets past it: a part nests only if its
/// own header field, or its parent's in a digest, names one of a few types in one block of lines.
fn is_bomb(raw: &[u8]) -> bool {
    let lower = raw.to_ascii_lowercase();
    if count(&lower, b"content-type", MAX_PARTS) >= MAX_PARTS {
        return true;
    }
    let digest = count(&lower, b"digest", 1) > 0;
    let nested = [b"rfc822".as_slice(), b"global"].iter().any(|token| count(&lower, token, 1) > 0);
    if !digest && !nested {
        return false;
    }
    let mut block = Block::default();
    for line in lower.split(|byte| *byte == b'\n') {
        if line.iter().all(|byte| *byte == b'\r') {
            if block.hides_a_message(digest) {
                return true;
            }
            block = Block::default();
        } else {
            block.add(line);
        }
    }
    block.hides_a_message(digest)
}

/// Lines between two blank ones, some of which are somebody's header fields.
#[derive(Default)]
struct Block {
    encoded: bool,
    message: bool,
    typed: bool,
}

impl Block {
    fn add(&mut self, line: &[u8]) {
        let has = |token: &[u8]| count(line, token, 1) > 0;
        self.encoded |= has(b"base64") || has(b"quoted-printable");
        self.message |= has(b"rfc822") || has(b"global");
        self.typed |= has(b"content-type");
    }

    fn hides_a_message(&self, in_digest: bool) -> bool {
        self.encoded && (self.message || (in_digest && !self.typed))
    }
}

fn count(haystack: &[u8], needle: &[u8], enough: usize) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).take(enough).count()
}

/// Reads what is indexed.
pub(crate) fn summary(raw: &[u8]) -> Summary {
    with_message(raw, |message| {
        let mut to = people(message.to());
        to.extend(people(message.cc()));
        to.truncate(MAX_PEOPLE);
        Summary {
            from: people(message.from()).join(", "),
            to,
            subject: clip(message.subject().unwrap_or_default(), MAX_FIELD),
            date: message.date().map(|date| date.to_timestamp().saturating_mul(1000)),
            message_id: clip(message.message_id().unwrap_or_default(), MAX_FIELD),
            attachments: message.attachment_count(),
            text: clip(&text_of(message), MAX_INDEXED),
        }
    })
}

/// Reads what is shown.
pub(crate) fn open(raw: &[u8]) -> Opened {
    with_message(raw, |message| {
        let headers = message.headers_raw();
        Opened {
            text: text_of(message),
            html: html_of(message),
            attachments: message.attachments().map(attachment_view).collect(),
            headers: headers.map(|(name, value)| (name.to_owned(), unfold(value))).collect(),
        }
    })
}

/// The bytes of the `index`th attachment, decoded.
pub(crate) fn attachment(raw: &[u8], index: usize) -> Option<Vec<u8>> {
    with_message(raw, |message| {
        message.attachments().nth(index).map(|part| part.contents().to_vec())
    })
}

fn text_of(message: &Message<'_>) -> String {
    let bodies = (0..message.text_body_count()).filter_map(|n| message.body_text(n));
    bodies.collect::<Vec<_>>().join("\n")
}

fn html_of(message: &Message<'_>) -> Option<String> {
    let mut bodies = message.html_bodies();
    bodies.find_map(|part| match &part.body {
        PartType::Html(html) => Some(html.clone().into_owned()),
        _ => None,
    })
}

fn attachment_view(part: &MessagePart<'_>) -> AttachmentView {
    let content_type = part.content_type().map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    AttachmentView {
        name: clip(part.attachment_name().unwrap_or_default(), MAX_FIELD),
        content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        size: part.contents().len(),
    }
}

fn people(address: Option<&Address<'_>>) -> Vec<String> {
    let Some(address) = address else { return Vec::new() };
    let show = |one: &mail_parser::Addr<'_>| match (one.name(), one.address()) {
        (Some(name), Some(address)) => clip(&format!("{name} <{address}>"), MAX_FIELD),
        (None, Some(text)) | (Some(text), None) => clip(text, MAX_FIELD),
        (None, None) => String::new(),
    };
    address.iter().take(MAX_PEOPLE).map(show).filter(|text| !text.is_empty()).collect()
}

/// Text on one line without control characters, no longer than it is worth.
fn clip(text: &str, chars: usize) -> String {
    text.chars().take(chars).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

fn unfold(value: &str) -> String {
    value.split(['\r', '\n']).filter(|line| !line.is_empty()).collect::<String>().trim().to_owned()
}

/// The overlay address that wrote the mail: of exactly one `From` field that names exactly one
/// mailbox, written as `[IPv6:…]` or `.myc`.
///
/// Read by hand and strictly, since this is what stops one phone from writing in another's name: a
/// parser that makes the best of a field may see another mailbox than the next parser.
pub(crate) fn author(raw: &[u8]) -> Option<Ipv6Addr> {
    let fields = with_message(raw, |message| {
        let is_from = |name: &str| name.trim().eq_ignore_ascii_case("from");
        let raw = message.headers_raw();
        let fields: Vec<String> =
            raw.filter(|(name, _)| is_from(name)).map(|(_, value)| unfold(value)).collect();
        let counted = message.headers().iter().filter(|h| h.name == HeaderName::From).count();
        (counted == fields.len()).then_some(fields).unwrap_or_default()
    });
    match fields.as_slice() {
        [field] => single_mailbox(field),
        _ => None,
    }
}

fn single_mailbox(field: &str) -> Option<Ipv6Addr> {
    let bare = without_quoted(field)?;
    if bare.contains([',', ';', '(', ')']) || bare.matches('@').count() != 1 {
        return None;
    }
    let address = match bare.split_once('<') {
        Some((_, rest)) => {
            let (address, after) = rest.split_once('>')?;
            (after.trim().is_empty() && !address.contains('<')).then_some(address)?
        }
        None => (!bare.contains('>')).then_some(bare.as_str())?,
    };
    let (local, domain) = address.split_once('@')?;
    let outside = bare.split_once('<').map_or("", |(before, _)| before);
    if outside.contains([':', '@']) || local.contains(':') {
        return None;
    }
    let mail: MailTarget = format!("x@{}", domain.trim()).parse().ok()?;
    Some(mail.target.address())
}

/// The field without its quoted strings; nothing if a quote stays open.
fn without_quoted(field: &str) -> Option<String> {
    let mut bare = String::new();
    let mut quoted = false;
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => {
                chars.next()?;
            }
            c if !quoted => bare.push(c),
            _ => {}
        }
    }
    (!quoted).then_some(bare)
}

impl MailDraft {
    /// A draft with the subject, text, HTML and files of a mail, for nobody yet.
    ///
    /// # Errors
    /// [`MailError::NotAMail`] where the bytes have neither subject nor text nor files.
    pub fn from_eml(raw: &[u8]) -> Result<Self, MailError> {
        let draft = with_message(raw, |message| Self {
            subject: clip(message.subject().unwrap_or_default(), MAX_FIELD),
            text: text_of(message),
            html: html_of(message),
            attachments: message.attachments().map(whole_attachment).collect(),
            ..Self::default()
        });
        if draft == Self::default() {
            return Err(MailError::NotAMail("it has no subject, text or file".to_owned()));
        }
        Ok(draft)
    }
}

fn whole_attachment(part: &MessagePart<'_>) -> Attachment {
    let view = attachment_view(part);
    Attachment { name: view.name, content_type: view.content_type, data: part.contents().to_vec() }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const ANN: &str = "520:c662:fd00:9e92:5d99:34ed:ab8:82ab";

    fn author_of(from: &str) -> Option<Ipv6Addr> {
        author(format!("{from}\r\nSubject: x\r\n\r\nhello\r\n").as_bytes())
    }

    #[test]
    fn the_author_is_one_mailbox_at_an_overlay_address() {
        for from in [
            format!("From: ann@[IPv6:{ANN}]"),
            format!("FROM: \"Lee, Ann\" <ann@[ipv6:{ANN}]>"),
            format!("From: =?utf-8?q?=C3=84nn?=\r\n <ann@[IPv6:{ANN}]>"),
        ] {
            assert_eq!(author_of(&from), Some(ANN.parse().unwrap()), "{from}");
        }
        for from in [
            "Subject: none".to_owned(),
            "From: ann@example.org".to_owned(),
            format!("From: ann@[IPv6:{ANN}], eve@[IPv6:{ANN}]"),
            format!("From: ann@[IPv6:{ANN}]\r\nFrom: eve@[IPv6:500::1]"),
            format!("From: eve@[IPv6:500::1] <ann@[IPv6:{ANN}]>"),
            format!("From: team: ann@[IPv6:{ANN}];"),
            format!("From: <ann@[IPv6:{ANN}]> <eve@[IPv6:500::1]>"),
            format!("From: \"open <ann@[IPv6:{ANN}]>"),
        ] {
            assert_eq!(author_of(&from), None, "{from}");
        }
    }

    #[test]
    fn our_own_address_form_is_shown_as_written() {
        let raw =
            format!("From: Ann <ann@[IPv6:{ANN}]>\r\nTo: b@[IPv6:{ANN}]\r\nSubject: x\r\n\r\ny");
        let summary = summary(raw.as_bytes());
        assert_eq!(summary.from, format!("Ann <ann@[IPv6:{ANN}]>"));
        assert_eq!(summary.to, [format!("b@[IPv6:{ANN}]")]);
    }

    #[test]
    fn a_nest_of_messages_does_not_overflow_the_stack() {
        let plain = "Content-Type: message/rfc822\n\n".repeat(200_000);
        assert_eq!(summary(plain.as_bytes()).text, "");
        let hidden = "Content-Type: message/\n rfc822\nContent-Transfer-Encoding: base64\n\nQQ==\n";
        assert!(is_bomb(hidden.as_bytes()));
        let nested = "Content-Type: message/rfc822\n\n".repeat(MAX_PARTS - 1);
        let _ = summary(nested.as_bytes());
        let wide = "--b\nContent-Type: text/plain\n\nx\n".repeat(100_000);
        let wide = format!("Content-Type: multipart/mixed; boundary=b\n\n{wide}");
        assert!(is_bomb(wide.as_bytes()));
    }
}
