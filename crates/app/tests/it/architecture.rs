//! What CONTRIBUTING.md says about the house, held by a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, TargetKind};
use toml::Table;

/// Which crates a crate may import.
const MAY_IMPORT: [(&str, &[&str]); 7] = [
    ("certferry-acme", &[]),
    (
        "certferry-app",
        &[
            "certferry-acme",
            "certferry-core",
            "certferry-engine",
            "certferry-lab",
            "certferry-providers",
            "certferry-store",
        ],
    ),
    ("certferry-core", &[]),
    ("certferry-engine", &["certferry-core"]),
    ("certferry-lab", &["certferry-acme", "certferry-core", "certferry-engine"]),
    ("certferry-providers", &["certferry-acme", "certferry-core"]),
    ("certferry-store", &["certferry-core"]),
];

/// What the tests of a crate may import beside that.
const TESTS_MAY_IMPORT: [(&str, &[&str]); 1] = [("certferry-providers", &["certferry-lab"])];

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: [&str; 9] = ["common", "helper", "helpers", "manager", "misc", "type", "types", "util", "utils"];

/// A file this long wants to be two.
const LINE_LIMIT: usize = 600;

#[test]
fn a_crate_imports_only_what_the_table_allows() {
    let offences: Vec<String> = members(&metadata()).into_iter().flat_map(forbidden_imports).collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_crate_takes_versions_and_lints_from_the_workspace() {
    let offences: Vec<String> = members(&metadata())
        .into_iter()
        .flat_map(|package| {
            let manifest = read(package.manifest_path.as_std_path());
            let manifest = manifest.parse().unwrap_or_else(|error| panic!("{}: {error}", package.manifest_path));
            manifest_offences(&package.name, &manifest)
        })
        .collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn no_crate_has_unsafe_code() {
    let metadata = metadata();
    let workspace: Table = read(metadata.workspace_root.join("Cargo.toml").as_std_path()).parse().expect("valid TOML");
    // Together with `lints.workspace`, this covers binaries, tests and benches too.
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));

    for package in members(&metadata) {
        let library = package.targets.iter().find(|target| target.kind.contains(&TargetKind::Lib));
        let library = library.unwrap_or_else(|| panic!("{} has no library", package.name));
        let text = read(library.src_path.as_std_path());
        assert!(text.contains("#![forbid(unsafe_code)]"), "{} lacks #![forbid(unsafe_code)]", library.src_path);
    }
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    let mut files = Vec::new();
    collect_rust_files(metadata().workspace_root.join("crates").as_std_path(), &mut files);
    assert!(files.len() > 50, "the search found only {files:?}");
    let too_long: Vec<String> = files
        .iter()
        .map(|file| (file, read(file).lines().count()))
        .filter(|(_, lines)| *lines > LINE_LIMIT)
        .map(|(file, lines)| format!("{} has {lines} lines, more than {LINE_LIMIT}: split it", file.display()))
        .collect();
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

#[test]
fn files_are_named_for_what_they_hold() {
    let root = metadata().workspace_root.join("crates");
    let mut files = Vec::new();
    collect_rust_files(root.as_std_path(), &mut files);
    // Where the checkout is, is its owner's matter.
    let files = files.iter().map(|file| file.strip_prefix(&root).expect("found below it"));
    let offences: Vec<String> = files.filter_map(empty_name).collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_dependency_of_the_workspace_is_used_by_a_crate() {
    let metadata = metadata();
    let workspace: Table = read(metadata.workspace_root.join("Cargo.toml").as_std_path()).parse().expect("valid TOML");
    let packages = members(&metadata);
    let used: BTreeSet<&str> =
        packages.iter().flat_map(|package| &package.dependencies).map(|wanted| wanted.name.as_str()).collect();
    let table = workspace["workspace"]["dependencies"].as_table().expect("a table");
    let unused: Vec<&String> = table.keys().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "take them out of the root Cargo.toml, no crate uses them: {unused:?}");
}

#[test]
fn every_fuzz_target_has_its_seeds_and_a_quick_test() {
    let root = metadata().workspace_root.into_std_path_buf();
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root.join(folder)).unwrap_or_else(|error| panic!("read {folder}: {error}"));
        let paths = entries.map(|entry| entry.expect("an entry of a folder").path());
        paths.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
    };
    let targets = names("fuzz/fuzz_targets");
    assert!(!targets.is_empty());
    for target in &targets {
        let text = read(&root.join(format!("fuzz/fuzz_targets/{target}.rs")));
        assert!(text.contains(&format!("properties::{target}(data)")), "fuzz target {target} calls another property");
        assert!(!names(&format!("fuzz/seeds/{target}")).is_empty(), "fuzz target {target} has no seed");
    }
    assert_eq!(names("fuzz/seeds"), targets, "fuzz/seeds has a folder for each fuzz target");
    let manifest: Table = read(&root.join("fuzz/Cargo.toml")).parse().expect("valid TOML");
    let binaries = manifest["bin"].as_array().expect("a list").iter().filter_map(|binary| binary["name"].as_str());
    assert_eq!(binaries.map(str::to_owned).collect::<BTreeSet<_>>(), targets, "fuzz/Cargo.toml names each fuzz target");
    assert_eq!(quick_tests(&root), targets, "a module `properties` checks each fuzz target's property in its tests");
}

/// The fuzz targets whose properties the tests of a crate check.
fn quick_tests(root: &Path) -> BTreeSet<String> {
    let mut files = Vec::new();
    collect_rust_files(&root.join("crates"), &mut files);
    let texts = files.iter().filter(|file| file.ends_with("properties.rs")).map(|file| read(file));
    let named = |text: String| {
        let calls = text.split("quick_test::check(\"").skip(1).filter_map(|call| call.split('"').next());
        calls.map(str::to_owned).collect::<Vec<_>>()
    };
    texts.flat_map(named).collect()
}

