//! Files in and out without a byte lost: mail that no parser likes, and mbox files of all of it.
#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

mod support;

use std::path::Path;

use support::{NOW, Person};
use threephone_mail::{Imported, Mail, MailError, MailQuery, Mailbox, Progress};

/// Every mail of the collection beside the project, or nothing where that is absent.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora/mail");
    let Ok(files) = std::fs::read_dir(&folder) else {
        skipped(&folder);
        return Vec::new();
    };
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

#[allow(clippy::print_stdout)] // the way a skipped test says so
fn skipped(folder: &Path) {
    println!("SKIPPED: {} is absent", folder.display());
}

async fn import_mbox(mail: &Mail, file: &[u8]) -> Progress {
    mail.import_mbox(file, Mailbox::Inbox, |_| {}, NOW).await.unwrap()
}

async fn export_mbox(mail: &Mail) -> Vec<u8> {
    let mut file = Vec::new();
    let progress = mail.export_mbox(Mailbox::Inbox, &mut file, |_| {}).await.unwrap();
    assert_eq!(progress.bytes, file.len() as u64);
    file
}

#[tokio::test]
async fn mail_that_no_parser_likes_is_imported_whole_and_exported_unchanged() {
    let mut ann = Person::new("Ann", 1, None).await;
    let (mut text, mut subjects, mut files) = (0usize, 0usize, 0usize);
    let corpus = corpus();
    for (name, raw) in &corpus {
        let imported = ann.mail().import(raw.clone(), Mailbox::Inbox, NOW).await.unwrap();
        assert!(matches!(imported, Imported::New(_)), "{name} is there twice");
        let id = imported.id();
        assert_eq!(&ann.mail().export(id).await.unwrap(), raw, "{name}");
        let shown = ann.mail().show(id).await.unwrap();
        assert_eq!(shown.view.size, raw.len(), "{name}");
        assert_eq!(shown.view.attachments, shown.attachments.len(), "{name}");
        for (n, file) in shown.attachments.iter().enumerate() {
            let bytes = ann.mail().attachment(id, n).await.unwrap();
            assert_eq!(bytes.len(), file.size, "{name} {n}");
        }
        text += usize::from(!shown.text.trim().is_empty() || shown.html.is_some());
        subjects += usize::from(!shown.view.subject.is_empty());
        files += shown.attachments.len();
    }
    if !corpus.is_empty() {
        // What the parser makes of the 101 mails today; less would be a loss to the reader.
        assert!(
            text >= 84 && subjects >= 85 && files >= 125,
            "{text} {subjects} {files} of {}",
            corpus.len()
        );
    }
    ann.stop().await;
}

#[tokio::test]
async fn an_mbox_of_all_of_them_is_read_and_written_back_byte_for_byte() {
    let corpus = corpus();
    let mut ann = Person::new("Ann", 1, None).await;
    for (_, raw) in &corpus {
        ann.mail().import(raw.clone(), Mailbox::Inbox, NOW).await.unwrap();
    }
    let file = export_mbox(ann.mail()).await;
    ann.stop().await;

    let mut ben = Person::new("Ben", 2, None).await;
    let progress = import_mbox(ben.mail(), &file).await;
    let expected = Progress { bytes: file.len() as u64, done: corpus.len(), ..Progress::default() };
    assert_eq!(progress, expected);
    let mut ids: Vec<_> = ben.list(Mailbox::Inbox).await.iter().map(|view| view.id).collect();
    ids.reverse();
    for (id, (name, raw)) in ids.into_iter().zip(&corpus) {
        assert_eq!(&ben.mail().export(id).await.unwrap(), raw, "{name}");
    }
    assert!(export_mbox(ben.mail()).await == file, "the mbox differs");
    let again = import_mbox(ben.mail(), &file).await;
    assert_eq!((again.done, again.duplicates), (0, corpus.len()));
    ben.stop().await;
}

#[tokio::test]
async fn mbox_files_of_both_line_ends_and_odd_shapes_come_back_as_they_were() {
    let lf = "From a@b Mon Jan  1 00:00:00 2024\nSubject: one\n\nbody\n>From me\n>>From you\n\n\
              From - Tue\nSubject: two\n\nno blank line after\nFrom x\n\nno header\n\n\n\n";
    let crlf = lf.replace('\n', "\r\n");
    let mixed = format!("{lf}{crlf}From last\nSubject: no end");
    for file in [lf, &crlf, &mixed, "From only a separator", "From \n", ""] {
        let mut ann = Person::new("Ann", 1, None).await;
        let progress = import_mbox(ann.mail(), file.as_bytes()).await;
        assert_eq!((progress.bytes, progress.duplicates), (file.len() as u64, 0));
        assert_eq!(String::from_utf8(export_mbox(ann.mail()).await).unwrap(), file);
        ann.stop().await;
    }
    let mut ann = Person::new("Ann", 1, None).await;
    let no_mbox =
        ann.mail().import_mbox(&b"Subject: x\n\ny"[..], Mailbox::Inbox, |_| {}, NOW).await;
    assert!(matches!(no_mbox, Err(MailError::NotMbox)));
    ann.stop().await;
}

#[tokio::test]
async fn an_mbox_with_the_same_mail_twice_keeps_both_and_a_second_import_adds_none() {
    let mut ann = Person::new("Ann", 1, None).await;
    let raw = b"Subject: twin\n\nx\n".to_vec();
    let one = "From a\nSubject: twin\n\nx\n\n";
    // More than a batch, so that the second twin comes in another transaction.
    let others: String = (0..200).map(|n| format!("From b\nSubject: {n}\n\ny\n\n")).collect();
    let file = format!("{one}{others}{one}");
    ann.mail().import(raw.clone(), Mailbox::Inbox, NOW).await.unwrap();
    let first = import_mbox(ann.mail(), file.as_bytes()).await;
    assert_eq!((first.done, first.duplicates), (201, 1), "one twin was there");
    let again = import_mbox(ann.mail(), file.as_bytes()).await;
    assert_eq!((again.done, again.duplicates), (0, 202));
    let query = MailQuery::default();
    assert_eq!(ann.mail().list(query).await.unwrap().len(), 202);
    ann.stop().await;

    let mut ben = Person::new("Ben", 2, None).await;
    let mut calls = 0;
    let count = |_| calls += 1;
    ben.mail().import_mbox(file.as_bytes(), Mailbox::Inbox, count, NOW).await.unwrap();
    assert!(calls > 1, "progress is told of each batch");
    assert!(export_mbox(ben.mail()).await == file.as_bytes());
    ben.stop().await;
}
