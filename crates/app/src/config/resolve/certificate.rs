//! Certificates and where they are served.

use certferry_core::desired::{CertificateSpec, DeploySpec, VersionSpec};
use certferry_core::{CertificateName, DnsName, IssuerName, KeyFamily, KeyType, ListenerName, LoadBalancerName};
use certferry_providers::load_balancer::oci::NewListener;

use super::{Issuers, LoadBalancers, Resolver, Taken};
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
        load_balancers: &mut LoadBalancers,
    ) -> Vec<CertificateSpec> {
        let mut taken = Taken::new();
        let mut certificates = Vec::new();
        for (name, written) in &file.certificates.0 {
            let deploy = self.deployments(name, written, file, load_balancers, &mut taken);
            certificates.extend(self.certificate(name, written, file, issuers, load_balancers, deploy));
        }
        certificates
    }

    fn certificate(
        &mut self,
        name: &Spanned<String>,
        written: &file::Certificate,
        file: &File,
        issuers: &Issuers,
        load_balancers: &LoadBalancers,
        deploy: Option<Vec<DeploySpec>>,
    ) -> Option<CertificateSpec> {
        let parsed: Option<CertificateName> = self.parsed(name, "choose another name");
        let names = self.dns_names(name, written);
        let key = self.key_type(written);
        let issuer = self.issuer_of(name, written, file, issuers);
        let http01 = self.http01_of(name, written, file, load_balancers);
        let (issuer, profile) = issuer?;
        Some(CertificateSpec {
            name: parsed?,
            version: VersionSpec { names: names?, key: key?, issuer, profile },
            http01: http01?,
            deploy: deploy?,
        })
    }

    /// Sorted, without duplicates.
    fn dns_names(&mut self, name: &Spanned<String>, written: &file::Certificate) -> Option<Vec<DnsName>> {
        if written.names.is_empty() {
            let message = format!("certificate `{}` has no names", name.value);
            return self.refuse(name.at, message, "write at least one: `names: [www.some-domain.com]`");
        }
        let names: Vec<Option<DnsName>> = written.names.iter().map(|written| self.dns_name(written)).collect();
        let mut names: Vec<DnsName> = names.into_iter().collect::<Option<_>>()?;
        names.sort();
        names.dedup();
        Some(names)
    }

    fn dns_name(&mut self, written: &Spanned<String>) -> Option<DnsName> {
        let hint = match written.value.contains(['/', ':']) {
            true => "write the host name only, without scheme, port and path",
            false => "write a host name such as `www.some-domain.com`",
        };
        let name: DnsName = self.parsed(written, hint)?;
        if name.is_wildcard() {
            return self.refuse(
                written.at,
                format!("`{name}` is a wildcard, which http-01 cannot validate (RFC 8555 §8.3)"),
                "list the host names one by one; dns-01 is not supported in this version",
            );
        }
        Some(name)
    }

    fn key_type(&mut self, written: &file::Certificate) -> Option<KeyType> {
        let Some(key) = &written.key else { return Some(KeyType::default()) };
        match key.value.parse() {
            Ok(key) => Some(key),
            Err(_) => {
                let hint = suggest::hint(&key.value, "key types", KeyType::ALL.map(KeyType::as_str));
                self.refuse(key.at, format!("there is no key type `{}`", key.value), hint)
            }
        }
    }

    fn issuer_of(
        &mut self,
        name: &Spanned<String>,
        written: &file::Certificate,
        file: &File,
        issuers: &Issuers,
    ) -> Option<(IssuerName, Option<String>)> {
        let key = match (&written.issuer, file.issuers.0.as_slice()) {
            (Some(issuer), _) => {
                if !issuers.contains_key(&issuer.value) {
                    return self.dangling(issuer, "issuer", "issuers", &file.issuers);
                }
                &issuer.value
            }
            (None, [(only, _)]) => &only.value,
            (None, []) => {
                let message = format!("certificate `{}` has no issuer, because there is none", name.value);
                return self.refuse(name.at, message, "add `issuers: { letsencrypt: { directory: letsencrypt } }`");
            }
            (None, _) => {
                let message = format!("certificate `{}` does not say which issuer it is from", name.value);
                let known = suggest::hint("", "issuers", file.issuers.names());
                return self.refuse(name.at, message, format!("add `issuer: …` to it; {known}"));
            }
        };
        // An issuer that is wrong was complained about where it stands.
        let (issuer, config) = issuers.get(key)?.as_ref()?;
        Some((issuer.clone(), config.profile.clone()))
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
                    "add `http01: { responder: IP:port }` to it, or name another one",
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
            let hint = "add `http01: { responder: IP:port }` to a load balancer that it is deployed to, or name \
                        another one that has it: `http01: …` in the certificate";
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
                self.take(name, one, &deploy, taken)?;
                if let Some(create) = &one.value.create {
                    let create = self.create(create, written)?;
                    let (_, load_balancer) = load_balancers.get_mut(&one.value.load_balancer.value)?.as_mut()?;
                    let Provider::Oci(oci) = &mut load_balancer.provider;
                    oci.create.insert(deploy.listener.clone(), create);
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
        let probe = self.addresses(&written.probe);
        let load_balancer = match load_balancers.get(&written.load_balancer.value) {
            Some(entry) => entry.as_ref().map(|(name, _)| name.clone()),
            None => self.dangling(&written.load_balancer, "load balancer", "load balancers", &file.load_balancers),
        };
        Some(DeploySpec { load_balancer: load_balancer?, listener: listener?, probe, create: written.create.is_some() })
    }

    /// One listener serves one certificate.
    fn take(
        &mut self,
        name: &Spanned<String>,
        written: &Spanned<file::Deploy>,
        deploy: &DeploySpec,
        taken: &mut Taken,
    ) -> Option<()> {
        let place = (deploy.load_balancer.clone(), deploy.listener.clone());
        let at: Position = written.value.listener.at;
        let Some((other, first)) = taken.get(&place) else {
            taken.insert(place, (name.value.clone(), at));
            return Some(());
        };
        let (load_balancer, listener) = place;
        let place = format!("listener `{listener}` of load balancer `{load_balancer}`");
        if *other == name.value {
            let message = format!("{place} stands in this certificate's list twice (line {})", first.line);
            return self.refuse(at, message, "remove one of the two");
        }
        let message = format!("{place} is to serve certificate `{other}` already (line {})", first.line);
        let hint =
            "a listener serves one certificate: put the names into one certificate, or deploy to another listener";
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
        let key = certificate.key.as_ref().map_or_else(KeyType::default, |key| key.value.parse().unwrap_or_default());
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

const PROTOCOLS: [&str; 4] = ["TLSv1.2", "TLSv1.3", "TLSv1.1", "TLSv1"];
const MODERN_SUITE: &str = "oci-tls-12-13-ssl-cipher-suite-v3";
