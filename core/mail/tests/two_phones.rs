//! Mail between phones over a simulated network, through the public handle.
#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

mod support;

use support::{NOW, Person, letter, network};
use threephone_delivery::{DeliveryError, EnvelopeId, OutgoingDraft};
use threephone_mail::{
    Attachment, MAX_MAIL_BYTES, MAX_RECIPIENTS, MailDraft, MailError, MailView, Mailbox, NOUN,
    RecipientState,
};

fn states(view: &MailView) -> Vec<RecipientState> {
    view.recipients.iter().map(|recipient| recipient.state).collect()
}

fn settled(view: &MailView) -> bool {
    view.recipients.iter().all(|recipient| recipient.state != RecipientState::Queued)
}

/// Puts bytes into `from`'s outbox as if they were a mail.
async fn send_raw(from: &Person, to: &Person, raw: &str) -> EnvelopeId {
    let (delivery, body) = (from.delivery().clone(), raw.as_bytes().to_vec());
    let draft = OutgoingDraft { to: to.target().target, noun: NOUN, body, ttl: None };
    from.store()
        .write(move |tx| -> Result<_, DeliveryError> { delivery.enqueue(tx, draft, NOW) })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_with_html_and_files_reaches_everyone_once() {
    let net = network(1, 0);
    let mut ann = Person::new("Łucja \"L\" Ö (work), 🎉", 1, Some(&net)).await;
    let mut ben = Person::new("Ben", 2, Some(&net)).await;
    let mut eve = Person::new("Eve", 3, Some(&net)).await;
    let welcome = include_bytes!("../../../fixtures/mail/welcome.eml");
    let mut draft = MailDraft::from_eml(welcome).unwrap();
    draft.to = vec![ben.target(), format!("ben@[IPv6:{}]", ben.address()).parse().unwrap()];
    draft.cc = vec![eve.target()];
    let photo: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    draft.attachments.push(Attachment {
        name: "фото из \"отпуска\".jpg".into(),
        content_type: "image/jpeg".into(),
        data: photo.clone(),
    });
    let sent = ann.mail().send(draft.clone(), NOW).await.unwrap();
    assert_eq!((sent.mailbox, sent.attachments, sent.date), (Mailbox::Sent, 2, NOW));
    assert_eq!(sent.recipients.len(), 2, "each device gets it once");
    assert_eq!(sent.to.len(), 3);

    for person in [&ben, &eve] {
        let id = person.arrived().await;
        let got = person.mail().show(id).await.unwrap();
        assert_eq!(got.view.subject, draft.subject);
        assert_eq!((got.view.mailbox, got.view.flags.seen), (Mailbox::Inbox, false));
        let from = got.view.from.clone();
        assert!(from.starts_with("Łucja \"L\" Ö (work), 🎉 <"), "{from}");
        assert!(from.ends_with(&format!("@[IPv6:{}]>", ann.address())), "{from}");
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(&got.text), plain(&draft.text));
        assert!(got.html.is_some_and(|html| html.contains("<b>my phone to yours</b>")));
        assert_eq!(got.attachments[1].name, "фото из \"отпуска\".jpg");
        assert_eq!(got.attachments[1].content_type, "image/jpeg");
        assert_eq!(person.mail().attachment(id, 1).await.unwrap(), photo);
        assert_eq!(
            person.mail().attachment(id, 0).await.unwrap(),
            draft.attachments[0].data.clone()
        );
        assert!(matches!(
            person.mail().attachment(id, 2).await,
            Err(MailError::NoAttachment { index: 2, .. })
        ));
        let bytes = person.mail().raw(id).await.unwrap();
        assert_eq!(bytes, ann.mail().raw(sent.id).await.unwrap());
        assert_eq!(person.list(Mailbox::Inbox).await.len(), 1);
    }
    let done = ann.until(sent.id, settled).await;
    assert_eq!(states(&done), [RecipientState::Delivered; 2]);
    for person in [&mut ann, &mut ben, &mut eve] {
        person.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_a_state_of_its_own_across_restarts() {
    let net = network(2, 20);
    let mut ann = Person::new("Ann", 1, Some(&net)).await;
    let mut ben = Person::new("Ben", 2, Some(&net)).await;
    let mut eve = Person::new("Eve", 3, Some(&net)).await;
    eve.stop().await;
    net.set_connected(eve.me.node_key, false);
    let sent = ann.mail().send(letter(&[&ben, &eve], "hello", "you two"), NOW).await.unwrap();
    ben.arrived().await;
    let half = ann.until(sent.id, |view| states(view)[0] == RecipientState::Delivered).await;
    assert_eq!(states(&half), [RecipientState::Delivered, RecipientState::Queued]);
    ann.stop().await;
    ann.start().await;
    assert_eq!(states(&ann.list(Mailbox::Sent).await[0]), states(&half));
    net.set_connected(eve.me.node_key, true);
    eve.start().await;
    eve.arrived().await;
    let done = ann.until(sent.id, settled).await;
    assert_eq!(states(&done), [RecipientState::Delivered; 2]);
    for person in [&mut ann, &mut ben, &mut eve] {
        person.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_in_anothers_name_is_refused_and_what_is_malformed_otherwise_is_kept() {
    let net = network(3, 0);
    let mut eve = Person::new("Eve", 3, Some(&net)).await;
    let mut ben = Person::new("Ben", 2, Some(&net)).await;
    let (own, ann) = (eve.address(), "400::1");
    for forged in [
        format!("From: Ann <ann@[IPv6:{ann}]>\r\nSubject: forged\r\n\r\nx\r\n"),
        "From: ann@example.org\r\nSubject: forged\r\n\r\nx\r\n".to_owned(),
        "Subject: forged\r\n\r\nx\r\n".to_owned(),
        format!("From: eve@[IPv6:{own}], ann@[IPv6:{ann}]\r\nSubject: forged\r\n\r\nx\r\n"),
        format!("From: eve@[IPv6:{own}]\r\nFrom: ann@[IPv6:{ann}]\r\nSubject: forged\r\n\r\nx"),
        format!("From: \"<ann@[IPv6:{ann}]>\r\n <eve@[IPv6:{own}]>\r\nSubject: forged\r\n\r\nx"),
        format!("\r\n\r\nFrom: eve@[IPv6:{own}]"),
        String::new(),
    ] {
        send_raw(&eve, &ben, &forged).await;
    }
    let odd = [
        format!(
            "From: eve@[IPv6:{own}]\r\nSubject: kept 1\r\nContent-Type: multipart/mixed\r\n\r\n--"
        ),
        format!("From: eve@[IPv6:{own}]\nDate: yesterday\nSubject: =?x?q?kept=ZZ 2\n\u{0}\u{1}"),
        format!("From: eve@[IPv6:{own}]"),
    ];
    for raw in &odd {
        send_raw(&eve, &ben, raw).await;
        let id = ben.arrived().await;
        assert_eq!(ben.mail().raw(id).await.unwrap(), raw.as_bytes());
        ben.mail().show(id).await.unwrap();
    }
    assert_eq!(ben.list(Mailbox::Inbox).await.len(), odd.len(), "nothing forged");
    // The refusal reaches the sender's own mail as well.
    let mut liar = eve.me.clone();
    liar.profile.name = "Eve".into();
    liar.node_key = threephone_address::PublicKey::from_bytes([9; 32]);
    let mail = threephone_mail::Mail::open(eve.store().clone(), liar, |_| {});
    mail.attach(eve.delivery().clone());
    let sent = mail.send(letter(&[&ben], "forged", "x"), NOW).await.unwrap();
    let done = eve.until(sent.id, settled).await;
    assert_eq!(states(&done), [RecipientState::Refused]);
    assert_eq!(ben.list(Mailbox::Inbox).await.len(), odd.len());
    eve.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_says_so_and_leaves_nothing_behind() {
    let net = network(4, 0);
    let mut ann = Person::new("Ann", 1, Some(&net)).await;
    let mut ben = Person::new("Ben", 2, Some(&net)).await;
    let file = |size: usize| Attachment {
        name: "big".into(),
        content_type: String::new(),
        data: vec![7; size],
    };
    for size in [MAX_MAIL_BYTES * 3 / 4, MAX_MAIL_BYTES + 1] {
        let draft =
            MailDraft { attachments: vec![file(size)], ..letter(&[&ben], "too large", "x") };
        let error = ann.mail().send(draft, NOW).await.unwrap_err();
        assert!(matches!(error, MailError::TooLarge { .. }));
        assert!(error.to_string().contains(&MAX_MAIL_BYTES.to_string()), "{error}");
    }
    let nobody = ann.mail().send(MailDraft::default(), NOW).await;
    assert!(matches!(nobody, Err(MailError::NoRecipient)));
    let many = (0..=MAX_RECIPIENTS).map(|n| format!("400::{n:x}").parse().unwrap()).collect();
    let crowd = ann.mail().send(MailDraft { to: many, ..MailDraft::default() }, NOW).await;
    assert!(matches!(crowd, Err(MailError::TooManyRecipients(_))));
    assert_eq!(ann.list(Mailbox::Sent).await, []);
    assert_eq!(ann.delivery().outbox_counts().await.unwrap().queued, 0);

    let draft = MailDraft { attachments: vec![file(930_000)], ..letter(&[&ben], "fits", "x") };
    let sent = ann.mail().send(draft, NOW).await.unwrap();
    let id = ben.arrived().await;
    assert_eq!(ben.mail().attachment(id, 0).await.unwrap(), vec![7; 930_000]);
    ann.until(sent.id, settled).await;
    ann.stop().await;
    ben.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_to_oneself_arrives_without_a_network() {
    let mut ann = Person::new("Ann", 1, None).await;
    let sent = ann.mail().send(letter(&[&ann], "milk", "and bread"), NOW).await.unwrap();
    assert_eq!(states(&sent), [RecipientState::Delivered]);
    let id = ann.arrived().await;
    assert_eq!(ann.mail().show(id).await.unwrap().view.subject, "milk");
    ann.stop().await;
}
