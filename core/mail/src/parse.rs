//! Reading mail of strangers: what is indexed, what is shown, who wrote it.
//!
//! The parser is fed only what it can carry (`bound`), and a panic of it is caught. Nothing here
//! decides whether a mail is kept: unreadable mail is stored like any other. `author` is the one
//! exception, and what it accepts is narrow.

#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

mod author;
mod bound;
mod people;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use crate::limits::{MAX_FIELD, MAX_INDEXED, MAX_PEOPLE};
use crate::{Attachment, AttachmentView, MailDraft, MailError};

pub(crate) use author::author;

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
    catch(raw, || {
        let parser = MessageParser::default();
        let bomb = bound::is_bomb(raw);
        let message = if bomb { parser.parse_headers(raw) } else { parser.parse(raw) };
        message.map(|message| read(&message)).unwrap_or_default()
    })
}

fn catch<T: Default>(raw: &[u8], read: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        tracing::warn!(bytes = raw.len(), "the mail parser panicked; the mail is kept unread");
        T::default()
    })
}

/// Reads what is indexed.
pub(crate) fn summary(raw: &[u8]) -> Summary {
    with_message(raw, |message| {
        let mut to = people::shown(message, &HeaderName::To);
        to.extend(people::shown(message, &HeaderName::Cc));
        to.truncate(MAX_PEOPLE);
        Summary {
            from: one_line(&people::shown(message, &HeaderName::From).join(", ")),
            to,
            subject: one_line(message.subject().unwrap_or_default()),
            date: message.date().map(|date| date.to_timestamp().saturating_mul(1000)),
            message_id: one_line(message.message_id().unwrap_or_default()),
            attachments: message.attachment_count(),
            text: text_of(message).chars().take(MAX_INDEXED).collect(),
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
        name: one_line(part.attachment_name().unwrap_or_default()),
        content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        size: part.contents().len(),
    }
}

/// Text on one line without control characters, no longer than it is worth.
fn one_line(text: &str) -> String {
    text.chars().take(MAX_FIELD).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn unfold(value: &str) -> String {
    value.split(['\r', '\n']).filter(|line| !line.is_empty()).collect::<String>().trim().to_owned()
}

impl MailDraft {
    /// A draft with the subject, text, HTML and files of a mail, for nobody yet.
    ///
    /// # Errors
    /// [`MailError::NotAMail`] where the bytes have neither subject nor text nor files.
    pub fn from_eml(raw: &[u8]) -> Result<Self, MailError> {
        let draft = with_message(raw, |message| Self {
            subject: one_line(message.subject().unwrap_or_default()),
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
mod tests {
    use super::*;

    #[test]
    fn the_welcome_letter_has_subject_text_html_and_a_file() {
        let raw = include_bytes!("../../../fixtures/mail/welcome.eml");
        let (summary, opened) = (summary(raw), open(raw));
        assert_eq!(summary.subject, "Welcome to the network \u{2013} a first letter");
        assert_eq!(summary.attachments, 1);
        assert!(opened.text.starts_with("Dear Ben,") && opened.text.contains("Gr\u{fc}\u{df}e"));
        assert!(opened.html.is_some_and(|html| html.contains("<b>my phone to yours</b>")));
        assert_eq!(opened.attachments.len(), 1);
        let bytes = attachment(raw, 0).unwrap();
        assert!(bytes.starts_with(b"Packing list for the first walk\n"));
        assert!(bytes.ends_with(b"- no company's server\n"));
        let view = &opened.attachments[0];
        assert_eq!((view.name.as_str(), view.size), ("packing-list.md", bytes.len()));
        assert_eq!(view.content_type, "text/markdown");
        assert_eq!(author(raw), "520:c662:fd00:9e92:5d99:34ed:ab8:82ab".parse().ok());
    }

    #[test]
    fn header_text_is_one_line_whatever_its_encoding_hides() {
        let raw = b"Subject: =?utf-8?q?a=0D=0Ab=00c?=\r\n\r\nx";
        assert_eq!(summary(raw).subject, "a  b c");
    }
}
