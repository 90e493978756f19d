//! An account's contact (RFC 8555 §7.3).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A `mailto:` contact. One address, no header fields, as RFC 8555 §7.3 demands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contact(String);

impl Contact {
    /// The URL, with its `mailto:`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads an address with or without `mailto:`.
impl FromStr for Contact {
    type Err = InvalidContact;

    fn from_str(text: &str) -> Result<Self, InvalidContact> {
        let address = text.strip_prefix("mailto:").unwrap_or(text);
        let refused = |character: char| {
            !character.is_ascii_graphic() || matches!(character, ',' | '?' | '%' | '<' | '>' | '"' | ':' | ';')
        };
        match address.split_once('@') {
            Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !address.contains(refused) =>
            {
                Ok(Self(format!("mailto:{address}")))
            }
            _ => Err(InvalidContact),
        }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Contact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The text is not one plain mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a contact is one mail address such as ops@some-domain.com, in ASCII and without header fields")]
pub struct InvalidContact;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_address_becomes_a_mailto_url() {
        for text in ["ops@example.com", "mailto:ops@example.com"] {
            assert_eq!(text.parse::<Contact>().unwrap().as_str(), "mailto:ops@example.com");
        }
        for text in ["", "ops", "@example.com", "ops@", "a@b,c@d", "a@b?subject=x", "a b@c", "a@b@c", "https://a@b"] {
            assert_eq!(text.parse::<Contact>(), Err(InvalidContact), "{text:?}");
        }
    }
}
