//! Where an export goes.
//!
//! A regular file appears, or is replaced, only once all of it is written, so that a failed export
//! costs nobody a file. Whatever else has the name (a pipe, a device) is written into: replacing
//! it would take it away from everybody else who uses it.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CliError;

/// Whether a path stands for standard output. The device of that name is meant here too: opening
/// it anew would write over what a shell has redirected it into.
pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
}

/// Standard output, or a file.
pub(super) enum Output<'a> {
    Standard(BufWriter<io::Stdout>),
    File { path: &'a Path, file: BufWriter<Sink> },
}

impl<'a> Output<'a> {
    pub(super) fn open(path: Option<&'a Path>) -> Result<Self, CliError> {
        let Some(path) = path else { return Ok(Self::Standard(BufWriter::new(io::stdout()))) };
        let sink = Sink::open(path).map_err(|error| unwritable(path, &error))?;
        Ok(Self::File { path, file: BufWriter::new(sink) })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        match self {
            Self::Standard(out) => out.write_all(bytes).map_err(|error| CliError::output(&error)),
            Self::File { path, file } => {
                file.write_all(bytes).map_err(|error| unwritable(path, &error))
            }
        }
    }

    pub(super) fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Standard(mut out) => out.flush().map_err(|error| CliError::output(&error)),
            Self::File { path, file } => file
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(Sink::finish)
                .map_err(|error| unwritable(path, &error)),
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull => "free some space, or write elsewhere",
        _ => "name a file in a folder where you may write",
    };
    CliError::Failed(format!("--output {}: {error}; {advice}", path.display()))
}

/// What a named output is written through.
pub(super) enum Sink {
    /// Beside the file that it becomes, with the mode of the one that it replaces.
    Whole { new: NamedTempFile, target: PathBuf, mode: Option<Permissions> },
    /// Into what is there.
    Straight(File),
}

impl Sink {
    fn open(path: &Path) -> io::Result<Self> {
        match std::fs::metadata(path) {
            // Through symbolic links: they stay, the file that they lead to is replaced.
            Ok(found) if found.is_file() => {
                Self::whole(std::fs::canonicalize(path)?, Some(found.permissions()))
            }
            Ok(_) => File::options().write(true).open(path).map(Self::Straight),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // A symbolic link to nothing: its target is made.
            Err(_) if path.is_symlink() => File::create(path).map(Self::Straight),
            Err(_) => Self::whole(path.to_owned(), None),
        }
    }

    fn whole(target: PathBuf, mode: Option<Permissions>) -> io::Result<Self> {
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // Its absence is told without the name of the file that would have been made there.
        std::fs::metadata(folder)?;
        let new = NamedTempFile::new_in(folder)?;
        Ok(Self::Whole { new, target, mode })
    }

    fn finish(self) -> io::Result<()> {
        let Self::Whole { new, target, mode } = self else { return Ok(()) };
        if let Some(mode) = mode {
            new.as_file().set_permissions(mode)?;
        }
        new.as_file().sync_all()?;
        new.persist(target)?;
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Whole { new, .. } => new.write(bytes),
            Self::Straight(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Whole { new, .. } => new.flush(),
            Self::Straight(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_output_has_two_names() {
        assert!(is_standard(Path::new("-")) && is_standard(Path::new("/dev/stdout")));
        assert!(!is_standard(Path::new("./-")) && !is_standard(Path::new("/dev/null")));
    }
}
