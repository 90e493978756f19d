//! The daemon's API.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use url::Url;

use super::Resolver;
use crate::config::file::{self, File};
use crate::config::resolved::{Api, State};
use crate::config::spanned::Spanned;

impl Resolver<'_> {
    /// `Some(None)` where the config has none.
    pub(super) fn api(&mut self, file: &File, state: Option<&State>) -> Option<Option<Api>> {
        let Some(written) = &file.api else { return Some(None) };
        let listen = match &written.listen {
            Some(listen) => self.address(listen, "0.0.0.0:8443"),
            None => Some(DEFAULT_LISTEN),
        };
        let url = self.api_url(&written.url);
        let (certificate, key) = self.api_files(written, state)?;
        let self_made = written.certificate.is_none();
        Some(Some(Api { listen: listen?, url: url?, certificate, key, self_made }))
    }

    fn api_url(&mut self, written: &Spanned<String>) -> Option<Url> {
        let text = written.value.as_str();
        let hint = "write scheme, host and port only: `https://certferry.some-domain.com:8443`";
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return self.refuse(written.at, format!("`{text}` is not a URL: {error}"), hint),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        match url.scheme() {
            "https" if bare && anonymous && url.host().is_some() => Some(url),
            "https" => self.refuse(written.at, "the API's URL has more than scheme, host and port", hint),
            _ => self.refuse(written.at, "the API is served over https only", hint),
        }
    }

    fn api_files(&mut self, written: &file::Api, state: Option<&State>) -> Option<(PathBuf, PathBuf)> {
        match (&written.certificate, &written.key) {
            (Some(certificate), Some(key)) => {
                let path = self.path(certificate)?;
                let hint = "name the PEM files of a certificate and its key, or leave both out";
                let certificate = self.existing(path, certificate.at, "the API's certificate", hint);
                let path = self.path(key)?;
                let existing = self.existing(path, key.at, "the API's key", hint)?;
                Some((certificate?, self.private(existing, Some(key.at))?))
            }
            (None, None) => {
                let folder = self.folder_of_own_pair(state?);
                let key = self.private(folder.join("certferry-api.key"), None)?;
                Some((folder.join(OWN_CERTIFICATE), key))
            }
            (Some(only), None) | (None, Some(only)) => {
                self.refuse(only.at, "`certificate` and `key` of the API belong together", "give both, or neither")
            }
        }
    }

    /// Beside the database: a service may write there, and seldom where its config is. Earlier versions made the pair beside
    /// the config, and controllers trust that one.
    fn folder_of_own_pair(&self, state: &State) -> PathBuf {
        match state.database.parent() {
            Some(folder) if !self.folder.join(OWN_CERTIFICATE).exists() => folder.to_owned(),
            _ => self.folder.to_owned(),
        }
    }
}

const OWN_CERTIFICATE: &str = "certferry-api.pem";

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);
