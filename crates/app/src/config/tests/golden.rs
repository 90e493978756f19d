//! docs/certferry.schema.json and docs/configuration.md are what the types say.

use std::path::Path;

use super::Folder;
use crate::config::{parse, reference};

#[test]
fn golden_files_are_up_to_date() {
    let schema = serde_json::to_string_pretty(&reference::schema()).unwrap() + "\n";
    for (name, text) in [("certferry.schema.json", schema), ("configuration.md", reference::page())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "docs/{name} is not what the types say: run with UPDATE_GOLDEN=1 to write it");
    }
}

#[test]
fn the_example_of_the_reference_resolves_without_a_warning() {
    let config = Folder::new().load(reference::EXAMPLE).unwrap();
    assert_eq!(config.warnings.to_string(), "");
    assert_eq!(config.desired.certificates.len(), 2);
}

#[test]
fn the_schema_knows_every_key_of_the_example() {
    let schema = reference::schema();
    parse(reference::EXAMPLE).unwrap();
    for (place, key) in [("", "certificates"), ("Oci", "load-balancer-id"), ("Deploy", "create"), ("Avi", "tenant")] {
        let object = if place.is_empty() { &schema } else { &schema["$defs"][place] };
        let property = &object["properties"][key];
        assert!(property["description"].is_string(), "{place} {key}: {property}");
    }
    let text = schema.to_string();
    assert!(!text.contains("\"null\""), "{text}");
}
