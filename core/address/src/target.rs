//! The ways a person may write whom something is for.
//!
//! Everywhere: an IPv6 address bare or as `[IPv6:…]`, the 64 hexadecimal digits of a node key, or
//! z-base-32 of a type byte and the key, with or without `.myc`. In mail also with `anything@`
//! before the bracketed and the `.myc` form. The type byte keeps the door open for accounts (0x02).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};

use crate::{PublicKey, in_overlay};

/// What the error for an unreadable address lists, and what help texts show.
pub const ADDRESS_FORMS: &str = "an IPv6 address inside 400::/7, bare or as [IPv6:…]; \
    the 64 hexadecimal digits of a public key; or its z-base-32 form, with or without .myc";

/// The same for mail.
pub const MAIL_ADDRESS_FORMS: &str = "anything@[IPv6:…] or anything@….myc; \
    or without anything@: an IPv6 address inside 400::/7, bare or as [IPv6:…]; \
    the 64 hexadecimal digits of a public key; or its z-base-32 form, with or without .myc";

const TYPE_NODE_KEY: u8 = 0x01;
const TYPE_ACCOUNT: u8 = 0x02;
/// 33 bytes are 264 bits: 53 letters of five bits, the last with one bit of padding.
const Z_BASE_32_LETTERS: usize = 53;

#[allow(clippy::expect_used)] // a constant alphabet: cannot fail once a test has run
static Z_BASE_32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    spec.encoding().expect("the z-base-32 alphabet has 32 distinct letters")
});

/// Whom something is for: an address, or the key it is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An overlay address; its key becomes known when a route to it is found.
    Address(Ipv6Addr),
    /// A node key, which gives the address.
    Key(PublicKey),
}

impl Target {
    /// The overlay address that packets go to.
    pub fn address(&self) -> Ipv6Addr {
        match self {
            Self::Address(address) => *address,
            Self::Key(key) => key.address(),
        }
    }

    /// The node key, where the text named one.
    pub fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Address(_) => None,
            Self::Key(key) => Some(*key),
        }
    }
}

/// The address as `<z-base-32>.myc` where the key is known, else as a plain IPv6 address.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Key(key) => {
                let mut bytes = [TYPE_NODE_KEY; 33];
                bytes[1..].copy_from_slice(key.as_bytes());
                write!(f, "{}.myc", Z_BASE_32.encode(&bytes))
            }
        }
    }
}

/// Why a text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text has none of the known forms.
    #[error("'{0}' is not an address; use {ADDRESS_FORMS}")]
    Unreadable(String),
    /// The text has none of the forms that mail takes.
    #[error("'{0}' is not a mail address on this network; use {MAIL_ADDRESS_FORMS}")]
    UnreadableMail(String),
    /// A valid IPv6 address that no node can have.
    #[error("{0} is not an overlay address (those lie inside 400::/7); use {ADDRESS_FORMS}")]
    OutsideOverlay(Ipv6Addr),
    /// A z-base-32 form whose type byte stands for something this version cannot send to.
    #[error("'{0}' names an account, which this version cannot reach yet; use {ADDRESS_FORMS}")]
    Account(String),
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let literal = match bracketed {
            Some(inside) => strip_prefix_ignoring_case(inside, "ipv6:").unwrap_or(inside),
            None => text,
        };
        if let Ok(address) = literal.parse::<Ipv6Addr>() {
            return if in_overlay(address) {
                Ok(Self::Address(address))
            } else {
                Err(AddressError::OutsideOverlay(address))
            };
        }
        if let Ok(key) = text.parse::<PublicKey>() {
            return Ok(Self::Key(key));
        }
        from_z_base_32(text)
    }
}

