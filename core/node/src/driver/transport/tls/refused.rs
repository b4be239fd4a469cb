//! Why a TLS handshake came to nothing, in words for whoever set the network up.
//!
//! OpenSSL speaks of binders and alerts. A node whose name is another offers a key that nobody asked
//! for (alert 40, handshake failure); one whose key is another proves itself wrongly (alert 47,
//! illegal parameter). What a stranger sends chooses among these texts and is no part of them.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::ssl::Error;

/// OpenSSL's numbers for what it found itself, and, from 1000 on, for alerts that were received.
const BINDER_DOES_NOT_VERIFY: i32 = 253;
const NO_SHARED_CIPHER: i32 = 193;
const NO_SUITABLE_SIGNATURE_ALGORITHM: i32 = 118;
const HTTP_REQUEST: i32 = 156;
const WRONG_VERSION_NUMBER: i32 = 267;
const UNSUPPORTED_PROTOCOL: i32 = 258;
const PACKET_LENGTH_TOO_LONG: i32 = 198;
const BAD_RECORD_TYPE: i32 = 443;
const ALERT_HANDSHAKE_FAILURE: i32 = 1040;
const ALERT_ILLEGAL_PARAMETER: i32 = 1047;
const ALERT_DECRYPT_ERROR: i32 = 1051;
const ALERT_UNKNOWN_PSK_IDENTITY: i32 = 1115;

/// One warning a minute: anybody can knock at the door, and a log is no place to fill.
const QUIET: Duration = Duration::from_secs(60);

/// What the numbers mean; none when they say nothing about the network.
fn meaning(reasons: &[i32]) -> Option<&'static str> {
    let is_any = |known: &[i32]| reasons.iter().any(|reason| known.contains(reason));
    if is_any(&[BINDER_DOES_NOT_VERIFY, ALERT_ILLEGAL_PARAMETER, ALERT_DECRYPT_ERROR]) {
        return Some(
            "the other side has another network key: give both nodes the same --network-key-file",
        );
    }
    if is_any(&[
        NO_SHARED_CIPHER,
        NO_SUITABLE_SIGNATURE_ALGORITHM,
        ALERT_HANDSHAKE_FAILURE,
        ALERT_UNKNOWN_PSK_IDENTITY,
    ]) {
        return Some(
            "the other side has another network name, or is no node: give both nodes the same --network-name",
        );
    }
    if is_any(&[
        HTTP_REQUEST,
        WRONG_VERSION_NUMBER,
        UNSUPPORTED_PROTOCOL,
        PACKET_LENGTH_TOO_LONG,
        BAD_RECORD_TYPE,
    ]) {
        return Some(
            "the other side does not speak TLS 1.3, so it is not in a private network: start it with --network-name and --network-key-file, or this one without",
        );
    }
    None
}

/// The error of a handshake, in words where there are some. Such an error is of the kind
/// `PermissionDenied`.
pub(super) fn explain(error: Error) -> io::Error {
    let stack = error.ssl_error().map(|stack| stack.errors().to_vec()).unwrap_or_default();
    let reasons: Vec<i32> = stack.iter().map(openssl::error::Error::reason_code).collect();
    match meaning(&reasons) {
        Some(text) => io::Error::new(io::ErrorKind::PermissionDenied, text),
        None => error.into_io_error().unwrap_or_else(|error| match reasons.is_empty() {
            true => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the other side hung up within the handshake; it may not be in this network",
            ),
            false => io::Error::other(error),
        }),
    }
}

/// Decides which of many refusals are worth a warning.
#[derive(Debug, Default)]
pub(super) struct Sparing(Mutex<Warned>);

#[derive(Debug, Default)]
struct Warned {
    last: Option<Instant>,
    since: u64,
}

impl Sparing {
    /// How many were passed over since the last warning, if it is time for one.
    pub(super) fn warn(&self, now: Instant) -> Option<u64> {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            warned.since = warned.since.saturating_add(1);
            return None;
        }
        warned.last = Some(now);
        Some(std::mem::take(&mut warned.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_refusals_a_minute_make_one_warning_that_counts_the_others() {
        let (sparing, begun) = (Sparing::default(), Instant::now());
        assert_eq!(sparing.warn(begun), Some(0));
        for second in 1..60 {
            assert_eq!(sparing.warn(begun + Duration::from_secs(second)), None);
        }
        assert_eq!(sparing.warn(begun + QUIET), Some(59));
        assert_eq!(sparing.warn(begun + QUIET * 2), Some(0));
    }

    #[test]
    fn what_says_nothing_of_the_network_has_no_meaning_of_its_own() {
        assert_eq!(meaning(&[]), None);
        assert_eq!(meaning(&[1]), None);
        assert!(meaning(&[1, ALERT_ILLEGAL_PARAMETER]).unwrap().contains("--network-key-file"));
    }
}
