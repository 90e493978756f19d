//! The steps of a set-up, for people and for programs that read JSON.

use std::fmt;

use serde::Serialize;

/// One object to create or to update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetupStep {
    /// The object, for people: ``role `certferry` ``.
    pub object: String,
    /// What is done to it.
    pub what: SetupAction,
    /// The reason.
    pub why: String,
    /// The fields to write, without secrets.
    pub fields: Vec<SetupField>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupAction {
    /// There is none of that name.
    Create,
    /// It is there and differs.
    Update,
}

/// One field to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetupField {
    /// As the API calls it, `script_params.url` for a part.
    pub name: String,
    /// What it is now; absent when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What it is to be; `(secret)` for a secret.
    pub wanted: String,
}

impl fmt::Display for SetupAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
        })
    }
}

impl fmt::Display for SetupStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.what, self.object, self.why)
    }
}

impl fmt::Display for SetupField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(formatter, "{} is {found}, not {}", self.name, self.wanted),
            None => write!(formatter, "{} is not there, to be {}", self.name, self.wanted),
        }
    }
}
