//! How a command ends when it does not end well: what is said, and the exit code.

use std::io;

use threephone::PhoneError;
use threephone::node::{NodeError, TunError};

use crate::rpc::{self, Failure};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// What was typed does not fit together.
    #[error("{0}")]
    Usage(String),
    /// Nothing came within the time given; not an error to report.
    #[error("nothing in time")]
    NothingInTime,
    /// Whoever read our output has stopped; nothing to report and nobody to report it to.
    #[error("the reader of the output has gone")]
    OutputClosed,
}

impl CliError {
    /// The exit code; part of the program's interface.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NothingInTime => 3,
            // What `head` leaves behind is a success.
            Self::OutputClosed => 0,
        }
    }

    /// What to print on standard error, if anything.
    pub(crate) fn report(&self) -> Option<String> {
        match self {
            Self::Failed(text) | Self::Usage(text) => Some(text.clone()),
            Self::NothingInTime | Self::OutputClosed => None,
        }
    }

    /// For what was done before its result could not be printed: whoever takes the failure for one of
    /// the work would do that twice.
    pub(crate) fn but_done(self) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(format!("{text}; what was asked for was done")),
            other => other,
        }
    }

    pub(crate) fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }

    /// An error about one file.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    /// An error about the file that an option or argument names.
    pub(crate) fn option(option: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::Failed(format!(
            "{option} {}: {error}; name a file that is there and that you may read",
            path.display()
        ))
    }

    /// An error from writing to standard output.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<PhoneError> for CliError {
    fn from(error: PhoneError) -> Self {
        match error {
            PhoneError::BadName(_)
            | PhoneError::ReservedTopic(_)
            | PhoneError::Node(NodeError::Tun(TunError::Name(_))) => Self::Usage(error.to_string()),
            error => Self::failed(error),
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        match failure.code {
            rpc::INVALID_PARAMS => Self::Usage(failure.message),
            _ => Self::Failed(failure.message),
        }
    }
}
