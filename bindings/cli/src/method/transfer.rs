//! `mail.import` and `mail.export`: files in, mailboxes out, telling how far they are.
//!
//! Mail reads and writes files where it may block, so it runs on a thread of its own here and tells
//! its progress through a channel. When the client goes, the channel closes: an export ends at its
//! next write, an import at its next batch.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};

use data_encoding::BASE64;
use serde::Deserialize;
use threephone::Phone;
use threephone::mail::{Imported, MAX_IMPORT_BYTES, Mail, MailError, Mailbox, Progress, is_mbox};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::mail::count;
use super::{Sink, now_ms};
use crate::rpc::Failure;
use crate::view::{ExportView, ImportView};

/// Bytes of an export in one item.
const PIECE: usize = 256 * 1024;

#[derive(Deserialize)]
pub(super) struct Import {
    path: PathBuf,
    mailbox: Option<Mailbox>,
}

pub(super) async fn import(
    phone: &Phone,
    params: Import,
    sink: &Sink,
) -> Result<ImportView, Failure> {
    let mail = phone.mail().clone();
    let mailbox = params.mailbox.unwrap_or(Mailbox::Inbox);
    let (tell, mut told) = mpsc::channel::<Progress>(4);
    let path = params.path.clone();
    let runtime = Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let file = File::open(&path)?;
        let mut input = Cancellable { input: BufReader::with_capacity(PIECE, file), tell };
        let is_mbox = is_mbox(&path, &mut input)?;
        runtime.block_on(async {
            if is_mbox {
                import_mbox(&mail, input, mailbox).await
            } else {
                import_one(&mail, input, mailbox).await
            }
        })
    });
    while let Some(progress) = told.recv().await {
        sink.item(&import_view(progress)).await?;
    }
    let named = |error: MailError| {
        Failure::failed(format!("mail import {}: {error}", params.path.display()))
    };
    work.await.map_err(Failure::failed)?.map_err(named)
}

async fn import_mbox(
    mail: &Mail,
    input: Cancellable,
    mailbox: Mailbox,
) -> Result<ImportView, MailError> {
    let tell = input.tell.clone();
    let progress = move |progress| {
        // A client that is slow to show progress misses some of it.
        let _ = tell.try_send(progress);
    };
    mail.import_mbox(input, mailbox, progress, now_ms()).await.map(import_view)
}

async fn import_one(
    mail: &Mail,
    input: Cancellable,
    mailbox: Mailbox,
) -> Result<ImportView, MailError> {
    let mut raw = Vec::new();
    let limit = u64::try_from(MAX_IMPORT_BYTES).unwrap_or(u64::MAX);
    input.take(limit.saturating_add(1)).read_to_end(&mut raw)?;
    let bytes = count(raw.len());
    let imported = mail.import(raw, mailbox, now_ms()).await?;
    let new = matches!(imported, Imported::New(_));
    Ok(ImportView {
        imported: u64::from(new),
        duplicates: u64::from(!new),
        id: Some(imported.id().to_string()),
        bytes,
        ..ImportView::default()
    })
}

fn import_view(progress: Progress) -> ImportView {
    ImportView {
        imported: count(progress.done),
        duplicates: count(progress.duplicates),
        too_large: count(progress.too_large),
        id: None,
        bytes: progress.bytes,
    }
}

/// A file that cannot be read any further once nobody waits for the import.
struct Cancellable {
    input: BufReader<File>,
    tell: mpsc::Sender<Progress>,
}

impl Read for Cancellable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.tell.is_closed() { Err(cancelled()) } else { self.input.read(buffer) }
    }
}

impl BufRead for Cancellable {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.tell.is_closed() { Err(cancelled()) } else { self.input.fill_buf() }
    }

    fn consume(&mut self, amount: usize) {
        self.input.consume(amount);
    }
}

#[derive(Deserialize)]
pub(super) struct Export {
    mailbox: Mailbox,
}

pub(super) async fn export(
    phone: &Phone,
    params: Export,
    sink: &Sink,
) -> Result<ExportView, Failure> {
    let mail = phone.mail().clone();
    // The writer waits inside `block_on`, where tokio's blocking send is not allowed; so a second
    // thread hands its pieces on.
    let (pieces, from_writer) = sync_channel::<Vec<u8>>(1);
    let (to_sink, mut written) = mpsc::channel::<Vec<u8>>(1);
    tokio::task::spawn_blocking(move || {
        for piece in from_writer {
            if to_sink.blocking_send(piece).is_err() {
                break;
            }
        }
    });
    let runtime = Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let mut output = Pieces { piece: Vec::with_capacity(PIECE), pieces };
        let done = runtime.block_on(mail.export_mbox(params.mailbox, &mut output, |_| {}))?;
        output.flush()?;
        Ok::<_, MailError>(done)
    });
    let mut bytes: u64 = 0;
    while let Some(piece) = written.recv().await {
        bytes = bytes.saturating_add(count(piece.len()));
        let data = BASE64.encode(&piece);
        sink.item(&ExportView { exported: 0, bytes, data }).await?;
    }
    let done = work.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
    Ok(ExportView { exported: count(done.done), bytes, data: String::new() })
}

/// Collects what is written into pieces of a size worth sending.
struct Pieces {
    piece: Vec<u8>,
    pieces: SyncSender<Vec<u8>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.pieces.send(piece).map_err(|_| cancelled())
    }
}

fn cancelled() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "nobody waits for it any more")
}