#[test]
fn an_empty_name_is_named() {
    for offence in ["core/src/utils.rs", "core/src/http/types.rs", "core/tests/common/mod.rs"] {
        assert!(empty_name(Path::new(offence)).is_some_and(|said| said.starts_with(offence)), "{offence}");
    }
    for good in ["core/src/chain.rs", "core/src/plan/mod.rs", "core/src/key_types.rs"] {
        assert_eq!(empty_name(Path::new(good)), None);
    }
}

#[test]
fn an_offending_manifest_is_named() {
    let manifest = r#"
        [lints.rust]
        unsafe_code = "allow"
        [dependencies]
        serde.workspace = true
        url = { workspace = true, features = ["serde"] }
        http = "1"
        [dev-dependencies]
        proptest = { version = "1" }
        tokio = { workspace = true, features = ["test-util"] }
        [target.'cfg(unix)'.build-dependencies]
        bytes = { path = "../bytes" }
    "#;
    let offences = manifest_offences("some-crate", &manifest.parse().expect("valid TOML"));
    assert_eq!(
        offences,
        [
            "some-crate: its Cargo.toml lacks `[lints] workspace = true`",
            "some-crate: its Cargo.toml must say `http.workspace = true`; the version stands in the root Cargo.toml",
            "some-crate: its Cargo.toml must say `proptest.workspace = true`; the version stands in the root Cargo.toml",
            "some-crate: its Cargo.toml must say `bytes.workspace = true`; the version stands in the root Cargo.toml",
            "some-crate: its Cargo.toml must leave `url`'s features to the root Cargo.toml",
        ]
    );
}

#[test]
fn a_forbidden_import_is_named() {
    let allowed = imports_not_allowed("certferry-engine", &["certferry-core"], DependencyKind::Normal);
    assert!(allowed.is_empty());
    let forbidden = imports_not_allowed("certferry-engine", &["certferry-store"], DependencyKind::Development);
    assert_eq!(forbidden, ["certferry-engine may not import certferry-store (Development); see CONTRIBUTING.md"]);
    assert!(imports_not_allowed("certferry-providers", &["certferry-lab"], DependencyKind::Development).is_empty());
    assert_eq!(imports_not_allowed("certferry-providers", &["certferry-lab"], DependencyKind::Normal).len(), 1);
    assert_eq!(imports_not_allowed("certferry-new", &[], DependencyKind::Normal).len(), 1);
}

fn forbidden_imports(package: &Package) -> Vec<String> {
    [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development]
        .into_iter()
        .flat_map(|kind| {
            let ours: BTreeSet<&str> = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == kind && dependency.name.starts_with("certferry-"))
                .map(|dependency| dependency.name.as_str())
                .collect();
            imports_not_allowed(&package.name, &Vec::from_iter(ours), kind)
        })
        .collect()
}

fn imports_not_allowed(package: &str, imports: &[&str], kind: DependencyKind) -> Vec<String> {
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == package) else {
        return vec![format!("{package} is not in the table of CONTRIBUTING.md, nor in this test's")];
    };
    let more = TESTS_MAY_IMPORT.iter().find(|(name, _)| *name == package && kind == DependencyKind::Development);
    let more = more.map_or(&[][..], |(_, more)| more);
    imports
        .iter()
        .filter(|import| !allowed.contains(import) && !more.contains(import))
        .map(|import| format!("{package} may not import {import} ({kind:?}); see CONTRIBUTING.md"))
        .collect()
}

fn manifest_offences(package: &str, manifest: &Table) -> Vec<String> {
    let mut offences = Vec::new();
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        offences.push(format!("{package}: its Cargo.toml lacks `[lints] workspace = true`"));
    }
    for (_, name, wanted) in dependencies(manifest) {
        if wanted.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
            offences.push(format!(
                "{package}: its Cargo.toml must say `{name}.workspace = true`; the version stands in the root Cargo.toml"
            ));
        }
    }
    for (section, name, wanted) in dependencies(manifest) {
        // Tests may ask for what the program must not have, such as tokio's `test-util`.
        if section != "dev-dependencies" && wanted.get("features").is_some() {
            offences.push(format!("{package}: its Cargo.toml must leave `{name}`'s features to the root Cargo.toml"));
        }
    }
    offences
}

/// All dependencies of a manifest, each with its section, those of single platforms included.
fn dependencies(manifest: &Table) -> Vec<(&'static str, &str, &toml::Value)> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let platforms = platforms.into_iter().flat_map(|platforms| platforms.values().filter_map(toml::Value::as_table));
    std::iter::once(manifest)
        .chain(platforms)
        .flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|section| Some((section, table.get(section)?.as_table()?)))
        })
        .flat_map(|(section, table)| table.iter().map(move |(name, wanted)| (section, name.as_str(), wanted)))
        .collect()
}

/// What is wrong with the name of a file, or of a folder that it is in.
fn empty_name(file: &Path) -> Option<String> {
    let parts = file.iter().filter_map(|part| part.to_str());
    let empty = parts.map(|part| part.strip_suffix(".rs").unwrap_or(part)).find(|part| EMPTY_NAMES.contains(part))?;
    Some(format!("{}: `{empty}` does not say what it holds; see CONTRIBUTING.md", file.display()))
}

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps().other_options(["--offline".to_owned()]);
    command.exec().expect("cargo metadata")
}

fn members(metadata: &Metadata) -> Vec<&Package> {
    let members = metadata.workspace_packages();
    assert_eq!(members.len(), MAY_IMPORT.len(), "as many crates as the table has");
    members
}

fn collect_rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            collect_rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
