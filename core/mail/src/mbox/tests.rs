//! Files and messages of every shape, there and back.

use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Vec<Entry> {
    let mut reader = Reader::new(bytes, 1 << 20);
    let mut entries = Vec::new();
    while let Some(next) = reader.next().unwrap() {
        match next {
            Next::Entry(entry) => entries.push(entry),
            Next::TooLarge => panic!("too large"),
        }
    }
    assert_eq!(reader.bytes(), bytes.len() as u64);
    entries
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let place = if n + 1 == entries.len() { Place::Last } else { Place::Middle };
        write(&mut out, entry, place).unwrap();
    }
    out
}

#[test]
fn quotes_and_blank_lines_are_no_part_of_the_message() {
    let file = b"From a Mon\nSubject: x\n\n>From me\n>>From you\n\nFrom b Tue\r\nS: y\r\n\r\nend\r\n\r\nFrom c\nlast";
    let entries = read(file);
    assert_eq!(entries[0].raw, b"Subject: x\n\nFrom me\n>From you\n");
    assert_eq!(entries[1].raw, b"S: y\r\n\r\nend\r\n");
    assert_eq!(entries[2].raw, b"last");
    assert_eq!(written(&entries), file);
}

#[test]
fn a_last_message_without_a_blank_line_keeps_its_line_end() {
    let entries = read(b"From a\nx\n");
    assert_eq!((entries[0].raw.as_slice(), entries[0].trailer.len()), (b"x\n".as_slice(), 0));
}

#[test]
fn a_file_without_separator_is_no_mbox_and_an_empty_one_is_empty() {
    assert!(Reader::new(b"Subject: x\n\n".as_slice(), 100).next().is_err());
    assert_eq!(read(b""), []);
}

#[test]
fn a_message_over_the_limit_is_passed_over_and_the_next_one_read() {
    let mut file = b"From a\n".to_vec();
    file.extend(vec![b'x'; 5000]);
    file.extend(b"\n\nFrom b\nshort\n");
    let mut reader = Reader::new(file.as_slice(), 100);
    assert_eq!(reader.next().unwrap(), Some(Next::TooLarge));
    let Some(Next::Entry(entry)) = reader.next().unwrap() else { panic!("no entry") };
    assert_eq!(entry.raw, b"short\n");
    assert_eq!(reader.next().unwrap(), None);
}

fn mail_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"From ".to_vec()),
        Just(b">".to_vec()),
        Just(b">From x\n".to_vec()),
        Just(MARK.to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_mbox_is_written_back_byte_for_byte(rest in mail_bytes()) {
        let file = [b"From ".as_slice(), &rest].concat();
        prop_assert_eq!(written(&read(&file)), file);
    }

    #[test]
    fn any_messages_are_read_back_byte_for_byte(
        mails in proptest::collection::vec(mail_bytes(), 1..5)
    ) {
        let entries: Vec<_> =
            mails.iter().map(|raw| wrap(raw.clone(), "a@b", "Thu Jan  1 00:00:00 1970")).collect();
        let back = read(&written(&entries));
        prop_assert_eq!(back.into_iter().map(|entry| entry.raw).collect::<Vec<_>>(), mails);
    }

    #[test]
    fn messages_of_an_mbox_survive_any_order(rest in mail_bytes()) {
        let mut entries = read(&[b"From ".as_slice(), &rest].concat());
        entries.reverse();
        let raws: Vec<_> = entries.iter().map(|entry| entry.raw.clone()).collect();
        let back: Vec<_> = read(&written(&entries)).into_iter().map(|entry| entry.raw).collect();
        prop_assert_eq!(back, raws);
    }
}
