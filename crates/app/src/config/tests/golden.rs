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
fn every_whole_config_in_the_documents_is_a_good_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let documents = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = documents.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut whole = Vec::new();
    for path in documents.chain([root.join("README.md")]) {
        let text = std::fs::read_to_string(&path).unwrap();
        let blocks = text.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
        // Others show a part, to be added to these.
        let blocks = blocks.filter(|block| {
            let has = |key: &str| block.lines().any(|line| line == key);
            has("load-balancers:") && has("certificates:")
        });
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        whole.extend(blocks.map(|block| (name.clone(), block.replace('…', "example"))));
    }
    let mut names: Vec<&str> = whole.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["README.md", "README.md", "avi.md", "configuration.md"]);
    let root = rcgen::generate_simple_self_signed(["avi.some-domain.com".to_owned()]).unwrap().cert.pem();
    let folder = Folder::new().with_variable("AVI_PASSWORD", "hunter2").with_file("controller-ca.pem", &root, 0o644);
    for (name, text) in &whole {
        let config = folder.load(text).unwrap_or_else(|error| panic!("{name}: error: {error}\n{text}"));
        assert_eq!(config.warnings.to_string(), "", "{name}");
        assert!(!config.desired.certificates.is_empty(), "{name}");
    }
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
