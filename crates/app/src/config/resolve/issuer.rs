//! Issuers.

use certferry_core::IssuerName;
use certferry_providers::acme::{Contact, ExternalAccountBinding, IssuerConfig, MacAlgorithm};
use url::{Host, Url};

use super::Resolver;
use crate::config::file;
use crate::config::spanned::Spanned;
use crate::config::suggest;

impl Resolver<'_> {
    pub(super) fn issuer(
        &mut self,
        name: &Spanned<String>,
        written: &file::Issuer,
    ) -> Option<(IssuerName, IssuerConfig)> {
        let name: Option<IssuerName> = self.parsed(name, "choose another name");
        let directory = self.directory(&written.directory);
        let contact: Vec<Option<Contact>> = written.contact.iter().map(|address| self.contact(address)).collect();
        let contact: Option<Vec<Contact>> = contact.into_iter().collect();
        let trusted_roots = match &written.trusted_roots {
            Some(path) => self.roots(path),
            None => Some(Vec::new()),
        };
        let eab = match &written.eab {
            Some(eab) => self.external_account(eab).map(Some),
            None => Some(None),
        };
        let profile = match &written.profile {
            Some(profile) => self.profile(profile).map(Some),
            None => Some(None),
        };
        let config = IssuerConfig {
            name: name.clone()?,
            directory: directory?,
            contact: contact?,
            external_account: eab?,
            trusted_roots: trusted_roots?,
            profile: profile?,
        };
        Some((name?, config))
    }

    fn directory(&mut self, written: &Spanned<String>) -> Option<Url> {
        let text = written.value.as_str();
        if let Some((_, url)) = KNOWN_DIRECTORIES.iter().find(|(alias, _)| *alias == text) {
            return self.parsed(&Spanned { value: (*url).to_owned(), at: written.at }, "");
        }
        if !text.contains(':') {
            let aliases = KNOWN_DIRECTORIES.iter().map(|(alias, _)| *alias);
            let hint = format!("{}; or write the directory's https URL", suggest::hint(text, "directories", aliases));
            return self.refuse(written.at, format!("there is no directory `{text}`"), hint);
        }
        if text.contains('@') {
            let message = "credentials do not belong into a directory's URL";
            return self.refuse(
                written.at,
                message,
                "accounts are made by certferry; for EAB write `eab: { kid, hmac-key }`",
            );
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                let message = format!("`{text}` is not a URL: {error}");
                return self.refuse(written.at, message, "write the https URL of the CA's ACME directory");
            }
        };
        match url.scheme() {
            "https" => Some(url),
            "http" if is_loopback(&url) => Some(url),
            "http" => self.refuse(
                written.at,
                "an ACME directory is read over https (RFC 8555 §6.1)",
                "write `https://…`; a private CA's root goes into `trusted-roots`. Plain http is for 127.0.0.1 only",
            ),
            scheme => self.refuse(
                written.at,
                format!("`{scheme}:` is not the start of an ACME directory's URL"),
                "write the https URL of the CA's ACME directory",
            ),
        }
    }

    fn contact(&mut self, written: &Spanned<String>) -> Option<Contact> {
        match written.value.parse() {
            Ok(contact) => Some(contact),
            Err(_) => {
                let message = format!("`{}` is not a mail address", written.value);
                self.refuse(written.at, message, "write one address per entry: `contact: [ops@some-domain.com]`")
            }
        }
    }

    fn external_account(&mut self, written: &file::ExternalAccount) -> Option<ExternalAccountBinding> {
        let hmac_key = self.secret(&written.hmac_key, "EAB_HMAC_KEY")?;
        match ExternalAccountBinding::new(&written.kid.value, hmac_key.expose(), MacAlgorithm::Hs256) {
            Ok(binding) => Some(binding),
            Err(_) => self.refuse(
                written.hmac_key.at,
                "the EAB HMAC key is not base64url",
                "copy it from the CA's page once more, without quotes or spaces",
            ),
        }
    }

    fn profile(&mut self, written: &Spanned<String>) -> Option<String> {
        if written.value.is_empty() || written.value.contains(char::is_whitespace) {
            let message = format!("`{}` cannot be a profile's name", written.value);
            return self.refuse(written.at, message, "write it as the CA does: `classic`, `tlsserver`, `shortlived` …");
        }
        Some(written.value.clone())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

const KNOWN_DIRECTORIES: [(&str, &str); 2] = [
    ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
    ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
];
