//! What a certificate is for: a DNS name or an IP address (RFC 8555 §9.7.7, RFC 8738).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::printable;

/// An identifier of an order or an authorization.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identifier {
    /// A DNS name in A-label form; in orders also with a leading `*.`.
    Dns(String),
    /// An IP address (RFC 8738).
    Ip(IpAddr),
    /// A kind that this client does not know.
    Unknown {
        /// The `type` field.
        kind: String,
        /// The `value` field.
        value: String,
    },
}

impl Identifier {
    /// Reads `{"type": …, "value": …}`.
    pub(crate) fn from_json(json: &serde_json::Value) -> Option<Self> {
        Self::deserialize(json).ok()
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => formatter.write_str(&printable::line(name, SHOWN_CHARACTERS)),
            Self::Ip(address) => write!(formatter, "{address}"),
            Self::Unknown { kind, value } => {
                formatter.write_str(&printable::line(&format!("{kind}:{value}"), SHOWN_CHARACTERS))
            }
        }
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, value) = match self {
            Self::Dns(name) => ("dns", name.clone()),
            Self::Ip(address) => ("ip", address.to_string()),
            Self::Unknown { kind, value } => (kind.as_str(), value.clone()),
        };
        Wire { kind: kind.to_owned(), value }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Wire { kind, value } = Wire::deserialize(deserializer)?;
        Ok(match (kind.as_str(), value.parse()) {
            ("dns", _) => Self::Dns(value),
            ("ip", Ok(address)) => Self::Ip(address),
            _ => Self::Unknown { kind, value },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

const SHOWN_CHARACTERS: usize = 300;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn identifiers_have_the_wire_form_of_their_rfc() {
        for (identifier, wire) in [
            (Identifier::Dns("*.example.com".into()), json!({"type": "dns", "value": "*.example.com"})),
            (Identifier::Ip("2001:db8::1".parse().unwrap()), json!({"type": "ip", "value": "2001:db8::1"})),
            (
                Identifier::Unknown { kind: "permanent-identifier".into(), value: "x".into() },
                json!({"type": "permanent-identifier", "value": "x"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&identifier).unwrap(), wire);
            assert_eq!(Identifier::from_json(&wire), Some(identifier));
        }
    }

    #[test]
    fn a_broken_address_stays_readable() {
        let read = Identifier::from_json(&json!({"type": "ip", "value": "1.2.3"})).unwrap();
        assert_eq!(read.to_string(), "ip:1.2.3");
        assert_eq!(Identifier::from_json(&json!("www")), None);
    }
}
