//! Whose mail it is.
//!
//! This is what stops one phone from writing in another's name, so the field is read by hand and
//! strictly: a parser that makes the best of a field may see another mailbox than the next parser.
//! What lists show must then be the same mailbox.

use std::net::Ipv6Addr;

use mail_parser::{HeaderName, MessageParser};
use threephone_address::MailTarget;

use super::{catch, people, unfold};

/// The overlay address that wrote the mail: of exactly one `From` field that names exactly one
/// mailbox, written as `[IPv6:…]` or `.myc`.
pub(crate) fn author(raw: &[u8]) -> Option<Ipv6Addr> {
    let (fields, shown) = catch(raw, || {
        let message = MessageParser::default().parse_headers(raw)?;
        let is_from = |name: &str| name.trim().eq_ignore_ascii_case("from");
        let fields: Vec<String> = message
            .headers_raw()
            .filter(|(name, _)| is_from(name))
            .map(|(_, value)| unfold(value))
            .collect();
        let counted = message.headers().iter().filter(|h| h.name == HeaderName::From).count();
        (counted == fields.len()).then(|| (fields, people::addresses(&message, &HeaderName::From)))
    })?;
    let ([field], [shown]) = (fields.as_slice(), shown.as_slice()) else { return None };
    let author = single_mailbox(field)?;
    (overlay_address(shown.rsplit_once('@')?.1) == Some(author)).then_some(author)
}

fn overlay_address(domain: &str) -> Option<Ipv6Addr> {
    let mail: MailTarget = format!("x@{}", domain.trim()).parse().ok()?;
    Some(mail.target.address())
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
    overlay_address(domain)
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

#[cfg(test)]
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
    fn a_mail_that_ends_within_its_header_has_an_author() {
        for rest in ["", "\r\n", "\n", "\r\nSubject: x", "\r\nSubject: =?x?q?a=ZZ\n\0\u{1}"] {
            let raw = format!("From: ann@[IPv6:{ANN}]{rest}");
            assert_eq!(author(raw.as_bytes()), ANN.parse().ok(), "{raw:?}");
        }
    }
}
