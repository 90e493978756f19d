//! Files that systemd hands to a unit (`LoadCredential=`).
//!
//! From version 254 on, the credentials of a unit with `User=` belong to root and carry an ACL for that user. `stat` shows
//! an ACL's mask where the group's bits are: mode 0440, although no group may read them (systemd issue #29096; by #29435 it
//! is no bug, and stays so). Everywhere else group read means what it says.

use std::path::Path;

/// Below it are the credentials of the system's units (systemd.exec(5), `$CREDENTIALS_DIRECTORY`).
const SYSTEM: &str = "/run/credentials";

/// Which bits of the mode of the key file at `path` tell that others can open it: `usual`, but for a credential only those
/// that systemd never sets. `directory` is `$CREDENTIALS_DIRECTORY`, which a unit of a user's manager has elsewhere.
pub fn bits_for_others(path: &Path, usual: u32, directory: Option<&Path>) -> u32 {
    let is_credential = std::iter::once(Path::new(SYSTEM)).chain(directory).any(|folder| is_below(path, folder));
    if is_credential { usual & !GROUP_READ } else { usual }
}

const GROUP_READ: u32 = 0o040;

/// Where both really are counts: neither `..` nor a symbolic link in the folder leads to a file outside it.
fn is_below(path: &Path, folder: &Path) -> bool {
    let (Ok(path), Ok(folder)) = (path.canonicalize(), folder.canonicalize()) else { return false };
    path != folder && path.starts_with(folder)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn group_read_is_borne_only_for_files_that_really_are_below_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("certferry.service");
        let beside = root.path().join("certferry.service.old");
        for folder in [&folder, &beside] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("key"), "k").unwrap();
        }
        std::os::unix::fs::symlink(beside.join("key"), folder.join("out")).unwrap();
        std::os::unix::fs::symlink(folder.join("key"), beside.join("in")).unwrap();
        for (path, expected) in [
            (folder.join("key"), 0o037),
            (beside.join("in"), 0o037),
            (beside.join("key"), 0o077),
            (folder.join("out"), 0o077),
            (folder.join("../certferry.service.old/key"), 0o077),
            (folder.join("absent"), 0o077),
            (folder.clone(), 0o077),
        ] {
            let bits = bits_for_others(&path, 0o077, Some(&folder));
            assert_eq!(bits, expected, "{}", path.display());
        }
        assert_eq!(bits_for_others(&folder.join("key"), 0o044, Some(&folder)), 0o004);
        assert_eq!(bits_for_others(&folder.join("key"), 0o077, None), 0o077);
    }

    #[test]
    fn a_path_only_looks_like_one_below_the_systems_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tricked = Path::new("/run/credentials/../..").join(file.path().strip_prefix("/").unwrap());
        assert_eq!(bits_for_others(&tricked, 0o077, None), 0o077);
    }
}