fn from_z_base_32(text: &str) -> Result<Target, AddressError> {
    let unreadable = || AddressError::Unreadable(shorten(text));
    let lower = text.to_ascii_lowercase();
    let letters = lower.strip_suffix(".myc").unwrap_or(&lower);
    if letters.len() != Z_BASE_32_LETTERS {
        return Err(unreadable());
    }
    let bytes = Z_BASE_32.decode(letters.as_bytes()).map_err(|_| unreadable())?;
    match bytes.split_first() {
        Some((&TYPE_NODE_KEY, key)) => {
            Ok(Target::Key(PublicKey::from_bytes(key.try_into().map_err(|_| unreadable())?)))
        }
        Some((&TYPE_ACCOUNT, _)) => Err(AddressError::Account(shorten(text))),
        _ => Err(unreadable()),
    }
}

/// A mail recipient: any [`Target`], or `anything@` before its bracketed or `.myc` form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailTarget {
    /// What stands before the `@`, where something does.
    pub local: Option<String>,
    /// Whose device the mail goes to.
    pub target: Target,
}

impl FromStr for MailTarget {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let unreadable = || AddressError::UnreadableMail(shorten(text));
        let (local, domain) = match text.rsplit_once('@') {
            None => (None, text),
            Some((local, domain)) => (Some(local), domain),
        };
        let has_form = domain.starts_with('[') || domain.to_ascii_lowercase().ends_with(".myc");
        if local.is_some_and(|local| local.is_empty() || !has_form) {
            return Err(unreadable());
        }
        let target = domain.parse().map_err(|error| match error {
            AddressError::Unreadable(_) => unreadable(),
            other => other,
        })?;
        Ok(Self { local: local.map(str::to_owned), target })
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    if head.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

/// Keeps an error readable however long the argument was.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    const ADDRESS: &str = "520:c662:fd00:9e92:5d99:34ed:ab8:82ab";

    #[test]
    fn every_written_form_names_the_same_address() {
        let key: Target = KEY.parse().unwrap();
        let myc = key.to_string();
        let bare = myc.trim_end_matches(".myc");
        for text in [
            ADDRESS.to_owned(),
            format!("[IPv6:{ADDRESS}]"),
            format!("[ipv6:{ADDRESS}]"),
            KEY.to_owned(),
            KEY.to_uppercase(),
            myc.clone(),
            bare.to_owned(),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.address().to_string(), ADDRESS, "{text}");
        }
    }

    #[test]
    fn mail_takes_a_local_part_before_the_bracketed_and_the_myc_form_only() {
        let myc = Target::Key(KEY.parse().unwrap()).to_string();
        for text in [format!("ben@[IPv6:{ADDRESS}]"), format!("a.b@{myc}")] {
            let mail: MailTarget = text.parse().unwrap();
            assert!(mail.local.is_some());
            assert_eq!(mail.target.address().to_string(), ADDRESS);
        }
        assert_eq!(ADDRESS.parse::<MailTarget>().unwrap().local, None);
        for text in [format!("ben@{KEY}"), "ben@example.org".into(), format!("@[IPv6:{ADDRESS}]")] {
            let error = text.parse::<MailTarget>().unwrap_err();
            assert!(error.to_string().contains("anything@[IPv6:"), "{text}: {error}");
        }
    }

    #[test]
    fn errors_list_the_forms_and_say_what_is_wrong() {
        let error = "hello".parse::<Target>().unwrap_err();
        assert!(error.to_string().contains(ADDRESS_FORMS));
        let outside = "2001:db8::1".parse::<Target>().unwrap_err();
        assert!(matches!(outside, AddressError::OutsideOverlay(_)));
        let mut account = [TYPE_ACCOUNT; 33];
        account[1] = 7;
        let text = Z_BASE_32.encode(&account);
        assert!(matches!(text.parse::<Target>().unwrap_err(), AddressError::Account(_)));
    }

    proptest! {
        #[test]
        fn the_z_base_32_form_reads_back(bytes in any::<[u8; 32]>()) {
            let target = Target::Key(PublicKey::from_bytes(bytes));
            prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,120}") {
            let _ = text.parse::<Target>();
            let _ = text.parse::<MailTarget>();
        }
    }
}
