//! The bounds on everything that grows, with their reasons.

/// RFC 5321 allows a local part of 64 octets.
pub(crate) const MAX_LOCAL_PART: usize = 64;

/// The last millisecond of the year 9999: what a Date field can say.
pub(crate) const MAX_DATE_MS: i64 = 253_402_300_799_000;

/// The largest mail that is sent or accepted, in bytes as it travels (attachments base64-encoded).
///
/// A mail is the body of one envelope, 8 MiB; in files that is about 5.8 MiB. Larger mail needs blobs,
/// which come later.
pub const MAX_MAIL_BYTES: usize = threephone_delivery::MAX_BODY_BYTES;

/// The largest message an import takes, in bytes: it is held in memory whole.
pub const MAX_IMPORT_BYTES: usize = 64 * 1024 * 1024;

/// Recipients of one mail, each of whom costs an envelope.
pub const MAX_RECIPIENTS: usize = 100;

/// Words beyond these are ignored: they cost time and narrow nothing.
pub(crate) const MAX_WORDS: usize = 16;

/// Characters of a word that count.
pub(crate) const MAX_CHARS: usize = 64;

/// Content-Type fields in a mail that is read whole: bounds its parts and how deep they nest, and
/// with that the time (each part may cost one look over the mail).
pub(crate) const MAX_PARTS: usize = 500;

/// Characters of a name that are shown: a long one must not push the address out of sight.
pub(crate) const MAX_NAME: usize = 200;

/// Characters of text that are indexed: more than a book chapter, and what bounds the time that
/// storing a mail holds up everything else.
pub(crate) const MAX_INDEXED: usize = 256 * 1024;

/// Characters of one header field that are indexed and listed.
pub(crate) const MAX_FIELD: usize = 1000;

/// People under To and Cc that are listed.
pub(crate) const MAX_PEOPLE: usize = 500;

/// Mails in one transaction of an import.
pub(crate) const BATCH: usize = 64;

/// Bytes of mail in one transaction of an import, unless one mail alone is larger.
pub(crate) const BATCH_BYTES: usize = 4 * 1024 * 1024;
