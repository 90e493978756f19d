//! Issuers.

use certferry_core::{IssuerName, KeyType};
use certferry_providers::acme::{
    AccountKeyType, Contact, ExternalAccountBinding, IssuerConfig, Limits, MacAlgorithm, WithoutProfile,
};
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
            Some(profile) => self.profile(profile).map(|(name, without)| (Some(name), without)),
            None => Some((None, WithoutProfile::default())),
        };
        let account_key = self.account_key(written.account_key.as_ref());
        let preferred_chain = match &written.preferred_chain {
            Some(chain) if chain.value.trim().is_empty() => {
                self.refuse(chain.at, "a common name is missing here", "write it as the CA does: `ISRG Root X1`")
            }
            chain => Some(chain.as_ref().map(|chain| chain.value.trim().to_owned())),
        };
        let (profile, without_profile) = profile.map_or((None, None), |(name, without)| (Some(name), Some(without)));
        let config = IssuerConfig {
            name: name.clone()?,
            directory: directory?,
            contact: contact?,
            external_account: eab?,
            trusted_roots: trusted_roots?,
            profile: profile?,
            without_profile: without_profile?,
            preferred_chain: preferred_chain?,
            account_key: account_key?,
            limits: Limits::default(),
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
        let algorithm = match written.algorithm.as_ref().map(|algorithm| algorithm.value) {
            None | Some(file::MacAlgorithm::Hs256) => MacAlgorithm::Hs256,
            Some(file::MacAlgorithm::Hs384) => MacAlgorithm::Hs384,
            Some(file::MacAlgorithm::Hs512) => MacAlgorithm::Hs512,
        };
        match ExternalAccountBinding::new(&written.kid.value, hmac_key.expose(), algorithm) {
            Ok(binding) => Some(binding),
            Err(_) => self.refuse(
                written.hmac_key.at,
                "the EAB HMAC key is not base64url",
                "copy it from the CA's page once more, without quotes or spaces",
            ),
        }
    }

    fn profile(&mut self, written: &Spanned<file::Profile>) -> Option<(String, WithoutProfile)> {
        let (name, without) = match &written.value {
            file::Profile::Name(name) | file::Profile::Wish(file::ProfileWish::Require(name)) => {
                (name, WithoutProfile::Refuse)
            }
            file::Profile::Wish(file::ProfileWish::Prefer(name)) => (name, WithoutProfile::OrderAnyway),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let message = format!("`{name}` cannot be a profile's name");
            return self.refuse(written.at, message, "write it as the CA does: `classic`, `tlsserver`, `shortlived` …");
        }
        Some((name.clone(), without))
    }

    fn account_key(&mut self, written: Option<&Spanned<String>>) -> Option<AccountKeyType> {
        let Some(written) = written else { return Some(AccountKeyType::default()) };
        match written.value.parse::<KeyType>() {
            Ok(kind) => Some(account_key_type(kind)),
            Err(_) => {
                let hint = suggest::hint(&written.value, "key types", KeyType::ALL.map(KeyType::as_str));
                self.refuse(written.at, format!("there is no key type `{}`", written.value), hint)
            }
        }
    }
}

/// The kind of account key that the config's word means.
pub(in crate::config) fn account_key_type(kind: KeyType) -> AccountKeyType {
    match kind {
        KeyType::EcdsaP256 => AccountKeyType::EcdsaP256,
        KeyType::EcdsaP384 => AccountKeyType::EcdsaP384,
        KeyType::Rsa2048 => AccountKeyType::Rsa2048,
        KeyType::Rsa3072 => AccountKeyType::Rsa3072,
        KeyType::Rsa4096 => AccountKeyType::Rsa4096,
    }
}

/// Whether it is Let's Encrypt's production or staging.
pub(super) fn is_lets_encrypt(issuer: &IssuerConfig) -> bool {
    issuer.directory.host_str().is_some_and(|host| host.ends_with(".api.letsencrypt.org"))
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
