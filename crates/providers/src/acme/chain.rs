//! The issued chain, and which of several (RFC 8555 §7.4.2).

use certferry_acme::{Account, ResourceUrl};
use certferry_core::{Chain, Error, ErrorKind};

use super::issuer::AcmeIssuer;

impl AcmeIssuer {
    /// The chain that the config prefers, or the CA's default. Where the wanted one is not offered, or an alternate cannot be
    /// had, the default is good enough to serve: it is told, not failed for.
    pub(super) async fn chain(&self, url: &ResourceUrl) -> Result<Chain, Error> {
        let account = self.account()?;
        let fetched = account.certificate(url).await.map_err(|error| self.failed(&error))?;
        let default = parse(url, &fetched.value.pem)?;
        let Some(preferred) = &self.config.preferred_chain else { return Ok(default) };
        if default.ends_in(preferred) {
            return Ok(default);
        }
        let mut seen = vec![default.top()];
        for alternate in &fetched.value.alternates {
            match self.alternate(&account, alternate).await {
                Ok(chain) if chain.ends_in(preferred) && chain.leaf_der() == default.leaf_der() => return Ok(chain),
                Ok(chain) => seen.push(chain.top()),
                Err(error) => tracing::warn!(issuer = %self.config.name, "an alternate chain is left out: {error}"),
            }
        }
        tracing::warn!(
            issuer = %self.config.name,
            preferred,
            offered = seen.join(", "),
            "the CA offers no such chain; its default is used"
        );
        Ok(default)
    }

    async fn alternate(&self, account: &Account, url: &ResourceUrl) -> Result<Chain, Error> {
        let fetched = account.certificate(url).await.map_err(|error| self.failed(&error))?;
        parse(url, &fetched.value.pem)
    }
}

fn parse(url: &ResourceUrl, pem: &str) -> Result<Chain, Error> {
    Chain::parse(pem).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "certificate", format!("certificate {url}"))
            .said(error.to_string())
            .with_hint("nothing was deployed; it is downloaded again")
            .with_source(error)
    })
}
