//! YAML to [`File`]. The only place that knows the YAML library.

use serde_saphyr::{Error, Location};

use super::diagnostic::Diagnostic;
use super::file::File;
use super::spanned::Position;
use super::suggest;

/// Parses the text of a config file.
///
/// # Errors
/// The first thing that is wrong with it: YAML does not go on after it.
pub fn parse(text: &str) -> Result<File, Diagnostic> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // A hundred thousand certificates are about three million nodes; aliases cannot multiply them beyond this.
            max_nodes: 20_000_000,
            max_events: 60_000_000,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(error.without_snippet()))
}

fn explain(error: &Error) -> Diagnostic {
    let position = error.location().filter(|location| *location != Location::UNKNOWN).map(Position::from);
    let at = |message: String| Diagnostic::error(position, message);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            at(format!("unknown key `{field}`")).with_hint(suggest::hint(field, "keys here", expected.iter().copied()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => at(format!("unknown word `{variant}`"))
            .with_hint(suggest::hint(variant, "words here", expected.iter().copied())),
        // The library points at some other key here: there is nothing to point at.
        Error::SerdeMissingField { field: "certificates", .. } => {
            Diagnostic::error(None, "there are no `certificates`")
                .with_hint("add `certificates:`; docs/configuration.md starts with an example to copy")
        }
        Error::SerdeMissingField { field, .. } => at(format!("the key `{field}` is missing here"))
            .with_hint(format!("add `{field}: …`; docs/configuration.md describes it")),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("this key");
            at(format!("`{key}` stands here a second time"))
                .with_hint("give one of the two another name, or put them together")
        }
        // What was written is not repeated: it may be a secret.
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            at(format!("expected {}, found {}", plain(expected), kind(unexpected))).with_hint(form(expected))
        }
        Error::Unexpected { expected, .. } => at(format!("expected {}", plain(expected))).with_hint(form(expected)),
        Error::NullIntoString { .. } => at("a value is missing here".to_owned()).with_hint(form("string")),
        Error::InvalidScalar { ty, .. } => at(format!("expected {}", plain(ty))).with_hint(form(ty)),
        Error::Message { msg, .. } => at(msg.clone()).with_hint("docs/configuration.md describes every key"),
        Error::Eof { .. } => Diagnostic::error(None, "the file is empty")
            .with_hint("docs/configuration.md starts with an example to copy"),
        Error::MultipleDocuments { .. } => {
            at("a second YAML document starts here".to_owned()).with_hint("one file holds one config: remove the `---`")
        }
        Error::Budget { .. } => at("the file is too big, or its aliases multiply beyond any use".to_owned()),
        other => at(format!("this is not YAML as it should be: {}", what(&other.to_string())))
            .with_hint("look at brackets, quotes and indentation (spaces, no tabs), here and in the lines above"),
    }
}

/// The library's words for what it expects, in the user's words.
fn plain(expected: &str) -> String {
    match expected {
        "mapping start" | "mapping" | "map" => "a block of `key: value`".to_owned(),
        "sequence start" | "a sequence" | "sequence" => "a list".to_owned(),
        "string scalar" | "a string" | "string" => "a text".to_owned(),
        "u64" | "integer" => "a whole number".to_owned(),
        "bool" | "a boolean" => "`true` or `false`".to_owned(),
        other if other.starts_with("struct ") => "a block of `key: value`".to_owned(),
        other => other.to_owned(),
    }
}

/// What was found, without its value: ``string "abc"`` is a text.
fn kind(unexpected: &str) -> &'static str {
    match unexpected.split([' ', '`']).next().unwrap_or_default() {
        "string" | "character" => "a text",
        "integer" | "floating" => "a number",
        "boolean" => "`true` or `false`",
        "sequence" => "a list",
        "map" | "struct" => "a block of `key: value`",
        "unit" | "null" | "Option" => "nothing",
        _ => "something else",
    }
}

/// How to write what was expected.
fn form(expected: &str) -> &'static str {
    match plain(expected).as_str() {
        "a list" => "write `[a, b]`, or one line per entry that starts with `- `",
        "a block of `key: value`" => "write `key: value` lines below it, indented further, or `{ key: value }`",
        _ => "docs/configuration.md describes every key",
    }
}

/// The first line of the library's message, without the place, which is shown anyway.
fn what(text: &str) -> &str {
    let line = text.lines().next().unwrap_or(text);
    line.split_once(" at line ").map_or(line, |(message, _)| message)
}
