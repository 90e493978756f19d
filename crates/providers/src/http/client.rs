//! How a provider's HTTP client is built.

use std::time::Duration;

use reqwest::{Certificate, Client, redirect};

/// What a client is built with. Every client follows no redirects: an API that sends a signed request elsewhere is not
/// the API any more.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Limit for a connection to be made.
    pub connect: Duration,
    /// Limit for a whole exchange, body included.
    pub request: Duration,
    /// PEM of root certificates to trust instead of the platform's.
    pub trusted_roots: Option<String>,
    /// Never HTTP/2, for signatures that cover the `host` header.
    pub http1_only: bool,
    /// Ignore proxies from the environment, for addresses on this machine.
    pub no_proxy: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(60),
            trusted_roots: None,
            http1_only: false,
            no_proxy: false,
        }
    }
}

impl ClientOptions {
    /// Builds the client. TLS is rustls with aws-lc-rs; roots are the platform's unless others are given.
    ///
    /// # Errors
    /// Roots that are not PEM certificates, or no TLS to be had.
    pub fn build(&self) -> Result<Client, ClientError> {
        let mut builder = Client::builder()
            .connect_timeout(self.connect)
            .timeout(self.request)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("certferry/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &self.trusted_roots {
            let roots =
                Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| ClientError::Roots(error.to_string()))?;
            if roots.is_empty() {
                return Err(ClientError::Roots("no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_only(roots);
        }
        if self.http1_only {
            builder = builder.http1_only();
        }
        if self.no_proxy {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|error| ClientError::Build(error.to_string()))
    }
}

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The TLS library refuses.
    #[error("no HTTPS client: {0}")]
    Build(String),
    /// The trusted roots are not PEM certificates.
    #[error("the trusted roots are not PEM certificates: {0}")]
    Roots(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_are_no_certificates_are_refused() {
        for pem in ["", "hello"] {
            let options = ClientOptions { trusted_roots: Some(pem.to_owned()), ..ClientOptions::default() };
            assert!(matches!(options.build(), Err(ClientError::Roots(_))), "{pem:?}");
        }
        ClientOptions::default().build().unwrap();
    }
}
