//! Who is named in a field of addresses.
//!
//! The parser reads `ann@[IPv6:400::1]` outside angle brackets as a group named `ann@[IPv6`. That is
//! the form every address here has, so such addresses get their brackets before it sees the field.

use mail_parser::{Addr, Header, HeaderName, HeaderValue, Message, MessageParser};

use super::one_line;
use crate::limits::{MAX_NAME, MAX_PEOPLE};

/// Everyone in the fields called `name`, as `Name <address>`.
pub(super) fn shown(message: &Message<'_>, name: &HeaderName<'_>) -> Vec<String> {
    let show = |one: &Addr<'_>| match (one.name(), one.address()) {
        (Some(name), Some(address)) => {
            let name: String = name.chars().take(MAX_NAME).collect();
            Some(one_line(&format!("{name} <{address}>")))
        }
        (None, Some(text)) | (Some(text), None) => Some(one_line(text)),
        (None, None) => None,
    };
    each(message, name, show)
}

/// The addresses alone; one that has none counts as an empty one.
pub(super) fn addresses(message: &Message<'_>, name: &HeaderName<'_>) -> Vec<String> {
    each(message, name, |one| Some(one.address().unwrap_or_default().to_owned()))
}

fn each(
    message: &Message<'_>,
    name: &HeaderName<'_>,
    show: impl Fn(&Addr<'_>) -> Option<String>,
) -> Vec<String> {
    let mut all = Vec::new();
    for header in message.headers().iter().filter(|header| header.name == *name) {
        let room = MAX_PEOPLE.saturating_sub(all.len());
        if room == 0 {
            break;
        }
        let mut add = |value: &HeaderValue<'_>| {
            let people = value.as_address().into_iter().flat_map(|address| address.iter());
            all.extend(people.take(room).filter_map(&show).filter(|text| !text.is_empty()));
        };
        match bracketed(message, header) {
            Some(field) => {
                let read = MessageParser::default().parse_headers(&field);
                read.iter().flat_map(|read| read.headers()).for_each(|header| add(&header.value));
            }
            None => add(&header.value),
        }
    }
    all
}

/// The field again as a `To` field with brackets, if it has an address that needs them.
fn bracketed(message: &Message<'_>, header: &Header<'_>) -> Option<Vec<u8>> {
    let place = header.offset_start() as usize..header.offset_end() as usize;
    let value = message.raw_message().get(place)?;
    if !value.windows(2).any(|pair| pair == b"@[") {
        return None;
    }
    let mut field = b"To:".to_vec();
    bracket_literals(value, &mut field);
    field.extend_from_slice(b"\r\n\r\n");
    Some(field)
}

/// Copies `value`, with `<` and `>` around each `word@[literal]` that stands outside quotes,
/// comments and angle brackets.
fn bracket_literals(value: &[u8], out: &mut Vec<u8>) {
    let mut word = out.len();
    let (mut quoted, mut comments, mut angle) = (false, 0usize, false);
    let mut literal = false;
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        out.push(byte);
        match byte {
            b'\\' if quoted || comments > 0 => out.extend(bytes.next()),
            b'"' if comments == 0 => quoted = !quoted,
            _ if quoted => {}
            b'(' => comments = comments.saturating_add(1),
            b')' => comments = comments.saturating_sub(1),
            _ if comments > 0 => {}
            b'<' => angle = true,
            b'>' => angle = false,
            _ if angle => {}
            b'@' if !literal && bytes.peek() == Some(&b'[') => {
                out.insert(word, b'<');
                literal = true;
            }
            b']' if literal => {
                out.push(b'>');
                literal = false;
            }
            b':' if literal => {}
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b':' => word = out.len(),
            _ => {}
        }
    }
    if literal {
        out.push(b'>');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const ANN: &str = "520:c662:fd00:9e92:5d99:34ed:ab8:82ab";

    fn people_of(field: &str) -> Vec<String> {
        parse::summary(format!("{field}\r\nSubject: x\r\n\r\ny").as_bytes()).to
    }

    #[test]
    fn our_own_address_form_is_shown_as_written() {
        let ann = format!("ann@[IPv6:{ANN}]");
        assert_eq!(people_of(&format!("To: {ann}")), [ann.as_str()]);
        assert_eq!(people_of(&format!("To: <{ann}>")), [ann.as_str()]);
        assert_eq!(people_of(&format!("To: Ann <{ann}>")), [format!("Ann <{ann}>")]);
        let many = format!("To: {ann},\r\n \"Ben, B\" <ben@[IPv6:400::2]>, eve@example.org");
        let expected = [ann.clone(), "Ben, B <ben@[IPv6:400::2]>".into(), "eve@example.org".into()];
        assert_eq!(people_of(&many), expected);
        let copies = format!("To: {ann}\r\nCc: b@[IPv6:400::2],c@[IPv6:400::3]");
        assert_eq!(people_of(&copies), [&ann, "b@[IPv6:400::2]", "c@[IPv6:400::3]"]);
        let raw = format!("From: {ann}\r\n\r\ny");
        assert_eq!(parse::summary(raw.as_bytes()).from, ann);
    }

    #[test]
    fn groups_quotes_and_comments_stay_what_they_are() {
        assert_eq!(people_of("To: team: a@[IPv6:400::1], b@example.org;").len(), 2);
        assert_eq!(people_of("To: \"x@[IPv6:400::1]\" <a@example.org>").len(), 1);
        assert_eq!(people_of("To: (x@[IPv6:400::1]) a@example.org").len(), 1);
        assert_eq!(people_of("To: \"a b\"@[IPv6:400::1]").len(), 1);
        assert_eq!(people_of("To: a@[IPv6:400::1").len(), 1);
    }

    #[test]
    fn a_field_of_nothing_but_literals_is_read_in_time_that_grows_with_it() {
        let field = format!("To: {}", "a@[".repeat(300_000));
        assert!(people_of(&field).len() <= MAX_PEOPLE);
        let fields = "To: a@[IPv6:400::1]\r\n".repeat(20_000);
        assert_eq!(people_of(fields.trim_end()).len(), MAX_PEOPLE);
    }
}
