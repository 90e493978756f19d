//! What CI does with the property of a fuzz target, in a second instead of ten minutes: the target's seeds, seeds with a
//! few changes, and arbitrary bytes. The tests of the crates that hold the properties include this file by its path.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Runs `property`, which panics where it does not hold, over the seeds of `target` and what is made of them.
pub(crate) fn check(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let seeds: Vec<Vec<u8>> = files(&folder).iter().map(|path| held(path, property)).collect();
    assert!(!seeds.is_empty(), "{} holds no seed", folder.display());
    let edits = prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0_u8..4), 1..6);
    let edited = (any::<Index>(), edits).prop_map(move |(seed, edits)| {
        edits
            .into_iter()
            .fold(seed.get(&seeds).clone(), |bytes, (at, other, byte, how)| edit(bytes, at, other, byte, how))
    });
    let bytes = prop_oneof![3 => edited.boxed(), 1 => any::<Vec<u8>>().boxed()];
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let result = runner.run(&bytes, |bytes| {
        property(&bytes);
        Ok(())
    });
    if let Err(error) = result {
        panic!("the property of fuzz target {target}: {error}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of a folder").path()).collect();
    files.sort();
    files
}

fn held(path: &Path, property: fn(&[u8])) -> Vec<u8> {
    // Shown when the property does not hold.
    println!("seed {}", path.display());
    let seed = fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    property(&seed);
    seed
}

/// Puts a byte elsewhere, in, out, or doubles a piece.
fn edit(mut bytes: Vec<u8>, at: Index, other: Index, byte: u8, how: u8) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![byte];
    }
    let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
    match how {
        0 => bytes[at] = byte,
        1 => bytes.insert(at, byte),
        2 => drop(bytes.remove(at)),
        _ => {
            let piece = bytes[at.min(other)..at.max(other)].to_vec();
            bytes.splice(at..at, piece);
        }
    }
    bytes
}
