//! `mail`: write, list, show, search; files in and out are in `transfer` and `output`.

mod output;
mod transfer;

use std::fmt::Write as _;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};
use threephone::mail::MAX_MAIL_BYTES;

use super::Context;
use crate::args::{Mail, MailSend, Mailbox};
use crate::door::Door;
use crate::error::CliError;
use crate::input::{self, Limit};
use crate::print::{Format, many_lines, one_line, print_bytes, size, time};
use crate::view::{MailDetailView, MailView, RawView};

/// Whatever part of a mail it is, it is no larger than the whole.
const MAIL: Limit = Limit { bytes: MAX_MAIL_BYTES, of: "a mail" };

pub(super) async fn run(context: &Context, command: Mail) -> Result<(), CliError> {
    // Before the profile is held: standard input may take its time.
    let draft = match &command {
        Mail::Send(options) => draft(options).await?,
        _ => Value::Null,
    };
    if let Mail::Export { id: None, output, .. } = &command
        && context.format == Format::Json
        && output.as_deref().is_none_or(output::is_standard)
    {
        return Err(CliError::Usage(
            "a mailbox is no JSON: name a file with --output, or leave out --json".into(),
        ));
    }
    let mut door = Door::open(&context.global).await?;
    let done = run_with(context, &mut door, command, draft).await;
    door.close().await;
    done
}

async fn run_with(
    context: &Context,
    door: &mut Door,
    command: Mail,
    draft: Value,
) -> Result<(), CliError> {
    match command {
        Mail::Send(_) => {
            let mail: MailView = door.call("mail.send", draft).await?;
            context.format.print_done(&mail, |mail| mail.id.clone())
        }
        Mail::List { mailbox, limit } => {
            let params = json!({ "mailbox": mailbox.map(Mailbox::name), "limit": limit });
            print_list(context, &door.call::<Vec<MailView>>("mail.list", params).await?)
        }
        Mail::Search { words, limit } => {
            let params = json!({ "words": words.join(" "), "limit": limit });
            print_list(context, &door.call::<Vec<MailView>>("mail.search", params).await?)
        }
        Mail::Show { id, raw: false } => {
            let mail: MailDetailView = door.call("mail.show", json!({ "id": id })).await?;
            context.format.print(&mail, detail_text)
        }
        Mail::Show { id, raw: true } => print_raw(context, door, &id).await,
        Mail::Import { file, mailbox } => transfer::import(context, door, &file, mailbox).await,
        Mail::Export { id, mailbox, output } => {
            match (id, output.filter(|path| !output::is_standard(path))) {
                (Some(id), None) => print_raw(context, door, &id).await,
                (id, path) => transfer::export(context, door, id, mailbox, path.as_deref()).await,
            }
        }
    }
}

impl Mailbox {
    fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Sent => "sent",
        }
    }
}

/// The parameters of `mail.send`.
async fn draft(options: &MailSend) -> Result<Value, CliError> {
    let text = match &options.body_file {
        None => String::new(),
        Some(path) => read_text(path).await?,
    };
    let attachments =
        options.attach.iter().map(|path| attachment(path)).collect::<Result<Vec<_>, _>>()?;
    let written = |targets: &[threephone::address::MailTarget]| -> Vec<String> {
        targets.iter().map(address_text).collect()
    };
    Ok(json!({
        "to": written(&options.to),
        "cc": written(&options.cc),
        "subject": options.subject,
        "text": text,
        "attachments": attachments,
    }))
}

fn address_text(target: &threephone::address::MailTarget) -> String {
    match (&target.local, target.target) {
        (None, target) => target.to_string(),
        (Some(local), threephone::address::Target::Address(address)) => {
            format!("{local}@[IPv6:{address}]")
        }
        (Some(local), key) => format!("{local}@{key}"),
    }
}

async fn read_text(path: &Path) -> Result<String, CliError> {
    let bytes = match path == Path::new("-") {
        true => input::stdin(MAIL).await?,
        false => input::file("--body-file", path, MAIL)?,
    };
    String::from_utf8(bytes).map_err(|_| {
        let path = path.display();
        CliError::Failed(format!("--body-file {path}: the text is not UTF-8; attach it instead"))
    })
}

fn attachment(path: &Path) -> Result<Value, CliError> {
    let data = input::file("--attach", path, MAIL)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let content_type = content_type(path);
    Ok(json!({ "name": name, "content_type": content_type, "data": BASE64.encode(&data) }))
}

/// The few types that mail readers show at once; the name says the rest.
fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "md" | "log" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "ics" => "text/calendar",
        "vcf" => "text/vcard",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "zip" => "application/zip",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

async fn print_raw(context: &Context, door: &mut Door, id: &str) -> Result<(), CliError> {
    let raw: RawView = door.call("mail.raw", json!({ "id": id })).await?;
    match context.format {
        Format::Json => context.format.print(&raw, |_| String::new()),
        Format::Text => print_bytes(&transfer::decode(&raw.raw)?),
    }
}

fn print_list(context: &Context, mails: &[MailView]) -> Result<(), CliError> {
    for mail in mails {
        context.format.print(mail, line_text)?;
    }
    Ok(())
}

fn line_text(mail: &MailView) -> String {
    let files = match mail.attachments {
        0 => String::new(),
        1 => ", 1 file".into(),
        n => format!(", {n} files"),
    };
    format!(
        "{}  {}  {}  {} -> {}  {}  ({}{files})",
        mail.id,
        time(mail.date),
        mail.mailbox,
        one_line(&mail.from),
        one_line(&mail.to.join(", ")),
        one_line(&mail.subject),
        size(mail.size)
    )
}

fn detail_text(detail: &MailDetailView) -> String {
    let mail = &detail.mail;
    let mut text =
        format!("From: {}\nTo: {}\n", one_line(&mail.from), one_line(&mail.to.join(", ")));
    let _ = writeln!(text, "Date: {} UTC\nSubject: {}", time(mail.date), one_line(&mail.subject));
    for recipient in &mail.recipients {
        let _ = writeln!(text, "State: {} {}", recipient.address, recipient.state);
    }
    for file in &detail.files {
        let (name, kind) = (one_line(&file.name), one_line(&file.content_type));
        let _ = writeln!(text, "File: {name} ({kind}, {})", size(file.size));
    }
    let _ = write!(text, "\n{}", many_lines(&detail.text));
    text.trim_end().to_owned()
}
