//! From a draft to the bytes of an RFC 5322 message.
//!
//! The builder does encoding and folding. What is added here: our own address, made from a name a
//! person chose freely, and types and names of attachments that a builder would choke on. There is
//! no Bcc: every recipient reads the same bytes.

use std::net::Ipv6Addr;
use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::{Address, Message};
use threephone_address::{MailTarget, Target};

use crate::{Attachment, MailDraft, MailError};

/// RFC 5321 allows a local part of 64 octets.
const MAX_LOCAL_PART: usize = 64;
/// The last millisecond of the year 9999: what a Date field can say.
const MAX_DATE_MS: i64 = 253_402_300_799_000;

/// `name` as the part of an address before the `@`: a dot-atom of ASCII letters, digits, `-` and
/// `_`; `me` where nothing of the name is left.
///
/// Letters beyond ASCII are left out: SMTP would need an extension for them, and the part only has
/// to read well, the address after it is what counts.
pub fn local_part(name: &str) -> String {
    let mut local = String::new();
    for c in name.chars() {
        if local.len() >= MAX_LOCAL_PART {
            break;
        }
        if c.is_ascii_alphanumeric() || c == '_' {
            local.push(c.to_ascii_lowercase());
        } else if (c.is_whitespace() || c == '.' || c == '-') && !local.is_empty() {
            let joint = if c == '-' { '-' } else { '.' };
            if !local.ends_with(['.', '-']) {
                local.push(joint);
            }
        }
    }
    let trimmed = local.trim_end_matches(['.', '-']);
    if trimmed.is_empty() { "me".to_owned() } else { trimmed.to_owned() }
}

/// The finished mail from `name` at `own`. `id` makes the Message-ID and must be unique.
pub(crate) fn compose(
    draft: &MailDraft,
    name: &str,
    own: Ipv6Addr,
    id: &str,
    now_ms: i64,
) -> Result<Vec<u8>, MailError> {
    let sender = Address::new_dangerous(local_part(name), format!("[IPv6:{own}]"));
    let millis = u64::try_from(now_ms.clamp(0, MAX_DATE_MS)).unwrap_or(0);
    // The envelope is ours; the builder only wants one so as not to derive it from the fields.
    let envelope =
        Envelope::new(Some(sender.clone()), vec![sender.clone()]).map_err(compose_error)?;
    let name = one_line(name);
    let name = Some(name).filter(|name| !name.trim().is_empty());
    let mut builder = Message::builder()
        .envelope(envelope)
        .date(UNIX_EPOCH + Duration::from_millis(millis))
        .message_id(Some(format!("<{id}@[IPv6:{own}]>")))
        .from(Mailbox::new(name, sender))
        .subject(one_line(&draft.subject));
    for to in &draft.to {
        builder = builder.to(mailbox(to));
    }
    for cc in &draft.cc {
        builder = builder.cc(mailbox(cc));
    }
    Ok(body(builder, draft)?.formatted())
}

fn body(builder: MessageBuilder, draft: &MailDraft) -> Result<Message, MailError> {
    let text = SinglePart::plain(draft.text.clone());
    let html = draft.html.clone();
    if draft.attachments.is_empty() {
        return match html {
            None => builder.singlepart(text),
            Some(html) => {
                builder.multipart(MultiPart::alternative_plain_html(draft.text.clone(), html))
            }
        }
        .map_err(compose_error);
    }
    let mixed = MultiPart::mixed();
    let mut mixed = match html {
        None => mixed.singlepart(text),
        Some(html) => mixed.multipart(MultiPart::alternative_plain_html(draft.text.clone(), html)),
    };
    for attachment in &draft.attachments {
        mixed = mixed.singlepart(file(attachment)?);
    }
    builder.multipart(mixed).map_err(compose_error)
}

/// Always base64: the file arrives as it is, whatever its line ends.
fn file(attachment: &Attachment) -> Result<SinglePart, MailError> {
    use lettre::message::header::{ContentDisposition, ContentTransferEncoding};
    use lettre::message::{Body, IntoBody};

    let wanted = attachment.content_type.as_str();
    // A composite type must not be base64 (RFC 2046, 5.2.1); sent as plain bytes it arrives as it is.
    let lower = wanted.trim_start().to_ascii_lowercase();
    let composite = lower.starts_with("message/") || lower.starts_with("multipart/");
    let octets = "application/octet-stream";
    let wanted = if composite || !wanted.is_ascii() || wanted.contains(['\r', '\n']) {
        octets
    } else {
        wanted
    };
    let kind = ContentType::parse(wanted).or_else(|_| ContentType::parse(octets));
    let name = one_line(attachment.name.rsplit(['/', '\\']).next().unwrap_or_default());
    let name = if name.is_empty() { "file".to_owned() } else { name };
    let body: Body = attachment.data.clone().into_body(Some(ContentTransferEncoding::Base64));
    Ok(SinglePart::builder()
        .header(ContentDisposition::attachment(&name))
        .header(kind.map_err(compose_error)?)
        .body(body))
}

fn mailbox(to: &MailTarget) -> Mailbox {
    let local = to.local.as_deref().map_or_else(|| "phone".to_owned(), local_part);
    let domain = match to.target {
        Target::Address(address) => format!("[IPv6:{address}]"),
        Target::Key(_) => to.target.to_string(),
    };
    Mailbox::new(None, Address::new_dangerous(local, domain))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn compose_error(error: impl std::fmt::Display) -> MailError {
    MailError::Compose(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_becomes_a_readable_local_part() {
        for (name, local) in [
            ("Ann", "ann"),
            ("Ann  Lee-Smith", "ann.lee-smith"),
            ("..ann..", "ann"),
            ("山田", "me"),
            ("a@b, <c>\r\nBcc: d", "ab.c.bcc.d"),
        ] {
            assert_eq!(local_part(name), local);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn every_local_part_is_a_dot_atom(name in any::<String>()) {
            let local = local_part(&name);
            prop_assert!(!local.is_empty() && local.len() <= MAX_LOCAL_PART);
            prop_assert!(local.split('.').all(|atom| !atom.is_empty()));
            prop_assert!(local.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
            prop_assert!(Address::new(&local, "example.org").is_ok());
        }
    }
}
