//! Certificates and where they are served.

use certferry_core::desired::{CertificateSpec, DeploySpec, KeyHolder, RenewedBy, VersionSpec};
use certferry_core::{
    CertificateName, DnsProviderName, IssuerName, KeyFamily, KeyType, ListenerName, LoadBalancerName,
};
use certferry_providers::load_balancer::oci::NewListener;

use super::{DnsProviders, Issuers, LoadBalancers, Resolver, Taken, Taker};
use crate::config::file::{self, File};
use crate::config::resolved::Provider;
use crate::config::spanned::{Entries, Position, Spanned};
use crate::config::suggest;

impl Resolver<'_> {
    /// All certificates. The listeners that they ask to be created are noted at their load balancers.
    pub(super) fn certificates(
        &mut self,
        file: &File,
        issuers: &Issuers,
        dns: &DnsProviders,
        load_balancers: &mut LoadBalancers,
    ) -> Vec<CertificateSpec> {
        let mut taken = Taken::new();
        let mut certificates = Vec::new();
        for (name, written) in &file.certificates.0 {
            let deploy = self.deployments(name, written, file, load_balancers, &mut taken);
            let certificate = self.certificate(name, written, file, (issuers, dns, load_balancers), deploy);
            if let Some(certificate) = &certificate {
                self.fits(name, written, certificate, issuers, load_balancers);
                note_at_avi(certificate, load_balancers);
            }
            certificates.extend(certificate);
        }
        certificates
    }

    fn certificate(
        &mut self,
        name: &Spanned<String>,
        written: &file::Certificate,
        file: &File,
        (issuers, dns, load_balancers): (&Issuers, &DnsProviders, &LoadBalancers),
        deploy: Option<Vec<DeploySpec>>,
    ) -> Option<CertificateSpec> {
        let parsed: Option<CertificateName> = self.parsed(name, "choose another name");
        let names = self.names(name, written);
        let key = self.key_type(written);
        let what = format!("certificate `{}`", name.value);
        let renewed_by = renewed_by(written);
        let issuer = match renewed_by {
            RenewedBy::Certbot => self.issuer_certbot(written),
            RenewedBy::Certferry => self.issuer_of(name, &what, written.issuer.as_ref(), file, issuers),
        };
        let (http01, dns01) = match (renewed_by, &written.dns01) {
            (RenewedBy::Certbot, _) => (Some(Vec::new()), Some(None)),
            (RenewedBy::Certferry, Some(chosen)) => {
                (Some(Vec::new()), self.dns01_of(chosen, written, file, dns).map(Some))
            }
            (RenewedBy::Certferry, None) => (self.http01_of(name, written, file, load_balancers), Some(None)),
        };
        let key_holder = deploy.as_ref().map(|deploy| self.key_holder(written, deploy, load_balancers));
        let (issuer, directory, profile) = issuer?;
        self.issues_for_addresses(written, &issuer, issuers)?;
        Some(CertificateSpec {
            name: parsed?,
            version: VersionSpec { names: names?, key: key?, key_holder: key_holder??, issuer, directory, profile },
            renewed_by,
            http01: http01?,
            dns01: dns01?,
            deploy: deploy?,
        })
    }

    fn key_type(&mut self, written: &file::Certificate) -> Option<KeyType> {
        let Some(key) = &written.key else { return Some(KeyType::default()) };
        let Some(text) = key.value.type_text() else { return Some(KeyType::default()) };
        match text.parse() {
            Ok(key) => Some(key),
            Err(_) => {
                let hint = suggest::hint(text, "key types", KeyType::ALL.map(KeyType::as_str));
                self.refuse(key.at, format!("there is no key type `{text}`"), hint)
            }
        }
    }

    /// A key on the controller is in one place only.
    fn key_holder(
        &mut self,
        written: &file::Certificate,
        deploy: &[DeploySpec],
        load_balancers: &LoadBalancers,
    ) -> Option<KeyHolder> {
        let Some(key) = written.key.as_ref().filter(|key| key.value.place().is_some()) else {
            return Some(KeyHolder::Store);
        };
        let is_avi = |name: &LoadBalancerName| {
            let entry = load_balancers.get(name.as_str()).and_then(Option::as_ref);
            entry.is_some_and(|(_, config)| matches!(config.provider, Provider::Avi(_)))
        };
        let message = "the key is to be made on a controller, so the certificate can be deployed to that one only";
        match deploy {
            [first, rest @ ..] if rest.iter().all(|other| other.load_balancer == first.load_balancer) => {
                if is_avi(&first.load_balancer) {
                    return Some(KeyHolder::LoadBalancer(first.load_balancer.clone()));
                }
                let hint = "deploy it to an Avi load balancer, or write the key type alone";
                self.refuse(key.at, format!("load balancer `{}` makes no keys", first.load_balancer), hint)
            }
            _ => self.refuse(key.at, message, "write the key type alone, or make a certificate for each load balancer"),
        }
    }

    /// The name that stands where the issuer's does when certbot orders: nothing of the config may say otherwise.
    fn issuer_certbot(&mut self, written: &file::Certificate) -> Option<(IssuerName, String, Option<String>)> {
        let hint = "remove it, or `renewed-by: certbot`";
        if let Some(issuer) = &written.issuer {
            return self.refuse(issuer.at, "certbot orders this certificate, from an issuer of its own", hint);
        }
        if let Some(way) = written.http01.as_ref().or(written.dns01.as_ref()) {
            return self.refuse(way.at, "certbot orders this certificate, and answers the CA itself", hint);
        }
        if let Some(key) = written.key.as_ref().filter(|key| key.value.place().is_some()) {
            return self.refuse(key.at, "certbot makes this certificate's key, so no controller does", hint);
        }
        CERTBOT.parse().ok().map(|name| (name, String::new(), None))
    }

    pub(super) fn issuer_of(
        &mut self,
        name: &Spanned<String>,
        what: &str,
        written: Option<&Spanned<String>>,
        file: &File,
        issuers: &Issuers,
    ) -> Option<(IssuerName, String, Option<String>)> {
        let key = match (written, file.issuers.0.as_slice()) {
            (Some(issuer), _) => {
                if !issuers.contains_key(&issuer.value) {
                    return self.dangling(issuer, "issuer", "issuers", &file.issuers);
                }
                &issuer.value
            }
            (None, [(only, _)]) => &only.value,
            (None, []) => {
                let message = format!("{what} has no issuer, because there is none");
                return self.refuse(name.at, message, "add `issuers: { letsencrypt: { directory: letsencrypt } }`");
            }
            (None, _) => {
                let message = format!("{what} does not say which issuer it is from");
                let known = suggest::hint("", "issuers", file.issuers.names());
                return self.refuse(name.at, message, format!("add `issuer: …` to it; {known}"));
            }
        };
        // An issuer that is wrong was complained about where it stands.
        let (issuer, config) = issuers.get(key)?.as_ref()?;
        Some((issuer.clone(), config.directory.to_string(), config.profile.clone()))
    }

    fn dns01_of(
        &mut self,
        chosen: &Spanned<String>,
        written: &file::Certificate,
        file: &File,
        dns: &DnsProviders,
    ) -> Option<DnsProviderName> {
        if let Some(http01) = &written.http01 {
            let message = "`http01` and `dns01` exclude each other: a certificate is validated in one way";
            return self.refuse(http01.at, message, "remove one of the two");
        }
        let Some(entry) = dns.get(&chosen.value) else {
            return self.dangling(chosen, "DNS provider", "DNS providers", &file.dns);
        };
        entry.as_ref().map(|(name, _)| name.clone())
    }

    fn http01_of(
        &mut self,
        name: &Spanned<String>,
        written: &file::Certificate,
        file: &File,
        load_balancers: &LoadBalancers,
    ) -> Option<Vec<LoadBalancerName>> {
        if let Some(chosen) = &written.http01 {
            let Some(entry) = load_balancers.get(&chosen.value) else {
                return self.dangling(chosen, "load balancer", "load balancers", &file.load_balancers);
            };
            let (load_balancer, config) = entry.as_ref()?;
            if !config.provider.carries_http01() {
                let message =
                    format!("load balancer `{load_balancer}` has no `http01`, so no CA's request comes through it");
                return self.refuse(
                    chosen.at,
                    message,
                    "add `http01: { responder: IP:port }` to it (Avi: `http01: {}`), or name another one",
                );
            }
            return Some(vec![load_balancer.clone()]);
        }
        let mut through = Vec::new();
        for deploy in &written.deploy {
            // One that is not there, or wrong, was complained about where it stands.
            let (load_balancer, config) = load_balancers.get(&deploy.value.load_balancer.value)?.as_ref()?;
            if config.provider.carries_http01() && !through.contains(load_balancer) {
                through.push(load_balancer.clone());
            }
        }
        if through.is_empty() && !written.deploy.is_empty() {
            let message =
                format!("certificate `{}` cannot be validated: no CA's request can reach the responder", name.value);
            let hint = "add `http01: { responder: IP:port }` (Avi: `http01: {}`) to a load balancer that it is deployed \
                        to, or name another one that has it: `http01: …` in the certificate; `dns01: …` needs no port 80";
            return self.refuse(name.at, message, hint);
        }
        Some(through)
    }

    fn deployments(
        &mut self,
        name: &Spanned<String>,
        written: &file::Certificate,
        file: &File,
        load_balancers: &mut LoadBalancers,
        taken: &mut Taken,
    ) -> Option<Vec<DeploySpec>> {
        if written.deploy.is_empty() {
            let message = format!("certificate `{}` is deployed nowhere", name.value);
            return self.refuse(name.at, message, "add `deploy: [{ load-balancer: …, listener: … }]`");
        }
        let deploy: Vec<_> = written
            .deploy
            .iter()
            .map(|one| {
                let deploy = self.deployment(one, file, load_balancers)?;
                let (_, load_balancer) = load_balancers.get_mut(&one.value.load_balancer.value)?.as_mut()?;
                self.take(name, written, one, &deploy, &load_balancer.provider, taken)?;
                if let Some(create) = &one.value.create {
                    match &mut load_balancer.provider {
                        Provider::Oci(oci) => {
                            let new = self.create(create, written)?;
                            oci.create.insert(deploy.listener.clone(), new);
                        }
                        Provider::Avi(_) => self.refuse::<()>(
                            create.port.at,
                            "certferry makes no virtual services that serve certificates",
                            "make it on the controller, with any certificate, and remove `create`",
                        )?,
                    }
                }
                Some(deploy)
            })
            .collect();
        deploy.into_iter().collect()
    }

    fn deployment(
        &mut self,
        written: &Spanned<file::Deploy>,
        file: &File,
        load_balancers: &LoadBalancers,
    ) -> Option<DeploySpec> {
        let written = &written.value;
        let listener: Option<ListenerName> =
            self.parsed(&written.listener, "write the listener's name as the load balancer has it");
        let probe = self.addresses(&written.probe, "127.0.0.1:8443");
        let load_balancer = match load_balancers.get(&written.load_balancer.value) {
            Some(entry) => entry.as_ref().map(|(name, _)| name.clone()),
            None => self.dangling(&written.load_balancer, "load balancer", "load balancers", &file.load_balancers),
        };
        Some(DeploySpec { load_balancer: load_balancer?, listener: listener?, probe, create: written.create.is_some() })
    }

    /// One listener serves one certificate; a virtual service of Avi one with an RSA and one with an ECDSA key.
    fn take(
        &mut self,
        name: &Spanned<String>,
        certificate: &file::Certificate,
        written: &Spanned<file::Deploy>,
        deploy: &DeploySpec,
        provider: &Provider,
        taken: &mut Taken,
    ) -> Option<()> {
        let kind = match provider {
            Provider::Avi(_) => Some(written_key_type(certificate).family()),
            Provider::Oci(_) => None,
        };
        let place = (deploy.load_balancer.clone(), deploy.listener.clone());
        let at: Position = written.value.listener.at;
        let others = taken.entry(place).or_default();
        let same = others.iter().find(|other| other.name == name.value || other.kind == kind);
        let Some(other) = same.cloned() else {
            others.push(Taker { name: name.value.clone(), at, kind });
            return Some(());
        };
        let DeploySpec { load_balancer, listener, .. } = deploy;
        let place = format!("listener `{listener}` of load balancer `{load_balancer}`");
        let line = other.at.line;
        if other.name == name.value {
            let message = format!("{place} stands in this certificate's list twice (line {line})");
            return self.refuse(at, message, "remove one of the two");
        }
        let message = format!("{place} is to serve certificate `{}` already (line {line})", other.name);
        let hint = match kind {
            Some(kind) => format!(
                "a virtual service serves one certificate with an {kind} key: put the names into one certificate, or give \
                 one of the two another `key:`"
            ),
            None => {
                "a listener serves one certificate: put the names into one certificate, or deploy to another listener"
                    .to_owned()
            }
        };
        self.refuse(at, message, hint)
    }

    fn create(&mut self, written: &file::Create, certificate: &file::Certificate) -> Option<NewListener> {
        let port = match u16::try_from(written.port.value) {
            Ok(port) if port > 0 => Some(port),
            _ => self.refuse(written.port.at, format!("there is no port {}", written.port.value), "write 1 to 65535"),
        };
        let backend_set = self.oci_name(&written.backend_set, "backend set");
        let protocols: Vec<_> = written.protocols.iter().map(|protocol| self.protocol(protocol)).collect();
        let protocols: Option<Vec<String>> = protocols.into_iter().collect();
        let cipher_suite = self.cipher_suite(written, certificate);
        Some(NewListener { port: port?, backend_set: backend_set?, protocols: protocols?, cipher_suite: cipher_suite? })
    }

    fn protocol(&mut self, written: &Spanned<String>) -> Option<String> {
        if PROTOCOLS.contains(&written.value.as_str()) {
            return Some(written.value.clone());
        }
        let hint = suggest::hint(&written.value, "TLS versions", PROTOCOLS);
        self.refuse(written.at, format!("there is no TLS version `{}`", written.value), hint)
    }

    /// OCI's default suite, which a listener without one gets, has RSA ciphers of TLS 1.2 only.
    fn cipher_suite(&mut self, written: &file::Create, certificate: &file::Certificate) -> Option<Option<String>> {
        if let Some(suite) = &written.cipher_suite {
            return Some(Some(suite.value.clone()));
        }
        let key = written_key_type(certificate);
        if key.family() == KeyFamily::Ecdsa {
            let message = format!("a new listener without `cipher-suite` cannot serve this certificate's {key} key");
            let hint = format!(
                "OCI's default suite has RSA ciphers only: add `cipher-suite: {MODERN_SUITE}`, or `key: rsa-2048`"
            );
            return self.refuse(written.port.at, message, hint);
        }
        match written.protocols.iter().find(|protocol| protocol.value == "TLSv1.3") {
            Some(protocol) => {
                let hint = format!("OCI's default suite has none of its ciphers: add `cipher-suite: {MODERN_SUITE}`");
                self.refuse(protocol.at, "a new listener without `cipher-suite` cannot speak TLSv1.3", hint)
            }
            None => Some(None),
        }
    }

    fn dangling<T, W>(&mut self, written: &Spanned<String>, kind: &str, kinds: &str, known: &Entries<W>) -> Option<T> {
        let hint = suggest::hint(&written.value, kinds, known.names());
        self.refuse(written.at, format!("there is no {kind} `{}`", written.value), hint)
    }
}

