//! From a draft to the bytes of an RFC 5322 message.
//!
//! The builder does encoding and folding. What is added here: our own address, made from a name a
//! person chose freely, and types and names of attachments that a builder would choke on. There is
//! no Bcc: every recipient reads the same bytes.

use std::net::Ipv6Addr;
use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::{Cc, ContentType, From, To};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder, MultiPart, SinglePart};
use lettre::{Address, Message};
use threephone_address::{MailTarget, Target};

use crate::limits::{MAX_DATE_MS, MAX_LOCAL_PART};
use crate::{Attachment, MailDraft, MailError, parse};

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
///
/// Receivers refuse a mail whose `From` they cannot read as ours. Should a name ever come out so,
/// the mail goes without the name rather than not at all.
pub(crate) fn compose(
    draft: &MailDraft,
    name: &str,
    own: Ipv6Addr,
    id: &str,
    now_ms: i64,
) -> Result<Vec<u8>, MailError> {
    for name in [Some(name), None] {
        let raw = write(draft, name, own, id, now_ms)?;
        if parse::author(&raw) == Some(own) {
            return Ok(raw);
        }
    }
    Err(compose_error("its From cannot be read back"))
}

fn write(
    draft: &MailDraft,
    name: Option<&str>,
    own: Ipv6Addr,
    id: &str,
    now_ms: i64,
) -> Result<Vec<u8>, MailError> {
    let local = local_part(name.unwrap_or_default());
    let sender = Address::new_dangerous(local, format!("[IPv6:{own}]"));
    let name = name.map(one_line).filter(|name| !name.is_empty());
    let millis = u64::try_from(now_ms.clamp(0, MAX_DATE_MS)).unwrap_or(0);
    let builder = Message::builder()
        .date(UNIX_EPOCH + Duration::from_millis(millis))
        .message_id(Some(format!("<{id}@[IPv6:{own}]>")))
        .subject(one_line(&draft.subject));
    let mut message = body(placeholder(builder)?, draft)?;
    let headers = message.headers_mut();
    headers.set(From::from(Mailboxes::from(Mailbox::new(name, sender))));
    // A To field must not be empty; a mail that is all copies has none.
    if !draft.to.is_empty() {
        headers.set(To::from(draft.to.iter().map(mailbox).collect::<Mailboxes>()));
    }
    if !draft.cc.is_empty() {
        headers.set(Cc::from(draft.cc.iter().map(mailbox).collect::<Mailboxes>()));
    }
    Ok(message.formatted())
}

/// A sender that satisfies the builder until the real one takes its place: it reads the fields it
/// has written, and cannot read addresses like ours.
fn placeholder(builder: MessageBuilder) -> Result<MessageBuilder, MailError> {
    let nobody = Address::new("nobody", "localhost").map_err(compose_error)?;
    let envelope =
        Envelope::new(Some(nobody.clone()), vec![nobody.clone()]).map_err(compose_error)?;
    Ok(builder.envelope(envelope).from(Mailbox::new(None, nobody)))
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

/// One line, one space at a time: the builder loses spaces between encoded words where there are
/// two.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c == ' ' || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
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

    const OWN: &str = "520:c662:fd00:9e92:5d99:34ed:ab8:82ab";

    /// The mail before any fallback.
    fn written(name: &str, draft: &MailDraft) -> Vec<u8> {
        write(draft, Some(name), OWN.parse().unwrap(), "1", 1_700_000_000_000).unwrap()
    }

    fn check(name: &str) {
        let raw = written(name, &MailDraft { to: vec![ben()], ..MailDraft::default() });
        assert_eq!(parse::author(&raw), OWN.parse().ok(), "{}", String::from_utf8_lossy(&raw));
        let from = parse::summary(&raw).from;
        let (shown, address) = from.rsplit_once(" <").unwrap_or(("", &from));
        assert!(address.trim_end_matches('>').ends_with(&format!("@[IPv6:{OWN}]")), "{from}");
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let start: String = one_line(name).chars().take(200).collect();
        assert_eq!(plain(shown), plain(&start), "{}", String::from_utf8_lossy(&raw));
    }

    fn ben() -> MailTarget {
        "ben@[IPv6:400::2]".parse().unwrap()
    }

    #[test]
    fn every_name_a_person_may_have_passes_the_receivers_check_and_reads_back() {
        for name in [
            "Ann",
            "Ann (work)",
            "Łucja \"L\" Ö",
            "Lee, Ann",
            "\"Ann\"",
            "Ann \\ Lee",
            "ann@[IPv6:400::9]",
            "Ann <eve@[IPv6:400::9]>",
            "team: Ann;",
            "=?utf-8?q?Eve?=",
            "山田 太郎",
            "👩‍👩‍👧 Ann 🎉",
            "a b  c",
            ";",
            "",
            " ",
        ] {
            check(name);
        }
        check(&"x".repeat(2000));
        check(&"Ann Lee ".repeat(200));
        check(&"Łucja \"L\", ".repeat(100));
        check(&"🎉".repeat(500));
    }

    #[test]
    fn the_welcome_letter_is_a_draft_that_keeps_everything() {
        let raw = include_bytes!("../../../fixtures/mail/welcome.eml");
        let draft = MailDraft::from_eml(raw).unwrap();
        let again =
            MailDraft::from_eml(&written("Ann", &MailDraft { to: vec![ben()], ..draft.clone() }));
        let (before, after) = (draft, again.unwrap());
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&after.text), lines(&before.text));
        assert_eq!(after.html.as_deref().map(lines), before.html.as_deref().map(lines));
        assert_eq!((&after.subject, &after.attachments), (&before.subject, &before.attachments));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_name_passes_the_receivers_check(
            name in prop_oneof![any::<String>(), "[ -~]{0,200}", "[a-zŁ\"(),<>@:;\\[\\]=? 🎉\\\\]{0,80}"]
        ) {
            let raw = written(&name, &MailDraft { to: vec![ben()], ..MailDraft::default() });
            prop_assert_eq!(
                parse::author(&raw), OWN.parse().ok(), "{}", String::from_utf8_lossy(&raw)
            );
        }

        #[test]
        fn text_subject_and_files_arrive_as_they_were(
            subject in "\\PC{0,200}",
            text in "(\\PC|\n){0,300}",
            name in "[^/\\\\\\p{Cc}]{1,80}",
            data in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let attachments =
                vec![Attachment { name, content_type: "image/png".into(), data: data.clone() }];
            let to = vec![ben()];
            let draft = MailDraft { to, subject, text, attachments, ..MailDraft::default() };
            let raw = written("Ann", &draft);
            let opened = parse::open(&raw);
            let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(plain(&opened.text), plain(&draft.text));
            prop_assert_eq!(plain(&parse::summary(&raw).subject), plain(&draft.subject));
            prop_assert_eq!(parse::attachment(&raw, 0), Some(data));
            prop_assert_eq!(&opened.attachments[0].content_type, "image/png");
            // A name of nothing but spaces is no name for a file.
            let name = Some(plain(&draft.attachments[0].name)).filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| "file".into());
            prop_assert_eq!(plain(&opened.attachments[0].name), name);
        }

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
