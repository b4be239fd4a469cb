//! The secret that a caller may have to show.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The fewest characters of a token. Whoever can reach the port can guess as fast as the machine
/// answers: about 10,000 times a second, which sixteen random letters outlast.
const SHORTEST: usize = 16;

/// What a caller has to send as `Authorization: Bearer …`. Never shown, not even by `Debug`.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It could be guessed.
    #[error(
        "the token has fewer than {SHORTEST} characters; take for example `openssl rand -hex 32`"
    )]
    TooShort,
    /// It cannot stand in a header.
    #[error("the token holds a blank or a character that is not printable ASCII")]
    NotAscii,
}

impl Token {
    /// Takes a token as it was typed; blanks and line ends around it do not count.
    ///
    /// # Errors
    /// [`TokenError`] for one that could be guessed, or cannot stand in a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NotAscii);
        }
        if text.len() < SHORTEST {
            return Err(TokenError::TooShort);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Whether a value of `Authorization` shows this token. Takes as long for a wrong token as for
    /// the right one; only the length can be learnt.
    pub(crate) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let Some((scheme, shown)) = authorization.split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(self.0.as_bytes().ct_eq(shown))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_passes() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        assert!(token.is_shown_by(b"Bearer 0123456789abcdef"));
        assert!(token.is_shown_by(b"bearer 0123456789abcdef"));
        let wrong = ["", "Bearer", "Bearer ", "Basic 0123456789abcdef", "Bearer 0123456789abcdeg"];
        for shown in wrong {
            assert!(!token.is_shown_by(shown.as_bytes()), "{shown}");
        }
        assert!(!token.is_shown_by(b"Bearer 0123456789abcdef0"));
    }

    #[test]
    fn tokens_that_could_be_guessed_or_not_be_sent_are_refused() {
        assert_eq!(Token::new("0123456789abcde").unwrap_err(), TokenError::TooShort);
        assert_eq!(Token::new("0123456789 abcdef").unwrap_err(), TokenError::NotAscii);
        assert_eq!(Token::new("0123456789abcdé f").unwrap_err(), TokenError::NotAscii);
    }

    #[test]
    fn a_token_does_not_show_itself() {
        assert!(!format!("{:?}", Token::new("0123456789abcdef").unwrap()).contains("0123"));
    }
}
