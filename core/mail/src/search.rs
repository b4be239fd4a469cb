//! From text to what the full-text index holds, and from what a person types to a query that it
//! cannot misread.
//!
//! FTS5 has a language of its own (`AND`, `NEAR`, `-`, `column:`, `*`, quotes). Nobody who looks for
//! a mail means it, so each word becomes a quoted string, in which nothing is special but the quote
//! itself. All words must occur; each matches the beginning of a word in the mail.
//!
//! Some scripts put no spaces between words. Their letters are indexed each as a word of its own,
//! and a query for several is a phrase of them, so that a word is found inside a run however short it
//! is. A trigram index beside this one would cost a multiple of its size and not find words of two
//! letters, which in Chinese and Japanese most are.

use crate::limits::{MAX_CHARS, MAX_WORDS};

/// The query for `words`, or nothing where they hold no letter or digit.
pub(crate) fn match_expression(words: &str) -> Option<String> {
    let terms: Vec<String> = words
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(MAX_WORDS)
        .map(|word| {
            let word: String = word.chars().take(MAX_CHARS).collect();
            format!("\"{}\"*", spaced(&word).trim().replace('"', "\"\""))
        })
        .collect();
    (!terms.is_empty()).then(|| terms.join(" "))
}

/// `text` with spaces around every letter of a script that has none between words.
pub(crate) fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unspaced(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            // A query cannot hold a zero: SQLite would take it for the end.
            spaced.push(if c == '\0' { ' ' } else { c });
        }
    }
    spaced
}

/// Letters of scripts written without spaces, and Hangul, whose words are long compounds.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}'       // Thai, Lao
        | '\u{1000}'..='\u{109f}'     // Burmese
        | '\u{1780}'..='\u{17ff}'     // Khmer
        | '\u{3005}'..='\u{3007}'     // 々 and the like
        | '\u{3040}'..='\u{30ff}'     // Hiragana, Katakana
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'     // Han
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'     // Hangul
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'     // half-width Katakana
        | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_quoted_and_nothing_without_letters_is_a_query() {
        assert_eq!(match_expression("apple NEAR(x)").as_deref(), Some("\"apple\"* \"NEAR(x)\"*"));
        assert_eq!(match_expression("say \"hi\"").as_deref(), Some("\"say\"* \"\"\"hi\"\"\"*"));
        assert_eq!(match_expression("東京tower").as_deref(), Some("\"東  京 tower\"*"));
        assert_eq!(match_expression(" * \" - "), None);
    }
}
