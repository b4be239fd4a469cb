//! What of a stranger's mail the parser is fed.
//!
//! It nests attached messages, and a nest deep enough overflows the stack when it is dropped, which
//! cannot be caught. So a mail with more parts than [`MAX_PARTS`], or with an attached message
//! hidden in an encoding (which RFC 2046 forbids), is read as header fields only.

use crate::limits::MAX_PARTS;

/// Whether reading the whole of it could cost more than it is worth.
///
/// Looks at the bytes only, so that no trick with boundaries gets past it: a part nests only if one
/// block of lines, its header, holds the words `message` and `rfc822` or `global`, or nothing about
/// a type within a digest. A file that has both words in its name is a false alarm.
pub(super) fn is_bomb(raw: &[u8]) -> bool {
    // As text only since the standard library searches text fast; no ASCII is lost by it.
    let lower = String::from_utf8_lossy(raw).to_ascii_lowercase();
    if lower.matches("content-type").take(MAX_PARTS).count() >= MAX_PARTS {
        return true;
    }
    let digest = lower.contains("digest");
    if !digest && !lower.contains("rfc822") && !lower.contains("global") {
        return false;
    }
    let mut block = Block::default();
    for line in lower.split('\n') {
        if line.bytes().all(|byte| byte == b'\r') {
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
    nested: bool,
    typed: bool,
}

impl Block {
    fn add(&mut self, line: &str) {
        self.encoded |= line.contains("base64") || line.contains("quoted-printable");
        self.message |= line.contains("message");
        self.nested |= line.contains("rfc822") || line.contains("global");
        self.typed |= line.contains("content-type");
    }

    fn hides_a_message(&self, in_digest: bool) -> bool {
        self.encoded && ((self.message && self.nested) || (in_digest && !self.typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn a_nest_of_messages_does_not_overflow_the_stack() {
        let plain = "Content-Type: message/rfc822\n\n".repeat(200_000);
        assert_eq!(parse::summary(plain.as_bytes()).text, "");
        let hidden = "Content-Type: message/\n rfc822\nContent-Transfer-Encoding: base64\n\nQQ==\n";
        assert!(is_bomb(hidden.as_bytes()));
        let nested = "Content-Type: message/rfc822\n\n".repeat(MAX_PARTS - 1);
        let _ = parse::summary(nested.as_bytes());
        let wide = "--b\nContent-Type: text/plain\n\nx\n".repeat(100_000);
        let wide = format!("Content-Type: multipart/mixed; boundary=b\n\n{wide}");
        assert!(is_bomb(wide.as_bytes()));
    }

    #[test]
    fn an_encoded_message_in_a_digest_is_a_bomb() {
        let digest = "Content-Type: multipart/digest; boundary=b\n\n--b\n\
                      Content-Transfer-Encoding: quoted-printable\n\nSubject: x\n\n--b--\n";
        assert!(is_bomb(digest.as_bytes()));
    }

    #[test]
    fn an_ordinary_file_with_global_in_its_name_is_no_bomb() {
        let file = "Content-Type: application/pdf; name=\"global-plan.pdf\"\n\
                    Content-Transfer-Encoding: base64\n\nQQ==\n";
        assert!(!is_bomb(file.as_bytes()));
    }
}
