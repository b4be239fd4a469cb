//! Reading what was typed: what cannot be meant is refused before anything is opened, with the form
//! that it should have.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use threephone::TOPIC;
use threephone::mail::MailId;
use threephone::node::{Endpoint, PeerAddress};

/// Bytes of a topic.
const TOPIC_BYTES: usize = 255;
/// Digits of a message's id.
const ID_DIGITS: usize = 16;

/// A time in seconds, with or without a fraction.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("'{text}' is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("'{text}' is not a number of seconds from now on"))
}

/// The name of a profile.
pub(super) fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let fits = (1..=64).contains(&name.chars().count());
    match fits && !name.chars().any(char::is_control) {
        true => Ok(name.to_owned()),
        false => Err("a name has 1 to 64 characters, none of them control characters".to_owned()),
    }
}

/// A topic that people may use.
pub(super) fn topic(topic: OsString) -> Result<OsString, String> {
    match topic.as_bytes() {
        bytes if bytes == TOPIC.as_bytes() => {
            Err(format!("the topic '{TOPIC}' is the program's own; use another one"))
        }
        bytes if bytes.len() > TOPIC_BYTES => Err(format!(
            "the topic is {} bytes long; at most {TOPIC_BYTES} are possible",
            bytes.len()
        )),
        _ => Ok(topic),
    }
}

/// The id of a message.
pub(super) fn message_id(text: &str) -> Result<String, String> {
    match text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "the id of a message is {ID_DIGITS} hexadecimal digits, as `bus receive` shows it"
        )),
    }
}

/// The id of a mail.
pub(super) fn mail_id(text: &str) -> Result<String, String> {
    match text.parse::<MailId>() {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err("the id of a mail is a number, as `mail list` shows it".to_owned()),
    }
}

/// Where to accept peers.
pub(super) fn listen(text: &str) -> Result<Endpoint, String> {
    text.parse::<Endpoint>().map_err(|error| match text.parse::<PeerAddress>() {
        Ok(_) => "names are not looked up here; listen on an address of this machine, e.g. \
                  tcp://127.0.0.1:9651, or on all of them with tcp://[::]:9651"
            .to_owned(),
        Err(_) => error.to_string(),
    })
}

/// Where to serve an interface.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write an IP address and a port, e.g. 127.0.0.1:8989 or [::1]:8989; names are not looked \
         up here"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_or_without_a_fraction() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        for text in ["", "-1", "soon", "NaN", "inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_topics_are_bounded() {
        assert_eq!(name(" Ann ").unwrap(), "Ann");
        for text in ["", "  ", "a\nb", &"a".repeat(65)] {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert!(topic("a".repeat(255).into()).is_ok() && topic(OsString::new()).is_ok());
        for text in ["a".repeat(256), "é".repeat(128), TOPIC.to_owned()] {
            assert!(topic(text.into()).is_err());
        }
    }

    #[test]
    fn ids_have_one_form_each() {
        assert_eq!(message_id("00ffAA0011223344").unwrap(), "00ffAA0011223344");
        for text in ["", "zz", "00ff", "00ffaa001122334g", "00ffaa00112233445"] {
            assert!(message_id(text).is_err(), "{text}");
        }
        assert_eq!(mail_id("7").unwrap(), "7");
        assert!(mail_id("x").is_err() && mail_id("").is_err());
    }

    #[test]
    fn a_name_where_an_address_belongs_is_told_with_an_example() {
        assert!(listen("tcp://localhost:9651").unwrap_err().contains("tcp://127.0.0.1:9651"));
        assert!(listen("9651").unwrap_err().contains("quic://"));
        assert!(socket("localhost:1").unwrap_err().contains("127.0.0.1:8989"));
        assert_eq!(socket("[::1]:5").unwrap().port(), 5);
    }
}
