//! Issuers.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use certferry_core::{IssuerName, Secret};
use certferry_providers::acme::{ExternalAccount, IssuerConfig};
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
        let contact: Option<Vec<String>> =
            written.contact.iter().map(|address| self.mail_address(address)).collect::<Vec<_>>().into_iter().collect();
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

    fn mail_address(&mut self, written: &Spanned<String>) -> Option<String> {
        let address = written.value.strip_prefix("mailto:").unwrap_or(&written.value);
        let whole = address.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty()
                && host.contains('.')
                && !host.contains('@')
                && !host.starts_with('.')
                && !host.ends_with('.')
        });
        if !whole || address.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == ',') {
            let message = format!("`{}` is not a mail address", written.value);
            return self.refuse(written.at, message, "write one address per entry: `contact: [ops@some-domain.com]`");
        }
        Some(format!("mailto:{address}"))
    }

    fn external_account(&mut self, written: &file::ExternalAccount) -> Option<ExternalAccount> {
        let hmac_key = self.secret(&written.hmac_key, "EAB_HMAC_KEY")?;
        // RFC 8555 §7.3.4 says base64url; CAs' pages show it with and without padding, some in the other alphabet.
        let text = hmac_key.expose().as_str();
        match BASE64URL.decode(text).or_else(|_| BASE64.decode(text)) {
            Ok(key) => Some(ExternalAccount { kid: written.kid.value.clone(), hmac_key: Secret::new(key) }),
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

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
