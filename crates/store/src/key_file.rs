//! The master key's file: comment lines, then 32 random bytes in base64. Made once, 0600, never overwritten.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certferry_core::{Error, ErrorKind, Secret};
use zeroize::Zeroizing;

use crate::file_error::file_error;

/// The key that seals all others.
pub(crate) type MasterKey = Secret<[u8; 32]>;

/// Reads the file; `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<MasterKey>, Error> {
    let failed = |error| file_error("read_key_file", &subject(path), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(refused(path, "it is not a regular file"));
    }
    check_mode(path, metadata.permissions().mode())?;
    // Room for all that is read: a buffer that grows would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_FILE + 1));
    file.take(LONGEST_FILE as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    parse(path, &text).map(Some)
}

/// Makes a key and its file, durably, or reads the one that somebody else made in the meantime.
pub(crate) fn create(path: &Path) -> Result<MasterKey, Error> {
    let failed = |error| file_error("create_key_file", &subject(path), error);
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| {
        Error::new(ErrorKind::Unexpected, "create_key_file", subject(path)).said("no randomness from the system")
    })?;
    let directory = directory(path);
    // Made with mode 0600, under a name of its own until it is whole and on disk.
    let mut file = tempfile::Builder::new().prefix(".certferry-key-").tempfile_in(directory).map_err(failed)?;
    let encoded = Zeroizing::new(STANDARD.encode(*bytes));
    let text = Zeroizing::new(format!("{COMMENT}{}\n", *encoded));
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            return read(path)?.ok_or_else(|| refused(path, "it appeared and vanished while it was being made"));
        }
        Err(error) => return Err(failed(error.error)),
    }
    sync_directory(path).map_err(failed)?;
    Ok(Secret::new(*bytes))
}

/// Makes a new directory entry durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn subject(path: &Path) -> String {
    format!("key file `{}`", path.display())
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "read_key_file", subject(path)).said(why)
}

fn check_mode(path: &Path, mode: u32) -> Result<(), Error> {
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let mode = mode & 0o7777;
    Err(Error::new(ErrorKind::Denied, "read_key_file", subject(path))
        .said(format!("its mode is {mode:04o}: others than its owner have rights on it"))
        .with_hint(format!("chmod 600 {}", path.display())))
}

fn parse(path: &Path, text: &str) -> Result<MasterKey, Error> {
    let malformed = || {
        refused(path, "it does not hold 32 bytes in base64 on one line, besides lines that start with `#`")
            .with_hint("restore it from a backup; remove it only if there is no database yet that it belongs to")
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(malformed());
    };
    let bytes = Zeroizing::new(STANDARD.decode(line).map_err(|_| malformed())?);
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| malformed())?;
    Ok(Secret::new(key))
}

const COMMENT: &str = "\
# certferry's master key: the private keys in its database are sealed with it.
# Keep a copy of this file apart from the copies of the database. If it is lost, so are the keys.
";
const LONGEST_FILE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_made_key_reads_back_and_is_never_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certferry.key");
        assert!(read(&path).unwrap().is_none());
        let made = create(&path).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().expose(), made.expose());
        assert_eq!(create(&path).unwrap().expose(), made.expose());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn two_keys_differ() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| create(&folder.path().join(name)).unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(format!("{one:?}"), "Secret(…)");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certferry.key");
        let good = STANDARD.encode([7; 32]);
        for text in
            ["", "# only a comment\n", "AAAA\n", "not base64!\n", &format!("{good}\n{good}\n"), &"A".repeat(9000)]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(error.to_string().contains("certferry.key"), "{error}");
            assert!(!error.to_string().contains(&good), "{error}");
        }
        fs::write(&path, format!("# by hand\n\n  {good}\r\n")).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().expose(), &[7; 32]);
    }
}
