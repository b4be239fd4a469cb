//! `mail.*`

use data_encoding::BASE64;
use serde::Deserialize;
use threephone::Phone;
use threephone::mail::{self, Attachment, MailDraft, MailId, MailQuery, Mailbox};

use super::{base64, invalid, now_ms};
use crate::rpc::Failure;
use crate::view::{FileView, MailDetailView, MailView, RawView, RecipientView};

#[derive(Deserialize)]
pub(super) struct Send {
    to: Vec<String>,
    #[serde(default)]
    cc: Vec<String>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    html: Option<String>,
    #[serde(default)]
    attachments: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    #[serde(default)]
    content_type: String,
    data: String,
}

pub(super) async fn send(phone: &Phone, params: Send) -> Result<MailView, Failure> {
    let parse = |texts: Vec<String>| {
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(invalid)
    };
    let attachment = |file: File| {
        let data = base64(&file.data)?;
        Ok(Attachment { name: file.name, content_type: file.content_type, data })
    };
    let draft = MailDraft {
        to: parse(params.to)?,
        cc: parse(params.cc)?,
        subject: params.subject,
        text: params.text,
        html: params.html,
        attachments: params
            .attachments
            .into_iter()
            .map(attachment)
            .collect::<Result<_, Failure>>()?,
    };
    let sent = phone.mail().send(draft, now_ms()).await.map_err(Failure::failed)?;
    Ok(view(&sent))
}

#[derive(Deserialize, Default)]
pub(super) struct List {
    mailbox: Option<Mailbox>,
    limit: Option<usize>,
    before: Option<String>,
}

pub(super) async fn list(phone: &Phone, params: List) -> Result<Vec<MailView>, Failure> {
    let before = params.before.as_deref().map(id).transpose()?;
    let query = MailQuery { mailbox: params.mailbox, limit: params.limit, before };
    let mails = phone.mail().list(query).await.map_err(Failure::failed)?;
    Ok(mails.iter().map(view).collect())
}

#[derive(Deserialize)]
pub(super) struct Search {
    words: String,
    limit: Option<usize>,
}

pub(super) async fn search(phone: &Phone, params: Search) -> Result<Vec<MailView>, Failure> {
    let found = phone.mail().search(&params.words, params.limit).await.map_err(Failure::failed)?;
    Ok(found.iter().map(view).collect())
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

pub(super) async fn show(phone: &Phone, params: Which) -> Result<MailDetailView, Failure> {
    let detail = phone.mail().show(id(&params.id)?).await.map_err(Failure::failed)?;
    let file = |file: &mail::AttachmentView| FileView {
        name: file.name.clone(),
        content_type: file.content_type.clone(),
        size: count(file.size),
    };
    Ok(MailDetailView {
        mail: view(&detail.view),
        text: detail.text,
        html: detail.html,
        files: detail.attachments.iter().map(file).collect(),
    })
}

pub(super) async fn raw(phone: &Phone, params: Which) -> Result<RawView, Failure> {
    let raw = phone.mail().raw(id(&params.id)?).await.map_err(Failure::failed)?;
    Ok(RawView { id: params.id, raw: BASE64.encode(&raw) })
}

pub(super) fn id(text: &str) -> Result<MailId, Failure> {
    text.parse().map_err(|_| invalid(format!("'{text}' is no id of a mail; see `mail list`")))
}

pub(super) fn view(mail: &mail::MailView) -> MailView {
    let flags = &mail.flags;
    let flags = [("seen", flags.seen), ("answered", flags.answered), ("flagged", flags.flagged)];
    let recipient = |recipient: &mail::RecipientView| RecipientView {
        address: recipient.address.to_string(),
        state: recipient.state.as_str().into(),
    };
    MailView {
        id: mail.id.to_string(),
        mailbox: mail.mailbox.to_string(),
        from: mail.from.clone(),
        to: mail.to.clone(),
        subject: mail.subject.clone(),
        date: mail.date,
        size: count(mail.size),
        attachments: count(mail.attachments),
        flags: flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).into()).collect(),
        recipients: mail.recipients.iter().map(recipient).collect(),
    }
}

pub(super) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
