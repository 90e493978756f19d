//! The issued certificate (RFC 8555 §7.4.2).

use crate::account::Account;
use crate::error::{Error, Operation};
use crate::exchange::Post;
use crate::fetched::Fetched;
use crate::link;
use crate::resource_url::ResourceUrl;

impl Account {
    /// The certificate chain at this URL: the order's [`certificate`](crate::Order::certificate), or one of
    /// [`CertificateChain::alternates`].
    pub async fn certificate(&self, url: &ResourceUrl) -> Result<Fetched<CertificateChain>, Error> {
        let read = self.read(Operation::Certificate, url);
        let answer = self
            .client()
            .post(Post { accept: "application/pem-certificate-chain", limit: CHAIN_LIMIT, ..read })
            .await?;
        let pem = match String::from_utf8(answer.body.clone()) {
            Ok(text) if holds_only_certificates(&text) => text,
            _ => return Err(answer.malformed("the answer is not a chain of certificates in PEM")),
        };
        let alternates = link::targets(&answer.headers, "alternate")
            .iter()
            // One unusable alternate is no reason to go without the certificate.
            .filter_map(|target| url.join(target).ok())
            .take(MAX_ALTERNATES)
            .collect();
        answer.fetched(CertificateChain { pem, alternates })
    }
}

/// A chain in PEM, the end-entity certificate first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateChain {
    /// PEM blocks of type CERTIFICATE and nothing else but white space and comments.
    pub pem: String,
    /// Where the same certificate is with other chains; at most 16.
    pub alternates: Vec<ResourceUrl>,
}

/// The text ends up in servers' configurations: no block of another kind, and nothing that is not text.
pub(crate) fn holds_only_certificates(text: &str) -> bool {
    let mut blocks = text.lines().filter(|line| line.contains("-----BEGIN ")).peekable();
    blocks.peek().is_some()
        && blocks.all(|line| line.trim() == "-----BEGIN CERTIFICATE-----")
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

const CHAIN_LIMIT: usize = 256 * 1024;
const MAX_ALTERNATES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_pass() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
        assert!(holds_only_certificates(certificate));
        assert!(holds_only_certificates(&format!("{certificate}\r\n{certificate}")));
        for text in [
            "",
            "<html>",
            key,
            &format!("{certificate}{key}"),
            &format!("{certificate}x{key}"),
            &format!("{certificate}\0"),
        ] {
            assert!(!holds_only_certificates(text), "{text:?}");
        }
    }
}
