//! From what a person types to a query the full-text index cannot misread.
//!
//! FTS5 has a language of its own (`AND`, `NEAR`, `-`, `column:`, `*`, quotes). Nobody who looks for
//! a mail means it, so each word becomes a quoted string, in which nothing is special but the quote
//! itself. All words must occur; each matches the beginning of a word in the mail.

/// Words beyond these are ignored: they cost time and narrow nothing.
const MAX_WORDS: usize = 16;
/// Characters of a word that count.
const MAX_CHARS: usize = 64;

/// The query for `words`, or nothing where they hold no letter or digit.
pub(crate) fn match_expression(words: &str) -> Option<String> {
    let terms: Vec<String> = words
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(MAX_WORDS)
        .map(|word| {
            let word: String = word.chars().take(MAX_CHARS).collect();
            format!("\"{}\"*", word.replace('"', "\"\""))
        })
        .collect();
    (!terms.is_empty()).then(|| terms.join(" "))
}
