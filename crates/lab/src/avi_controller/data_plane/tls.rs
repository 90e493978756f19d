//! Which certificate a virtual service answers a ClientHello with.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::super::{
    certificate::{self, Family},
    json::{text, texts},
    kind::CERTIFICATE,
    references,
    store::{Store, Stored},
};

/// The settings; cheap to clone.
pub(super) type Tls = Arc<ServerConfig>;

/// `None` for a virtual service without a certificate that can be served: its handshakes fail.
pub(super) fn settings(virtual_service: &Stored, store: &Store, provider: &Arc<CryptoProvider>) -> Option<Tls> {
    let fields = &virtual_service.fields;
    let by_name = text(fields, "vh_type") == "VS_TYPE_VH_ENHANCED" && text(fields, "type") == "VS_TYPE_VH_PARENT";
    let certificates: Vec<Candidate> = texts(fields, "ssl_key_and_certificate_refs")
        .filter_map(|reference| store.get(CERTIFICATE, references::uuid(reference)))
        .filter_map(|object| match certificate::certified(&object.fields, store, provider) {
            Ok(certified) => Some(Candidate {
                certified: Arc::new(certified),
                family: certificate::family(&object.fields),
                names: certificate::names(&object.fields),
            }),
            Err(problem) => {
                let (service, certificate) = (virtual_service.name(), object.name());
                tracing::warn!(service, certificate, problem, "a certificate cannot be served");
                None
            }
        })
        .collect();
    if certificates.is_empty() {
        return None;
    }
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions().ok()?;
    let resolver = Resolver { by_name, certificates };
    let mut settings = builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(settings))
}

#[derive(Debug)]
struct Resolver {
    /// The parent of enhanced virtual hosting: a list from which the server name chooses.
    by_name: bool,
    certificates: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    certified: Arc<CertifiedKey>,
    family: Option<Family>,
    names: Vec<String>,
}

impl ResolvesServerCert for Resolver {
    /// EC before RSA, where the client takes it.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let is_for = |candidate: &&Candidate| name.as_deref().is_some_and(|name| candidate.is_for(name));
        let named: Vec<&Candidate> = self.certificates.iter().filter(is_for).collect();
        let mut choice = match self.by_name {
            true if named.is_empty() => self.certificates.iter().take(1).collect(),
            true => named,
            false => self.certificates.iter().collect(),
        };
        choice.sort_by_key(|candidate| candidate.family != Some(Family::Ec));
        let usable =
            choice.iter().find(|candidate| candidate.certified.key.choose_scheme(hello.signature_schemes()).is_some());
        usable.or(choice.first()).map(|candidate| Arc::clone(&candidate.certified))
    }
}

impl Candidate {
    fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|known| match known.strip_prefix("*.") {
            Some(rest) => name.split_once('.').is_some_and(|(_, parent)| parent == rest),
            None => known == name,
        })
    }
}
