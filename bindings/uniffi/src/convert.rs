//! Arguments as the other languages write them, made into the core's types. Done inside the calls
//! and not by the generator's conversions: what does not fit is then a typed error everywhere.

use std::fmt::Display;
use std::str::FromStr;

use crate::PhoneError;

/// Reads a text; `argument` is its name in the error.
pub(crate) fn parse<T: FromStr<Err: Display>>(argument: &str, text: &str) -> Result<T, PhoneError> {
    text.parse().map_err(|error| PhoneError::invalid(argument, error))
}

/// Reads several texts.
pub(crate) fn parse_all<T: FromStr<Err: Display>>(
    argument: &str,
    texts: &[String],
) -> Result<Vec<T>, PhoneError> {
    texts.iter().map(|text| parse(argument, text)).collect()
}

/// A number of things, as a 64-bit number.
pub(crate) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// At most so many.
pub(crate) fn limit(limit: Option<u32>) -> Option<usize> {
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The wall clock, in unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or_default()
}
