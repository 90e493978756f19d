//! acme-dns (<https://github.com/joohoi/acme-dns>): a small server that holds nothing but challenges. The real zone has a
//! CNAME to it, once and by hand, and no program ever gets a right on the real zone.
//!
//! The server keeps the last two values of an account, and removes none: each name needs an account of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use certferry_core::port::{DnsProvider, DnsZone, TxtRecord};
use certferry_core::{DnsName, DnsProviderName, Error, ErrorKind, Secret};
use serde::Deserialize;

use super::failure;
use crate::http::{BaseUrl, ClientOptions, exchange};

/// An acme-dns server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeDnsConfig {
    /// Its API.
    pub server: BaseUrl,
    /// PEM roots that are trusted for it instead of the system's.
    pub trusted_roots: Option<String>,
    /// The accounts: a JSON file of the form that acme-dns clients share, `{ "<domain>": <what /register answered> }`.
    pub accounts: PathBuf,
}

/// An acme-dns server.
pub struct AcmeDns {
    name: DnsProviderName,
    config: AcmeDnsConfig,
    http: reqwest::Client,
}

impl AcmeDns {
    /// Makes no call, and does not read the accounts yet.
    ///
    /// # Errors
    /// Trusted roots that are none.
    pub fn new(name: DnsProviderName, config: AcmeDnsConfig) -> Result<Self, Error> {
        let options = ClientOptions {
            trusted_roots: config.trusted_roots.clone(),
            no_proxy: config.server.is_loopback(),
            ..ClientOptions::default()
        };
        let http = options.build().map_err(|error| {
            failure(&name, ErrorKind::Unexpected, "making an HTTPS client", "server").said(error.to_string())
        })?;
        Ok(Self { name, config, http })
    }

    /// The account whose name the record has, after its CNAME was followed.
    fn account(&self, record: &DnsName) -> Result<Account, Error> {
        let file = self.config.accounts.display();
        let refuse =
            |kind, said: String| failure(&self.name, kind, "reading the accounts", &format!("file {file}")).said(said);
        let text = std::fs::read_to_string(&self.config.accounts)
            .map_err(|error| refuse(ErrorKind::NotFound, error.to_string()))?;
        // The parser's own message can quote what it read, which is secret here.
        let accounts: BTreeMap<String, Account> = serde_json::from_str(&text).map_err(|error| {
            let said = format!("line {} is not what was expected", error.line());
            refuse(ErrorKind::Invalid, said).with_hint(
                "expected `{ \"<domain>\": { \"fulldomain\", \"subdomain\", \"username\", \"password\" } }`, as lego and \
                 cert-manager keep it",
            )
        })?;
        let fitting = accounts.values().find(|account| account.full_domain() == record.as_str());
        if let Some(account) = fitting {
            return Ok(account.clone());
        }
        let domain = record.as_str().strip_prefix("_acme-challenge.").unwrap_or(record.as_str());
        let error = failure(&self.name, ErrorKind::Invalid, "delegation", &format!("record {record}"));
        Err(match accounts.get(domain) {
            Some(account) => error
                .said(format!("it is no CNAME to {}", account.full_domain()))
                .with_hint(format!("add to the zone: `{record}. CNAME {}.`", account.full_domain())),
            None => error.said(format!("no account in {file} has that name")).with_hint(format!(
                "register one (`curl -X POST {}`), put the answer into the file under the domain's name, and make \
                 `_acme-challenge.<domain>` a CNAME to its `fulldomain`",
                self.config.server.join(["register"])
            )),
        })
    }
}

#[async_trait]
impl DnsProvider for AcmeDns {
    fn name(&self) -> &DnsProviderName {
        &self.name
    }

    async fn zone(&self, _record: &DnsName) -> Result<Option<DnsZone>, Error> {
        Ok(None)
    }

