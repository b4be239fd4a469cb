//! One phone's mailboxes: search, flags, paging, restart.
#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

mod support;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use support::{NOW, Person, letter};
use threephone_mail::{Imported, MailError, MailFlags, MailId, MailQuery, Mailbox};

async fn import(person: &Person, raw: &str) -> MailId {
    person.mail().import(raw.as_bytes().to_vec(), Mailbox::Inbox, NOW).await.unwrap().id()
}

async fn found(person: &Person, words: &str) -> Vec<i64> {
    let mut ids: Vec<i64> =
        person.mail().search(words, None).await.unwrap().iter().map(|view| view.id.0).collect();
    ids.reverse();
    ids
}

async fn three_mails() -> Person {
    let ann = Person::new("Ann", 1, None).await;
    import(&ann, "From: Zoë <zoe@example.org>\nSubject: Apple pie\n\nBake it near the window\n")
        .await;
    import(
        &ann,
        "Subject: =?utf-8?q?=E6=9D=B1=E4=BA=AC?=\nContent-Type: text/html; charset=utf-8\n\n\
                  <p>今日は<b>大阪</b>から東京都庁へ行きました。 <i>rated</i></p>",
    )
    .await;
    import(
        &ann,
        "Subject: col:umn\nContent-Type: text/plain; charset=utf-8\n\n\
                  สวัสดีชาวโลก 안녕하세요세계 a*b \"quoted words\" OR\n",
    )
    .await;
    ann
}

#[tokio::test]
async fn words_are_found_by_their_beginning_in_subject_people_and_text() {
    let mut ann = three_mails().await;
    for (words, ids) in [
        ("apple", vec![1]),
        ("APP win", vec![1]),
        ("zoe", vec![1]),
        ("Zoë", vec![1]),
        ("example.org", vec![1]),
        ("pple", vec![]),
        ("apple rated", vec![]),
        ("rated", vec![2]),
        ("b", vec![1, 3]),
        ("", vec![]),
    ] {
        assert_eq!(found(&ann, words).await, ids, "{words}");
    }
    let newest = ann.mail().search("b", Some(1)).await.unwrap();
    assert_eq!(newest.iter().map(|view| view.id.0).collect::<Vec<_>>(), [3]);
    ann.stop().await;
}

#[tokio::test]
async fn words_inside_a_run_of_a_script_without_spaces_are_found() {
    let mut ann = three_mails().await;
    for (words, ids) in [
        ("東京", vec![2]),
        ("京", vec![2]),
        ("大阪", vec![2]),
        ("都庁へ行き", vec![2]),
        ("京東", vec![]),
        ("行きました 大阪", vec![2]),
        ("ชาวโลก", vec![3]),
        ("세계", vec![3]),
        ("하세", vec![3]),
        ("하계", vec![]),
    ] {
        assert_eq!(found(&ann, words).await, ids, "{words}");
    }
    ann.stop().await;
}

#[tokio::test]
async fn nothing_that_is_typed_is_a_query_language() {
    let mut ann = three_mails().await;
    for (words, ids) in [
        ("apple OR rated", vec![]),
        ("OR", vec![1, 3]), // example.org
        ("apple NOT pie", vec![]),
        ("NEAR(apple pie)", vec![]),
        ("near", vec![1]),
        ("subject:apple", vec![]),
        ("col:umn", vec![3]),
        ("*", vec![]),
        ("app*", vec![1]),
        ("a*b", vec![3]),
        ("\"quoted words\"", vec![3]),
        ("\"quoted", vec![3]),
        ("\"", vec![]),
        ("\" OR rowid > 0 --", vec![]),
        ("^apple", vec![1]),
        ("-apple", vec![1]),
        ("{subject}: apple", vec![]),
        ("ap\0ple", vec![]),
    ] {
        assert_eq!(found(&ann, words).await, ids, "{words}");
    }
    ann.stop().await;
}

#[test]
fn no_search_fails_and_every_mail_is_found_by_what_is_in_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut ann = runtime.block_on(Person::new("Ann", 1, None));
    let typed = prop_oneof![any::<String>(), "[\"*:^(){}+, NEAROT\\-\\\\a東京ก]{0,40}"];
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&typed, |words| {
        let subject: String = words.chars().filter(|c| !c.is_control()).collect();
        let draft = letter(&[&ann], &subject, &words);
        let sent = runtime.block_on(ann.mail().send(draft, NOW)).unwrap();
        let found = runtime.block_on(ann.mail().search(&words, None)).unwrap();
        let has_words = words.chars().any(|c| c.is_ascii_alphanumeric() || "東京".contains(c));
        prop_assert!(!has_words || found.iter().any(|view| view.id == sent.id));
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(ann.stop());
}

#[tokio::test]
async fn flags_pages_and_everything_else_survive_a_restart() {
    let mut ann = Person::new("Ann", 1, None).await;
    for n in 1..=7 {
        import(&ann, &format!("Subject: number {n}\n\nx\n")).await;
    }
    ann.mail().send(letter(&[&ann], "note", "x"), NOW).await.unwrap();
    let three = MailId(3);
    ann.mail().mark_seen(three).await.unwrap();
    let flags = MailFlags { flagged: true, ..ann.mail().show(three).await.unwrap().view.flags };
    ann.mail().set_flags(three, flags).await.unwrap();
    let unknown = ann.mail().mark_seen(MailId(99)).await;
    assert!(matches!(unknown, Err(MailError::Unknown(MailId(99)))));
    assert!(matches!(ann.mail().show(MailId(99)).await, Err(MailError::Unknown(_))));
    assert!(matches!(ann.mail().raw(MailId(-1)).await, Err(MailError::Unknown(_))));

    let everything = ann.mail().list(MailQuery::default()).await.unwrap();
    ann.stop().await;
    ann.start().await;
    assert_eq!(ann.mail().list(MailQuery::default()).await.unwrap(), everything);
    let view = ann.mail().show(three).await.unwrap().view;
    assert_eq!(view.flags, MailFlags { seen: true, answered: false, flagged: true });

    let mut pages = Vec::new();
    let mut before = None;
    for _ in 0..5 {
        let query = MailQuery { mailbox: Some(Mailbox::Inbox), limit: Some(3), before };
        let page = ann.mail().list(query).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        pages.push(page.iter().map(|view| view.id.0).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![9, 7, 6], vec![5, 4, 3], vec![2, 1]]);
    assert_eq!(ann.list(Mailbox::Sent).await.len(), 1);
    ann.stop().await;
}

#[tokio::test]
async fn the_same_mail_again_is_the_one_that_is_there() {
    let mut ann = Person::new("Ann", 1, None).await;
    let raw = b"Subject: once\n\nx\n".to_vec();
    let mail = ann.mail();
    let first = mail.import(raw.clone(), Mailbox::Inbox, NOW).await.unwrap();
    let again = mail.import(raw.clone(), Mailbox::Inbox, NOW).await.unwrap();
    assert_eq!((first, again), (Imported::New(MailId(1)), Imported::Duplicate(MailId(1))));
    let other = mail.import(raw, Mailbox::Sent, NOW).await.unwrap();
    assert_eq!(other, Imported::New(MailId(2)));
    let huge = mail.import(vec![b'x'; threephone_mail::MAX_IMPORT_BYTES + 1], Mailbox::Inbox, NOW);
    assert!(matches!(huge.await, Err(MailError::ImportTooLarge { .. })));
    ann.stop().await;
}
