//! Standard output: JSON for programs, lines for people.
//!
//! What strangers wrote is shown to people with its control characters made visible, so that no
//! message can move the cursor, retitle the terminal or fake a line.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::CliError;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Prints one result: as JSON, or as `text` writes it.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        let line = match self {
            Self::Text => text(value),
            Self::Json => serde_json::to_string(value).map_err(CliError::failed)?,
        };
        print_line(&line)
    }

    /// As [`Format::print`], for what came of something that was done.
    pub(crate) fn print_done<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        self.print(value, text).map_err(CliError::but_done)
    }
}

/// Prints a line; nothing for an empty one.
pub(crate) fn print_line(line: &str) -> Result<(), CliError> {
    if line.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| CliError::output(&error))
}

/// Prints the beginning of a line, at once.
pub(crate) fn print_part(part: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    write!(out, "{part}").and_then(|()| out.flush()).map_err(|error| CliError::output(&error))
}

/// Writes bytes as they are; ends the line when they go to a terminal.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal() && bytes.last().is_some_and(|last| *last != b'\n');
    out.write_all(bytes)
        .and_then(|()| if terminal { out.write_all(b"\n") } else { Ok(()) })
        .and_then(|()| out.flush())
        .map_err(|error| CliError::output(&error))
}

/// A remark for people, on standard error.
pub(crate) fn remark(text: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Text of a stranger for one line: control characters as escapes.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        match c {
            '\n' => line.push_str("\\n"),
            c if is_unsafe(c) => {
                let _ = write!(line, "{}", c.escape_unicode());
            }
            c => line.push(c),
        }
        line
    })
}

/// Text of a stranger with its line breaks and tabs, other control characters as escapes.
pub(crate) fn many_lines(text: &str) -> String {
    text.replace("\r\n", "\n").chars().fold(String::new(), |mut lines, c| {
        if c != '\n' && c != '\t' && is_unsafe(c) {
            let _ = write!(lines, "{}", c.escape_unicode());
        } else {
            lines.push(c);
        }
        lines
    })
}

/// Control characters, and those that change the direction of what follows.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time as `2026-11-24 16:41:03`, in UTC.
pub(crate) fn time(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a day counted from 1970-01-01, by the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the day that may be missing is the last of a year; an era
/// is 400 years, after which the calendar repeats.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(951_827_696_000), "2000-02-29 12:34:56");
        assert_eq!(time(-1), "1969-12-31 23:59:59");
        assert_eq!(time(4_107_542_400_000), "2100-03-01 00:00:00");
    }

    #[test]
    fn a_stranger_cannot_write_to_the_terminal() {
        let text = "a\u{1b}[2J\r\nb\u{202e}c";
        assert_eq!(one_line(text), "a\\u{1b}[2J\\u{d}\\nb\\u{202e}c");
        assert_eq!(many_lines(text), "a\\u{1b}[2J\nb\\u{202e}c");
    }
}
