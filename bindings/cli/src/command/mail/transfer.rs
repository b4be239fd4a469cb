//! Files in and out, with progress.
//!
//! Whoever has the profile open reads the file that is imported (so that a mailbox of gigabytes does
//! not go through the control socket); what is exported comes here in pieces and is written here.

use std::io;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::json;

use super::Context;
use super::output::Output;
use crate::args::Mailbox;
use crate::door::Door;
use crate::error::CliError;
use crate::print::{Format, remark};
use crate::progress::Progress;
use crate::view::{ExportView, ImportView, RawView};

pub(super) async fn import(
    context: &Context,
    door: &mut Door,
    file: &Path,
    mailbox: Mailbox,
) -> Result<(), CliError> {
    let named = |error: io::Error| CliError::option("mail import", file, &error);
    let path = std::fs::canonicalize(file).map_err(named)?;
    let Some(path) = path.to_str() else {
        return Err(CliError::Failed(format!(
            "mail import {}: the path is not UTF-8; rename the file, or link to it by another name",
            file.display()
        )));
    };
    let total = std::fs::metadata(file).map_err(named)?.len();
    let mut progress = Progress::of_bytes(total, "importing");
    let params = json!({ "path": path, "mailbox": mailbox.name() });
    let step = |view: ImportView| {
        progress.set(view.bytes);
        Ok(())
    };
    let done: ImportView = door.call_with("mail.import", params, step).await?;
    drop(progress);
    if context.format == Format::Json {
        return context.format.print_done(&done, |_| String::new());
    }
    context.format.print_done(&done, |done| done.id.clone().unwrap_or_default())?;
    let more = [(done.duplicates, "there already"), (done.too_large, "too large")];
    let more = more.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {n} {what}"));
    remark(&format!("{} imported{}", done.imported, more.collect::<String>()));
    Ok(())
}

pub(super) async fn export(
    context: &Context,
    door: &mut Door,
    id: Option<String>,
    mailbox: Option<Mailbox>,
    output: Option<&Path>,
) -> Result<(), CliError> {
    let mut out = Output::open(output)?;
    let done = match (id, mailbox) {
        (Some(id), _) => {
            let raw: RawView = door.call("mail.raw", json!({ "id": id })).await?;
            let bytes = decode(&raw.raw)?;
            out.write(&bytes)?;
            let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            ExportView { exported: 1, bytes, ..ExportView::default() }
        }
        (None, mailbox) => {
            let mailbox = mailbox.unwrap_or(Mailbox::Inbox).name();
            let mut progress = Progress::of_unknown("exporting");
            let step = |view: ExportView| {
                progress.set(view.bytes);
                out.write(&decode(&view.data)?)
            };
            door.call_with("mail.export", json!({ "mailbox": mailbox }), step).await?
        }
    };
    out.finish()?;
    if context.format == Format::Json && output.is_some() {
        return context.format.print(&done, |_| String::new());
    }
    if output.is_some() {
        remark(&format!("{} exported", done.exported));
    }
    Ok(())
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, CliError> {
    BASE64
        .decode(text.as_bytes())
        .map_err(|_| CliError::failed("the daemon's answer is of another version"))
}
