//! One tenant of an Avi controller in the lab, and the provider that drives it as a user with no more than its own role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use certferry_core::observed::Place;
use certferry_core::port::{Bundle, Http01Challenge};
use certferry_core::{BundleName, Chain, Secret, SystemClock};
use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_lab::pki::{Pki, PkiKey};
use certferry_providers::http::Backoff;
use certferry_providers::load_balancer::avi::{
    AviConfig, AviTenant, Credential, Http01Config, Limits, Lookup, Port80, role,
};
use serde_json::{Value, json};

use crate::load_balancer_contract::Subject;

pub(crate) const NAME: &str = "www.some-domain.com";
pub(crate) const VIP: &str = "10.0.0.7";

pub(crate) struct Fixture {
    pub(crate) lab: AviLab,
    pub(crate) edge: AviTenant,
    pub(crate) config: AviConfig,
    bundles: [Bundle; 2],
}

impl Fixture {
    /// With port 80 free, and made and kept by a sibling.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With a config of one's own.
    pub(crate) async fn with(adjust: impl FnOnce(&mut AviConfig)) -> Self {
        let lab = AviLab::start(AviOptions::default()).await.unwrap();
        let old = [
            certificate(&lab, "old-ec", &issue(&Pki::new().unwrap(), PkiKey::Ecdsa)),
            certificate(&lab, "old-rsa", &issue(&Pki::new().unwrap(), PkiKey::Rsa)),
        ];
        let vip = json!({"name": "shop-vip", "vip": [{"vip_id": "0", "ip_address": {"addr": VIP, "type": "V4"}}],
            "dns_info": [{"fqdn": "shop.some-domain.com", "type": "DNS_RECORD_A"}]});
        let vip = lab.create("admin", "vsvip", vip).unwrap();
        let others = lab.create("admin", "httppolicyset", json!({"name": "others"})).unwrap();
        let shop = json!({"name": "shop-443", "vsvip_ref": format!("/api/vsvip/{vip}"),
            "application_profile_ref": "/api/applicationprofile?name=System-Secure-HTTP",
            "services": [{"port": 443, "enable_ssl": true}],
            "ssl_key_and_certificate_refs": old.map(|uuid| format!("/api/sslkeyandcertificate/{uuid}")),
            "ssl_profile_ref": "/api/sslprofile?name=System-Standard",
            "http_policies": [{"index": 11, "http_policy_set_ref": format!("/api/httppolicyset/{others}")}],
            "not_invented_yet": {"depth": [1, 2, {"three": true}]}});
        lab.create("admin", "virtualservice", shop).unwrap();
        let mut config = config(&lab);
        adjust(&mut config);
        let role = lab.create("admin", "role", role(&config)).unwrap();
        let user = json!({"username": "certferry", "full_name": "certferry", "password": "hunter2&", "local": true,
            "is_superuser": false, "default_tenant_ref": "/api/tenant?name=admin",
            "access": [{"role_ref": format!("/api/role/{role}"), "tenant_ref": "/api/tenant?name=admin"}]});
        lab.create("admin", "user", user).unwrap();
        let edge = tenant(&config);
        let pki = Pki::new().unwrap();
        Self { lab, edge, config, bundles: [issue(&pki, PkiKey::Ecdsa), issue(&Pki::new().unwrap(), PkiKey::Ecdsa)] }
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            load_balancer: &self.edge,
            listener: "shop-443".parse().unwrap(),
            new_listener: None,
            bundles: self.bundles.clone(),
        }
    }

    /// The bundle that most tests upload.
    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundles[0]
    }

    /// The next version of it.
    pub(crate) fn next_bundle(&self) -> &Bundle {
        &self.bundles[1]
    }

    /// The virtual service, as the lab itself sees it, without what changes at every write.
    pub(crate) fn shop(&self) -> Value {
        let mut shop = self.lab.object("virtualservice", "shop-443").unwrap();
        shop.as_object_mut().unwrap().remove("_last_modified");
        shop
    }

    /// The names of all objects of a type.
    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let objects = self.lab.objects(kind).unwrap();
        objects.iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn tenant(config: &AviConfig) -> AviTenant {
    AviTenant::new("edge".parse().unwrap(), config.clone(), Arc::new(SystemClock)).unwrap()
}

pub(crate) fn shop_443() -> Place {
    Place::Listener("shop-443".parse().unwrap())
}

pub(crate) fn challenge(token: &str) -> Http01Challenge {
    Http01Challenge {
        url: "https://ca.some-domain.com/challenge/1".to_owned(),
        token: token.to_owned(),
        key_authorization: format!("{token}.thumbprint"),
        untouched: true,
    }
}

/// The config of the fixture's tenant.
pub(crate) fn config(lab: &AviLab) -> AviConfig {
    AviConfig {
        controller: lab.url().parse().unwrap(),
        username: "certferry".to_owned(),
        credential: Credential::Password("hunter2&".to_owned().into()),
        tenant: "admin".to_owned(),
        trusted_roots: Some(lab.trusted_roots_pem().to_owned()),
        listeners: BTreeSet::from(["shop-443".parse().unwrap()]),
        lookup: Lookup::Fixed(BTreeMap::new()),
        http01: Some(Http01Config {
            names: BTreeMap::from([(NAME.parse().unwrap(), vec!["shop-443".parse().unwrap()])]),
            otherwise: Vec::new(),
            port_80: Port80::Sibling,
            keep: true,
            probe: Vec::new(),
        }),
        limits: Limits {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(5),
            retry: Duration::from_secs(20),
            refused_login: Duration::from_secs(60),
            backoff: Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(50) },
        },
    }
}

fn issue(pki: &Pki, key: PkiKey) -> Bundle {
    let issued = pki.issue_with(&[NAME], 90, key).unwrap();
    Bundle {
        name: BundleName::in_place(&"www".parse().unwrap()),
        chain: Chain::parse(&issued.chain_pem).unwrap(),
        private_key: Some(Secret::new(issued.private_key_pem)),
    }
}

fn certificate(lab: &AviLab, name: &str, bundle: &Bundle) -> String {
    let object = json!({"name": name, "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "certificate": {"certificate": bundle.chain.pem()}, "key": bundle.private_key.as_ref().unwrap().expose()});
    lab.create("admin", "sslkeyandcertificate", object).unwrap()
}
