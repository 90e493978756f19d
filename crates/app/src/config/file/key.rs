//! A certificate's key as written: its type, or its type and its place.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// A key: its type alone, or `{ on: controller, type: ecdsa-p256 }` for one that the load balancer makes and never gives
/// away.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Key {
    /// The type. certferry makes the key and keeps it in its state, sealed.
    Type(String),
    /// Who makes it, and the type.
    Placed(PlacedKey),
}

/// A key that is made elsewhere.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlacedKey {
    /// Who makes the key and holds it.
    pub on: KeyPlace,
    /// `ecdsa-p256`, `ecdsa-p384`, `rsa-2048`, `rsa-3072` or `rsa-4096`. Default: `ecdsa-p256`.
    #[serde(rename = "type")]
    pub key_type: Option<String>,
}

/// Who makes a key and holds it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPlace {
    /// The Avi controller that the certificate is deployed to.
    Controller,
}

impl Key {
    /// The type as written.
    pub fn type_text(&self) -> Option<&str> {
        match self {
            Self::Type(text) => Some(text),
            Self::Placed(placed) => placed.key_type.as_deref(),
        }
    }

    /// Where it is made, if not by certferry.
    pub fn place(&self) -> Option<KeyPlace> {
        match self {
            Self::Type(_) => None,
            Self::Placed(placed) => Some(placed.on),
        }
    }
}

// By hand: a derived untagged enum loses what was wrong inside.
impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key type, or `{ on: controller, type: … }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key::Type(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Key, A::Error> {
                PlacedKey::deserialize(de::value::MapAccessDeserializer::new(map)).map(Key::Placed)
            }
        }

        deserializer.deserialize_any(KeyVisitor)
    }
}