    async fn present(&self, record: &TxtRecord) -> Result<(), Error> {
        let account = self.account(&record.name)?;
        let object = format!("TXT {}", record.name);
        let refuse = |kind, said: String| failure(&self.name, kind, "POST /update", &object).said(said);
        let request = self
            .http
            .post(self.config.server.join(["update"]))
            .header("X-Api-User", account.username.expose())
            .header("X-Api-Key", account.password.expose())
            .json(&serde_json::json!({ "subdomain": account.subdomain, "txt": record.value }));
        let answer = exchange(request, MAX_ANSWER).await.map_err(|lost| {
            refuse(ErrorKind::Unavailable, lost.to_string())
                .with_hint(format!("is {} reachable from here?", self.config.server))
        })?;
        if answer.status.is_success() {
            return Ok(());
        }
        let said = format!("{} {}", answer.status.as_u16(), answer.excerpt());
        Err(match answer.status.as_u16() {
            401 | 403 => refuse(ErrorKind::Denied, said).with_hint(format!(
                "are username and password of `{}` right, and may this machine use it (`allowfrom`)?",
                account.fulldomain
            )),
            status if status >= 500 => refuse(ErrorKind::Unavailable, said).with_hint("look at the server's log"),
            _ => refuse(ErrorKind::Invalid, said).with_hint("is that an acme-dns server?"),
        })
    }

    /// Nothing to do: the server has no call for it, and the next value takes the place of the oldest.
    async fn withdraw(&self, _record: &TxtRecord) -> Result<(), Error> {
        Ok(())
    }
}

impl fmt::Debug for AcmeDns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AcmeDns({} at {})", self.name, self.config.server)
    }
}

/// What `POST /register` answers.
#[derive(Clone, Deserialize)]
struct Account {
    fulldomain: String,
    subdomain: String,
    #[serde(deserialize_with = "secret")]
    username: Secret<String>,
    #[serde(deserialize_with = "secret")]
    password: Secret<String>,
}

impl Account {
    fn full_domain(&self) -> String {
        self.fulldomain.trim_end_matches('.').to_ascii_lowercase()
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

const MAX_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn accounts() -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = r#"{"a.test": {"fulldomain": "d1.auth.test", "subdomain": "d1", "username": "u-1",
            "password": "hunter2", "allowfrom": [], "server_url": "https://auth.test"}}"#;
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn provider(server: &str, accounts: &tempfile::NamedTempFile) -> AcmeDns {
        let config = AcmeDnsConfig {
            server: server.parse().unwrap(),
            trusted_roots: None,
            accounts: accounts.path().to_owned(),
        };
        AcmeDns::new("delegated".parse().unwrap(), config).unwrap()
    }

    fn record(name: &str) -> TxtRecord {
        TxtRecord { name: name.parse().unwrap(), value: "x".repeat(43) }
    }

    /// One exchange: gives what came, answers with `answer`.
    async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains('}') {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap();
                seen.extend_from_slice(&buffer[..length]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        (url, served)
    }

    #[tokio::test]
    async fn a_value_is_sent_with_the_accounts_credentials() {
        let accounts = accounts();
        let (url, served) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        provider(&url, &accounts).present(&record("d1.auth.test")).await.unwrap();
        let seen = served.await.unwrap();
        assert!(seen.starts_with("POST /update HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("x-api-user: u-1\r\n") && seen.contains("x-api-key: hunter2\r\n"), "{seen}");
        let body = format!(r#"{{"subdomain":"d1","txt":"{}"}}"#, "x".repeat(43));
        assert!(seen.ends_with(&body), "{seen}");
    }

    #[tokio::test]
    async fn a_refusal_is_quoted_without_the_password() {
        let accounts = accounts();
        let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 21\r\n\r\n{\"error\":\"forbidden\"}";
        let (url, served) = server(answer).await;
        let error = provider(&url, &accounts).present(&record("d1.auth.test")).await.unwrap_err();
        served.await.unwrap();
        assert_eq!(error.kind(), ErrorKind::Denied);
        let text = format!("{error} {error:?}");
        assert!(text.contains("forbidden") && !text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn a_record_that_is_no_cname_to_its_account_is_told_which_one_to_make() {
        let accounts = accounts();
        let provider = provider("http://127.0.0.1:1", &accounts);
        let error = provider.present(&record("_acme-challenge.a.test")).await.unwrap_err();
        assert_eq!(error.hint(), Some("add to the zone: `_acme-challenge.a.test. CNAME d1.auth.test.`"), "{error}");
        let error = provider.present(&record("_acme-challenge.b.test")).await.unwrap_err();
        assert!(error.hint().unwrap().contains("/register"), "{error:?}");
    }

    #[tokio::test]
    async fn a_file_that_is_broken_is_not_quoted() {
        let mut accounts = tempfile::NamedTempFile::new().unwrap();
        accounts.write_all(br#"{"a.test": "hunter2"}"#).unwrap();
        let error = provider("http://127.0.0.1:1", &accounts).present(&record("d1.auth.test")).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
