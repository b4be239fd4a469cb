//! `mail`: write, list, show, search; files in and out are in `transfer` and `output`.

mod output;
mod transfer;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::Context;
use crate::args::{Mail, MailSend, Mailbox};
use crate::door::Door;
use crate::error::CliError;
use crate::print::{Format, many_lines, one_line, print_bytes, size, time};
use crate::view::{MailDetailView, MailView, RawView};

pub(super) async fn run(context: &Context, command: Mail) -> Result<(), CliError> {
    let mut door = Door::open(&context.global).await?;
    let done = run_with(context, &mut door, command).await;
    door.close().await;
    done
}

async fn run_with(context: &Context, door: &mut Door, command: Mail) -> Result<(), CliError> {
    match command {
        Mail::Send(options) => send(context, door, options).await,
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

async fn send(context: &Context, door: &mut Door, options: MailSend) -> Result<(), CliError> {
    let text = match &options.body_file {
        None => String::new(),
        Some(path) => read_text(path).await?,
    };
    let attachments = options.attach.iter().map(attachment).collect::<Result<Vec<_>, _>>()?;
    let written = |targets: &[threephone::address::MailTarget]| -> Vec<String> {
        targets.iter().map(address_text).collect()
    };
    let params = json!({
        "to": written(&options.to),
        "cc": written(&options.cc),
        "subject": options.subject,
        "text": text,
        "attachments": attachments,
    });
    let mail: MailView = door.call("mail.send", params).await?;
    context.format.print(&mail, |mail| mail.id.clone())
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
    let bytes = if path == Path::new("-") {
        super::read_stdin().await?
    } else {
        std::fs::read(path).map_err(|error| CliError::file(path, &error))?
    };
    String::from_utf8(bytes).map_err(|_| {
        CliError::Failed(format!("{}: the text is not UTF-8; attach it instead", path.display()))
    })
}

fn attachment(path: &PathBuf) -> Result<Value, CliError> {
    let data = std::fs::read(path).map_err(|error| CliError::file(path, &error))?;
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
