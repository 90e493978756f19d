//! Whether what is ordered can be put where it is to be served, as far as that is known before anything is ordered.

use certferry_core::desired::{CertificateSpec, VersionSpec};
use certferry_core::{IssuerName, LoadBalancerName};
use certferry_providers::load_balancer::oci::{Hold, certificates_service_takes};

use super::issuer::is_lets_encrypt;
use super::{Issuers, LoadBalancers, Resolver};
use crate::config::file;
use crate::config::resolved::Provider;
use crate::config::spanned::{Position, Spanned};

impl Resolver<'_> {
    /// An Avi controller names a certificate by its common name and imports none without; OCI's Certificates service holds
    /// versions together by it, and lacks some key types.
    pub(super) fn fits(
        &mut self,
        name: &Spanned<String>,
        written: &file::Certificate,
        certificate: &CertificateSpec,
        issuers: &Issuers,
        load_balancers: &LoadBalancers,
    ) -> Option<()> {
        let deployed_to = |is_meant: fn(&Provider) -> bool| {
            let mut names = certificate.deploy.iter().map(|deploy| &deploy.load_balancer);
            names.find(|one| provider(load_balancers, one).is_some_and(is_meant))
        };
        if let Some(load_balancer) = deployed_to(is_certificates_service)
            && let Err(hint) = certificates_service_takes(certificate.version.key)
        {
            let key = certificate.version.key;
            let message =
                format!("the Certificates service, which `{load_balancer}` has its certificates from, has no {key}");
            let at = written.key.as_ref().map_or(name.at, |key| key.at);
            return self.refuse(at, message, hint);
        }
        let load_balancer = deployed_to(needs_common_name)?;
        if certificate.version.names.iter().all(|name| name.ip().is_some()) {
            let message = format!(
                "certificate `{}` needs a common name on `{load_balancer}`, and an IP address cannot be one",
                name.value
            );
            return self.refuse(name.at, message, "add a host name of the same site to `names`");
        }
        if certificate.version.common_name().is_none() {
            let message = format!(
                "certificate `{}` needs a common name on `{load_balancer}`, and none of its names has at most {} letters",
                name.value,
                VersionSpec::LONGEST_COMMON_NAME
            );
            return self.refuse(name.at, message, "add a shorter name of the same site to `names`");
        }
        self.keeps_common_name(name.at, &certificate.version.issuer, issuers, &format!("`{load_balancer}`"))
    }

    /// Whether the issuer's profile keeps the common name, as far as it is known.
    pub(super) fn keeps_common_name(
        &mut self,
        at: Position,
        issuer: &IssuerName,
        issuers: &Issuers,
        load_balancer: &str,
    ) -> Option<()> {
        let config = &issuers.get(issuer.as_str())?.as_ref()?.1;
        let nameless = config.profile.as_deref().filter(|profile| NAMELESS_PROFILES.contains(profile));
        let Some(profile) = nameless.filter(|_| is_lets_encrypt(config)) else { return Some(()) };
        let message = format!(
            "profile `{profile}` of issuer `{issuer}` gives certificates without a common name, which {load_balancer} does \
             not import"
        );
        self.refuse(at, message, "use an issuer with `profile: classic`")
    }
}

fn provider<'a>(load_balancers: &'a LoadBalancers, name: &LoadBalancerName) -> Option<&'a Provider> {
    load_balancers.get(name.as_str()).and_then(Option::as_ref).map(|(_, config)| &config.provider)
}

fn is_certificates_service(provider: &Provider) -> bool {
    matches!(provider, Provider::Oci(oci) if matches!(oci.hold, Hold::CertificatesService { .. }))
}

fn needs_common_name(provider: &Provider) -> bool {
    matches!(provider, Provider::Avi(_)) || is_certificates_service(provider)
}

/// Let's Encrypt's profiles without a common name.
const NAMELESS_PROFILES: [&str; 2] = ["tlsserver", "shortlived"];
