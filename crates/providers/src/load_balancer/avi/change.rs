//! One change to one object: computed from what was read, without I/O, so that a change that lost a race is simply computed
//! again.

use bytes::Bytes;
use certferry_core::ErrorKind;
use http::Method;
use serde_json::{Value, json};

use super::model::Collection;

/// What to ask of the controller.
pub(super) struct Change {
    pub(super) method: Method,
    pub(super) collection: Collection,
    /// The object; `None` for one that is created.
    pub(super) uuid: Option<String>,
    /// The object, for people.
    pub(super) object: String,
    /// May hold a private key: never printed.
    pub(super) body: Option<Bytes>,
}

impl Change {
    /// A new object.
    pub(super) fn create(collection: Collection, name: &str, body: &Value) -> Self {
        Self {
            method: Method::POST,
            collection,
            uuid: None,
            object: collection.object(name),
            body: Some(Bytes::from(body.to_string())),
        }
    }

    /// Fields merged into an object by the controller, which leaves all others as they are.
    pub(super) fn patch(collection: Collection, uuid: &str, name: &str, body: &Value) -> Self {
        Self { method: Method::PATCH, uuid: Some(uuid.to_owned()), ..Self::create(collection, name, body) }
    }

    /// A full replacement of an object by what was read, with the change made in it. Its `_last_modified` makes the
    /// controller refuse it (412) when somebody else was faster.
    pub(super) fn replace(collection: Collection, uuid: &str, name: &str, body: &Value) -> Self {
        Self { method: Method::PUT, uuid: Some(uuid.to_owned()), ..Self::create(collection, name, body) }
    }

    /// The removal of an object.
    pub(super) fn delete(collection: Collection, uuid: &str, name: &str) -> Self {
        Self {
            method: Method::DELETE,
            collection,
            uuid: Some(uuid.to_owned()),
            object: collection.object(name),
            body: None,
        }
    }

    /// The call, for errors.
    pub(super) fn operation(&self) -> String {
        format!("{} {}", self.method, self.collection.key())
    }
}

/// Why a change cannot be made, in terms of the objects as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: ErrorKind,
    pub(super) operation: String,
    pub(super) object: String,
    pub(super) said: String,
    pub(super) hint: String,
}

/// The next change, or none when all is as wanted, or why it cannot be.
pub(super) type Decision = Result<Option<Change>, Problem>;

/// `{"<operation>": {"<field>": [element]}}`, as PATCH takes it.
pub(super) fn element(operation: &str, field: &str, element: Value) -> Value {
    json!({operation: {field: [element]}})
}
