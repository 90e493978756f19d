//! The reference manual, made from the types: the JSON schema and docs/configuration.md. Golden files; a test compares.

use std::fmt::Write as _;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value};

use super::file::File;

/// The example at the head of docs/configuration.md, which the tests parse and resolve.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// The JSON schema of the config file (draft 2020-12).
pub fn schema() -> Value {
    let not_null = RecursiveTransform(|schema: &mut Schema| drop_null(schema));
    SchemaSettings::draft2020_12().with_transform(not_null).into_generator().into_root_schema_for::<File>().to_value()
}

/// docs/configuration.md.
pub fn page() -> String {
    let schema = schema();
    let mut page = format!("{INTRODUCTION}\n```yaml\n{}```\n", EXAMPLE);
    table(&mut page, "The file", &schema, "");
    let no_definitions = Map::new();
    let definitions = schema["$defs"].as_object().unwrap_or(&no_definitions);
    for (title, name) in SECTIONS {
        if let Some(definition) = definitions.get(name) {
            table(&mut page, title, definition, "");
        }
    }
    page
}

fn table(page: &mut String, title: &str, schema: &Value, indent: &str) {
    let _ = write!(page, "\n## {title}\n\n");
    if let Some(description) = schema["description"].as_str() {
        let _ = write!(page, "{}\n\n", plain(description));
    }
    let _ = writeln!(page, "{indent}| key | is | says |\n| --- | --- | --- |");
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array().is_some_and(|keys| keys.iter().any(|name| name == key));
        row(page, key, property, required);
    }
    for variant in schema["oneOf"].as_array().into_iter().flatten() {
        let properties = variant["properties"].as_object().into_iter().flatten();
        for (key, property) in properties {
            let described = Value::Object(Map::from_iter([("description".to_owned(), variant["description"].clone())]));
            let mut property = property.clone();
            if let (Some(property), Some(described)) = (property.as_object_mut(), described.as_object()) {
                property.extend(described.clone());
            }
            row(page, key, &property, false);
        }
        if let Some(word) = variant["const"].as_str() {
            row(page, word, variant, false);
        }
    }
}

fn row(page: &mut String, key: &str, property: &Value, required: bool) {
    let text = plain(property["description"].as_str().unwrap_or_default());
    let needed = if required { " **Required.**" } else { "" };
    let _ = writeln!(page, "| `{key}` | {} | {}{needed} |", kind(property), text.replace('|', "\\|"));
}

/// What a value is, in a word or a link.
fn kind(property: &Value) -> String {
    let reference = property["$ref"].as_str().or_else(|| property["allOf"][0]["$ref"].as_str());
    if let Some(name) = reference.and_then(|path| path.strip_prefix("#/$defs/")) {
        return match SECTIONS.iter().find(|(_, definition)| *definition == name) {
            Some((title, _)) => format!("[{title}](#{})", anchor(title)),
            None => "text".to_owned(),
        };
    }
    match property["type"].as_str() {
        Some("array") => format!("list of {}", kind(&property["items"])),
        Some("object") if property["additionalProperties"].is_object() => {
            format!("names to {}", kind(&property["additionalProperties"]))
        }
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => "number".to_owned(),
        Some("string") => "text".to_owned(),
        _ => "word".to_owned(),
    }
}

fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-").replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-', "")
}

/// Doc comments break lines where the source does; a table cell does not.
fn plain(description: &str) -> String {
    description.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Leaving a key out is how one says nothing; an editor need not offer `null`.
fn drop_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(types) = object.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        object.extend(only);
    }
}

/// Order and titles of the sections; the second word is the type's name.
const SECTIONS: [(&str, &str); 24] = [
    ("State", "State"),
    ("Responder", "Responder"),
    ("API", "Api"),
    ("Issuer", "Issuer"),
    ("External account", "ExternalAccount"),
    ("Load balancer", "LoadBalancer"),
    ("OCI Load Balancer", "Oci"),
    ("OCI authentication", "OciAuth"),
    ("OCI API key", "ApiKey"),
    ("OCI session token", "SessionToken"),
    ("OCI http-01", "OciHttp01"),
    ("Avi", "Avi"),
    ("Avi http-01", "AviHttp01"),
    ("Avi control script", "ControlScript"),
    ("DNS provider", "Dns"),
    ("RFC 2136", "Rfc2136"),
    ("TSIG key", "Tsig"),
    ("OCI DNS", "OciDns"),
    ("acme-dns", "AcmeDns"),
    ("DNS by a program", "Exec"),
    ("Certificate", "Certificate"),
    ("Key on a load balancer", "PlacedKey"),
    ("Deployment", "Deploy"),
    ("New listener", "Create"),
];

const INTRODUCTION: &str = "\
<!-- Made from crates/app/src/config/file: `UPDATE_GOLDEN=1 cargo test -p certferry-app golden` writes it -->

# Configuration

One YAML file says what is wanted. certferry reads the one named by `--config`, or `certferry.yaml` in the working
folder, or `/etc/certferry/certferry.yaml`. `certferry check` reads it and nothing else; it shows every error with its
line and what to write instead. An unknown key is an error.

Paths are relative to the config file; `~` is the home directory. Secrets stand in the file only as references:
`env:NAME` (an environment variable) or `file:PATH`. Durations are written `90s`, `2m`, `1h 30m`. Addresses are
`IP:port`; host names are not looked up.

[certferry.schema.json](certferry.schema.json) is the JSON schema of the file, for editors: put
`# yaml-language-server: $schema=certferry.schema.json` on its first line.
";
