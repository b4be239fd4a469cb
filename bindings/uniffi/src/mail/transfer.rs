//! Files in and out of the mail store. Reading and writing may block, so they run on a thread of
//! their own; when the call that waits is dropped or cancelled, the next read or write fails and the
//! thread ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use threephone::mail::{
    Imported, MAX_IMPORT_BYTES, Mail, MailError, Progress as CoreProgress, is_mbox,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::convert::{count, now_ms};
use crate::{ListenerError, Mailbox, PhoneError, Progress};

/// Bytes read or written in one go.
const PIECE: usize = 256 * 1024;

/// Is told how far an import or export is. Called on a thread of the phone: hand it on and return.
/// One that throws is not called again; the transfer goes on.
#[uniffi::export(rust, foreign)]
pub trait ProgressListener: Send + Sync {
    /// Some more was done.
    fn progressed(&self, progress: Progress) -> Result<(), ListenerError>;
}

/// One import or export.
pub(super) struct Job {
    mail: Mail,
    path: PathBuf,
    mailbox: Mailbox,
    teller: Teller,
}

impl Job {
    pub(super) fn new(
        mail: Mail,
        path: PathBuf,
        mailbox: Mailbox,
        listener: Option<Arc<dyn ProgressListener>>,
    ) -> Self {
        Self { mail, path, mailbox, teller: Teller(listener) }
    }

    pub(super) async fn import(self) -> Result<Progress, PhoneError> {
        let Self { mail, path, mailbox, mut teller } = self;
        blocking(move |runtime, stop| {
            let mut input =
                Stoppable { of: BufReader::with_capacity(PIECE, File::open(&path)?), stop };
            if !is_mbox(&path, &mut input)? {
                return runtime.block_on(import_one(&mail, input, mailbox));
            }
            let told = move |progress: CoreProgress| teller.tell(progress.into());
            let done = mail.import_mbox(input, mailbox.into(), told, now_ms());
            Ok(runtime.block_on(done)?.into())
        })
        .await
    }

    pub(super) async fn export(self) -> Result<Progress, PhoneError> {
        let Self { mail, path, mailbox, mut teller } = self;
        blocking(move |runtime, stop| {
            let file = File::create_new(path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => PhoneError::AlreadyExists,
                _ => error.into(),
            })?;
            let output = BufWriter::with_capacity(PIECE, Stoppable { of: file, stop });
            let told = move |progress: CoreProgress| teller.tell(progress.into());
            Ok(runtime.block_on(mail.export_mbox(mailbox.into(), output, told))?.into())
        })
        .await
    }
}

async fn import_one(
    mail: &Mail,
    input: impl Read,
    mailbox: Mailbox,
) -> Result<Progress, PhoneError> {
    let mut raw = Vec::new();
    let limit = count(MAX_IMPORT_BYTES);
    input.take(limit.saturating_add(1)).read_to_end(&mut raw).map_err(MailError::from)?;
    let bytes = count(raw.len());
    let imported = mail.import(raw, mailbox.into(), now_ms()).await?;
    let new = matches!(imported, Imported::New(_));
    Ok(Progress { bytes, done: u64::from(new), duplicates: u64::from(!new), too_large: 0 })
}

/// Runs `work` where it may block. Dropping the future tells it to stop.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(Handle, CancellationToken) -> Result<T, PhoneError> + Send + 'static,
) -> Result<T, PhoneError> {
    let stop = CancellationToken::new();
    let _stopped_when_dropped = stop.clone().drop_guard();
    let runtime = Handle::current();
    match tokio::task::spawn_blocking(move || work(runtime, stop)).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(PhoneError::Closed),
        },
    }
}

/// Tells a listener, until it throws.
struct Teller(Option<Arc<dyn ProgressListener>>);

impl Teller {
    fn tell(&mut self, progress: Progress) {
        if let Some(listener) = &self.0
            && let Err(error) = listener.progressed(progress)
        {
            tracing::warn!(%error, "a progress listener is not called again");
            self.0 = None;
        }
    }
}

/// A file that cannot be used any further once nobody waits for the transfer.
struct Stoppable<T> {
    of: T,
    stop: CancellationToken,
}

impl<T> Stoppable<T> {
    fn of(&mut self) -> io::Result<&mut T> {
        if self.stop.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "nobody waits for it"));
        }
        Ok(&mut self.of)
    }
}

impl<T: Read> Read for Stoppable<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.of()?.read(buffer)
    }
}

impl<T: BufRead> BufRead for Stoppable<T> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.of()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.of.consume(amount);
    }
}

impl<T: Write> Write for Stoppable<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.of()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.of()?.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Throwing(AtomicU32);

    impl ProgressListener for Throwing {
        fn progressed(&self, _: Progress) -> Result<(), ListenerError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Err(ListenerError::Failed)
        }
    }

    #[test]
    fn a_progress_listener_that_throws_is_not_called_again() {
        let listener = Arc::new(Throwing(AtomicU32::new(0)));
        let mut teller = Teller(Some(listener.clone()));
        teller.tell(Progress::default());
        teller.tell(Progress::default());
        assert_eq!(listener.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_file_that_nobody_waits_for_cannot_be_read_on() {
        let stop = CancellationToken::new();
        let mut input = Stoppable { of: &b"From nobody"[..], stop: stop.clone() };
        let mut piece = [0; 4];
        input.read_exact(&mut piece).unwrap();
        stop.cancel();
        let error = input.read(&mut piece).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn dropping_the_call_stops_the_thread_that_works() {
        let (tell, told) = std::sync::mpsc::channel();
        let (started, begun) = tokio::sync::oneshot::channel();
        let call = tokio::spawn(blocking(move |runtime, stop| {
            let _ = started.send(());
            runtime.block_on(stop.cancelled());
            let _ = tell.send(());
            Ok(())
        }));
        begun.await.unwrap();
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        tokio::task::spawn_blocking(move || told.recv()).await.unwrap().unwrap();
    }
}
