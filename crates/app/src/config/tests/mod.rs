//! What a user sees and gets: the text of every error, the resolved config, the golden files.

mod errors;
mod golden;
mod resolving;

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use super::{Config, ConfigError, load_with};

/// A folder with a config and what it refers to.
struct Folder {
    folder: TempDir,
    variables: BTreeMap<String, String>,
}

impl Folder {
    /// A folder in which the example resolves.
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join(".oci")).unwrap();
        std::fs::write(folder.path().join(".oci/config"), "[DEFAULT]\n").unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        Self { folder, variables: BTreeMap::from([("HOME".to_owned(), home)]) }
    }

    fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn with_file(self, name: &str, text: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn load(&self, text: &str) -> Result<Config, ConfigError> {
        let path = self.path().join("certferry.yaml");
        std::fs::write(&path, text).unwrap();
        load_with(&path, &self.variables)
    }

    /// What a terminal shows for a config with something wrong in it.
    fn complaint(&self, text: &str) -> String {
        let Err(error) = self.load(text) else { panic!("nothing is wrong with\n{text}") };
        self.shown(&format!("error: {error}"))
    }

    fn shown(&self, text: &str) -> String {
        text.replace(self.path().to_str().unwrap(), "/etc/certferry")
    }
}
