//! Mail for the other languages.

mod model;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;

use threephone::mail as core;

use crate::cancel::token;
use crate::convert::{limit, now_ms};
use crate::phone::Inner;
use crate::{CancelHandle, PhoneError};

pub use model::{
    Attachment, AttachmentView, HeaderField, MailDetail, MailDraft, MailFlags, MailQuery, MailView,
    Mailbox, Progress, RecipientState, RecipientView,
};
pub use transfer::ProgressListener;

/// The mail of a phone.
#[derive(uniffi::Object)]
pub struct Mail {
    inner: Arc<Inner>,
}

impl Mail {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    fn core(&self) -> core::Mail {
        self.inner.phone.mail().clone()
    }
}

#[uniffi::export]
impl Mail {
    /// Writes a mail, keeps it in Sent and queues it for every recipient: on return it is on the
    /// disk.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no address, or for no recipient; `TooMany` recipients;
    /// `TooLarge`; `Full`; `Closed`.
    pub async fn send(&self, draft: MailDraft) -> Result<MailView, PhoneError> {
        let (core, draft) = (self.core(), draft.try_into()?);
        let mail = self.inner.run(async move { core.send(draft, now_ms()).await }).await?;
        Ok(mail.into())
    }

    /// Mails, the latest to arrive first.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn list_mails(&self, query: MailQuery) -> Result<Vec<MailView>, PhoneError> {
        let (core, query) = (self.core(), query.into());
        let mails = self.inner.run(async move { core.list(query).await }).await?;
        Ok(mails.into_iter().map(Into::into).collect())
    }

    /// One mail with text, files and header fields. Does not mark it as seen.
    ///
    /// # Errors
    /// `NotFound`; `Closed`.
    pub async fn show(&self, id: i64) -> Result<MailDetail, PhoneError> {
        let core = self.core();
        let mail = self.inner.run(async move { core.show(core::MailId(id)).await }).await?;
        Ok(mail.into())
    }

    /// The mail as it came, byte for byte: what an `.eml` file holds.
    ///
    /// # Errors
    /// `NotFound`; `Closed`.
    pub async fn raw(&self, id: i64) -> Result<Vec<u8>, PhoneError> {
        let core = self.core();
        self.inner.run(async move { core.raw(core::MailId(id)).await }).await
    }

    /// The decoded bytes of an attachment, counted from 0 as `show` lists them.
    ///
    /// # Errors
    /// `NotFound`; `Closed`.
    pub async fn attachment(&self, id: i64, index: u32) -> Result<Vec<u8>, PhoneError> {
        let core = self.core();
        let index = usize::try_from(index).map_err(|_| PhoneError::NotFound)?;
        self.inner.run(async move { core.attachment(core::MailId(id), index).await }).await
    }

    /// Mails in which every one of `words` begins a word of subject, people or text; the latest to
    /// arrive first. No word means no mail.
    ///
    /// # Errors
    /// `Closed`.
    #[uniffi::method(default(max = None))]
    pub async fn search(
        &self,
        words: String,
        max: Option<u32>,
    ) -> Result<Vec<MailView>, PhoneError> {
        let (core, max) = (self.core(), limit(max));
        let mails = self.inner.run(async move { core.search(&words, max).await }).await?;
        Ok(mails.into_iter().map(Into::into).collect())
    }

    /// Marks a mail as seen.
    ///
    /// # Errors
    /// `NotFound`; `Closed`.
    pub async fn mark_seen(&self, id: i64) -> Result<(), PhoneError> {
        let core = self.core();
        self.inner.run(async move { core.mark_seen(core::MailId(id)).await }).await
    }

    /// Sets all flags of a mail.
    ///
    /// # Errors
    /// `NotFound`; `Closed`.
    pub async fn set_flags(&self, id: i64, flags: MailFlags) -> Result<(), PhoneError> {
        let core = self.core();
        self.inner.run(async move { core.set_flags(core::MailId(id), flags.into()).await }).await
    }

    /// Takes one message, the bytes of an `.eml` file, into a mailbox as it is. The id of the mail
    /// with these bytes: a new one, or the one that is there already.
    ///
    /// # Errors
    /// `TooLarge`; `Full`; `Closed`; never because of what is in the message.
    pub async fn import_message(&self, raw: Vec<u8>, mailbox: Mailbox) -> Result<i64, PhoneError> {
        let core = self.core();
        let imported =
            self.inner.run(async move { core.import(raw, mailbox.into(), now_ms()).await }).await?;
        Ok(imported.id().0)
    }

    /// Takes a file into a mailbox: an mbox with all its messages, or an `.eml`. An import that is
    /// cancelled keeps what it has; a second run skips it.
    ///
    /// # Errors
    /// `NotFound` or `Denied` for the file; `Damaged` when it turns out to be no mbox; `TooLarge`;
    /// `Cancelled`; `Full`; `Closed`.
    #[uniffi::method(default(listener = None, cancel = None))]
    pub async fn import_file(
        &self,
        path: String,
        mailbox: Mailbox,
        listener: Option<Arc<dyn ProgressListener>>,
        cancel: Option<Arc<CancelHandle>>,
    ) -> Result<Progress, PhoneError> {
        let job = transfer::Job::new(self.core(), PathBuf::from(path), mailbox, listener);
        self.inner.run_until(token(cancel), job.import()).await
    }

    /// Writes a mailbox to a new file as mbox, in the order of arrival. An export that is cancelled
    /// leaves the file half written.
    ///
    /// # Errors
    /// `AlreadyExists` when the file does; `Denied` or `Full` for the file; `Cancelled`; `Closed`.
    #[uniffi::method(default(listener = None, cancel = None))]
    pub async fn export_file(
        &self,
        path: String,
        mailbox: Mailbox,
        listener: Option<Arc<dyn ProgressListener>>,
        cancel: Option<Arc<CancelHandle>>,
    ) -> Result<Progress, PhoneError> {
        let job = transfer::Job::new(self.core(), PathBuf::from(path), mailbox, listener);
        self.inner.run_until(token(cancel), job.export()).await
    }
}