/// Who orders it.
pub(super) fn renewed_by(certificate: &file::Certificate) -> RenewedBy {
    match certificate.renewed_by.as_ref().map(|written| written.value) {
        Some(file::RenewedBy::Certbot) => RenewedBy::Certbot,
        Some(file::RenewedBy::Certferry) | None => RenewedBy::Certferry,
    }
}

/// The key type; one that is wrong is complained of by itself.
fn written_key_type(certificate: &file::Certificate) -> KeyType {
    let text = certificate.key.as_ref().and_then(|key| key.value.type_text());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// What an Avi controller's client must know beforehand: which virtual services are meant, and which names are validated
/// where.
fn note_at_avi(certificate: &CertificateSpec, load_balancers: &mut LoadBalancers) {
    for (load_balancer, config) in load_balancers.values_mut().flatten() {
        let Provider::Avi(avi) = &mut config.provider else { continue };
        let deploys = certificate.deploy.iter().filter(|deploy| deploy.load_balancer == *load_balancer);
        let listeners: Vec<ListenerName> = deploys.map(|deploy| deploy.listener.clone()).collect();
        avi.listeners.extend(listeners.iter().cloned());
        if let Some(http01) = avi.http01.as_mut().filter(|_| certificate.http01.contains(load_balancer)) {
            for name in &certificate.version.names {
                let known = http01.names.entry(name.clone()).or_default();
                known
                    .extend(listeners.iter().filter(|listener| !known.contains(listener)).cloned().collect::<Vec<_>>());
            }
        }
    }
}

/// What the state has in the issuer's place for a version that certbot handed over.
const CERTBOT: &str = "certbot";

const PROTOCOLS: [&str; 4] = ["TLSv1.2", "TLSv1.3", "TLSv1.1", "TLSv1"];
const MODERN_SUITE: &str = "oci-tls-12-13-ssl-cipher-suite-v3";
