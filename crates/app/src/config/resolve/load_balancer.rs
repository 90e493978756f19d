//! Load balancers.

use std::collections::BTreeMap;
use std::time::Duration;

use certferry_core::LoadBalancerName;
use certferry_providers::load_balancer::oci::{HealthCheck, Hold, Http01Config, OciConfig};

use super::Resolver;
use crate::config::file;
use crate::config::resolved::{LoadBalancer, Provider};
use crate::config::spanned::Spanned;

impl Resolver<'_> {
    pub(super) fn load_balancer(
        &mut self,
        name: &Spanned<String>,
        written: &file::LoadBalancer,
    ) -> Option<(LoadBalancerName, LoadBalancer)> {
        let parsed: Option<LoadBalancerName> = self.parsed(name, "choose another name");
        let retry_within = self.limit(written.retry_within.as_ref(), RETRY_LIMIT);
        let (mut provider, self_check_within) = match (&written.oci, &written.avi) {
            (Some(oci), None) => {
                let within = oci.value.http01.as_ref().and_then(|http01| http01.self_check_within.as_ref());
                (self.oci(oci).map(|oci| Provider::Oci(Box::new(oci))), self.limit(within, DEFAULT_LIMIT))
            }
            (None, Some(avi)) => {
                let within = avi.value.http01.as_ref().and_then(|http01| http01.self_check_within.as_ref());
                (self.avi(avi).map(|avi| Provider::Avi(Box::new(avi))), self.limit(within, DEFAULT_LIMIT))
            }
            (Some(_), Some(_)) => {
                return self.refuse(
                    name.at,
                    format!("load balancer `{}` is of two kinds, `oci` and `avi`", name.value),
                    "give each load balancer a name of its own",
                );
            }
            (None, None) => {
                return self.refuse(
                    name.at,
                    format!("load balancer `{}` does not say what it is", name.value),
                    "add `oci:` below it, with `load-balancer-id`, or `avi:`, with `controller`",
                );
            }
        };
        match &mut provider {
            Some(Provider::Avi(avi)) => avi.limits.retry = retry_within?,
            Some(Provider::Oci(oci)) => oci.access.limits.retry = retry_within?,
            None => {}
        }
        let verify_limit = match &provider {
            Some(Provider::Oci(oci)) if oci.hold != Hold::LoadBalancer => FETCH_LIMIT,
            _ => DEFAULT_LIMIT,
        };
        let verify_within = self.limit(written.verify_within.as_ref(), verify_limit);
        let load_balancer = LoadBalancer {
            provider: provider?,
            control_script: None,
            verify_within: verify_within?,
            self_check_within: self_check_within?,
        };
        Some((parsed?, load_balancer))
    }

    fn oci(&mut self, written: &Spanned<file::Oci>) -> Option<OciConfig> {
        let load_balancer_id = self.parsed(
            &written.value.load_balancer_id,
            "it is on the load balancer's page in the console, or in `oci lb load-balancer list`",
        );
        let access = self.oci_access(written.value.auth.as_ref(), written.value.endpoint.as_ref(), written.at);
        let hold = self.oci_hold(&written.value);
        let http01 = match &written.value.http01 {
            Some(http01) => self.oci_http01(http01).map(Some),
            None => Some(None),
        };
        Some(OciConfig {
            load_balancer_id: load_balancer_id?,
            access: access?,
            hold: hold?,
            http01: http01?,
            create: BTreeMap::new(),
        })
    }

    fn oci_hold(&mut self, written: &file::Oci) -> Option<Hold> {
        let compartment = self.ocid(written.compartment.as_ref(), &["ocid1.compartment.", "ocid1.tenancy."])?;
        let hold = written.hold.as_ref().map_or("load-balancer", |hold| hold.value.as_str());
        match (hold, &written.compartment, &written.hold) {
            ("certificates-service", ..) => Some(Hold::CertificatesService { compartment }),
            ("load-balancer", None, _) => Some(Hold::LoadBalancer),
            ("load-balancer", Some(needless), _) => self.refuse(
                needless.at,
                "`compartment` is where the Certificates service keeps certificates, which does not hold these",
                "remove it, or write `hold: certificates-service`",
            ),
            (_, _, Some(hold)) => self.refuse(
                hold.at,
                format!("`{}` holds no certificates", hold.value),
                "write `load-balancer` or `certificates-service`",
            ),
            (_, _, None) => None,
        }
    }

    fn oci_http01(&mut self, written: &file::OciHttp01) -> Option<Http01Config> {
        let listener = match &written.listener {
            Some(listener) => self.parsed(listener, "write the listener's name as the load balancer has it"),
            None => "http".parse().ok(),
        };
        let responder = self.address(&written.responder, "10.0.0.4:8080");
        let responder = responder.and_then(|address| match address.ip().is_unspecified() {
            true => self.refuse(
                written.responder.at,
                format!("no load balancer can send requests to {}", address.ip()),
                "write the address at which the load balancer reaches this machine",
            ),
            false => Some(address),
        });
        let backend_set = match &written.backend_set {
            Some(name) => self.oci_name(name, "backend set"),
            None => Some("certferry-acme".to_owned()),
        };
        let health_check = match &written.health_check {
            Some(check) => self.parsed(check, "`tcp/22` suits a responder that runs only during `certferry apply`"),
            None => Some(HealthCheck::Tcp),
        };
        let probe = self.addresses(&written.probe, "127.0.0.1:8080");
        Some(Http01Config {
            listener: listener?,
            responder: responder?,
            backend_set: backend_set?,
            health_check: health_check?,
            probe,
        })
    }

    /// A name for something that may have to be made on an OCI load balancer.
    pub(super) fn oci_name(&mut self, written: &Spanned<String>, kind: &str) -> Option<String> {
        let name = written.value.as_str();
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if letters && (1..=32).contains(&name.len()) {
            return Some(name.to_owned());
        }
        self.refuse(
            written.at,
            format!("`{name}` cannot be the name of a {kind}"),
            "OCI allows 1 to 32 letters, digits, `-` and `_`",
        )
    }
}

const RETRY_LIMIT: Duration = Duration::from_secs(5 * 60);
const DEFAULT_LIMIT: Duration = Duration::from_secs(120);

/// A load balancer fetches a new version from the Certificates service within minutes.
const FETCH_LIMIT: Duration = Duration::from_secs(15 * 60);
