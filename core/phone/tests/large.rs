//! The largest mail there is, over real nodes.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::Path;

use threephone::mail::{Attachment, MAX_MAIL_BYTES, MailDraft, MailQuery, Mailbox};
use threephone::node::PeerAddress;
use threephone::{Cursor, Home, KeySource, Network, NodeOptions, Phone, PhoneOptions, Purpose};

const NOW: i64 = 1_700_000_000_000;

async fn new_phone(folder: &Path, name: &str, peers: Vec<PeerAddress>) -> Phone {
    let listen = vec!["tcp://127.0.0.1:0".parse().unwrap()];
    let network = Network::Online(NodeOptions { listen, peers, ..NodeOptions::default() });
    let (home, key) = (Home::new(folder), KeySource::File);
    Phone::init(home.clone(), name, KeySource::File).await.unwrap();
    Phone::open(PhoneOptions { home, key, network, purpose: Purpose::Daemon }).await.unwrap()
}

/// Bytes that no layer can make shorter.
fn photo(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

#[tokio::test]
async fn a_mail_of_nearly_eight_mebibytes_arrives_whole() {
    let (ann_dir, ben_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ann = new_phone(ann_dir.path(), "Ann", Vec::new()).await;
    let way = ann.status().await.unwrap().listening.iter().map(Into::into).collect();
    let ben = new_phone(ben_dir.path(), "Ben", way).await;
    let to = vec![format!("ben@[IPv6:{}]", ben.address()).parse().unwrap()];
    // Base64 makes 78 bytes with the line's end out of 57.
    let data = photo(MAX_MAIL_BYTES / 78 * 57 - 20_000);
    let name = "photo.jpg".to_owned();
    let photo = Attachment { name, content_type: "image/jpeg".to_owned(), data: data.clone() };
    let draft = MailDraft {
        to,
        subject: "A photo".to_owned(),
        text: "Here it is.".to_owned(),
        attachments: vec![photo],
        ..MailDraft::default()
    };
    let sent = ann.mail().send(draft, NOW).await.unwrap();
    assert!(sent.size > 8_300_000, "{} bytes", sent.size);
    let query = MailQuery { mailbox: Some(Mailbox::Inbox), ..MailQuery::default() };
    let mut cursor = Cursor::START;
    let got = loop {
        if let Some(mail) = ben.mail().list(query.clone()).await.unwrap().pop() {
            break mail;
        }
        cursor = ben.events().next_batch(cursor, 100).await.unwrap().cursor;
    };
    let (ours, theirs) = (ann.mail().raw(sent.id).await, ben.mail().raw(got.id).await);
    assert!(ours.unwrap() == theirs.unwrap(), "it arrived changed");
    ann.close().await.unwrap();
    ben.close().await.unwrap();
}
