//! The Avi controller of the demo, as its owner left it, and what is on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use certferry_core::{DnsName, Error};
use certferry_engine::CHALLENGE_PATH;
use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_lab::pki::Issued;
use certferry_providers::load_balancer::avi;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::commands::demo::seen::{Bundle, BundleKind, Seen, SeenListener};
use crate::commands::demo::stage::{lab_error, lab_failed, write};
use crate::config::{Config, Provider};
use crate::failure::Failure;

/// Its name in the config.
const NAME: &str = "edge";

/// Its virtual service.
const LISTENER: &str = "shop-443";

/// The address of the virtual service; the lab serves its ports on loopback.
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

/// The user of certferry, who is no administrator.
const USER: &str = "certferry";

/// Of no use anywhere but on the controller of this demo.
const PASSWORD: &str = "only-in-the-demo";

pub(super) struct Edge {
    lab: AviLab,
    server_name: DnsName,
}

impl Edge {
    /// A virtual service with a certificate made by hand, a rule of its owner's and a field that certferry has never heard
    /// of. Nothing listens on its port 80.
    pub(super) async fn set(server_name: DnsName, by_hand: &Issued) -> Result<Self, Failure> {
        let lab = AviLab::start(AviOptions::default()).await.map_err(lab_failed)?;
        for (kind, object) in before(server_name.as_str(), by_hand) {
            lab.create("admin", kind, object).map_err(lab_failed)?;
        }
        Ok(Self { lab, server_name })
    }

    /// Its entry in the config; what it names is put into `folder`.
    pub(super) fn entry(&self, folder: &Path) -> Result<String, Failure> {
        write(&folder.join("controller.pem"), self.lab.trusted_roots_pem())?;
        write(&folder.join("password"), PASSWORD)?;
        Ok(format!(
            "  {NAME}:
    avi:
      controller: {controller}
      username: {USER}           # may do what `certferry policy {NAME}` prints, and no more
      password: file:password
      trusted-roots: controller.pem
      http01: {{ port-80: sibling, probe: [{http}] }}
",
            controller = self.lab.url(),
            http = self.address(80)?,
        ))
    }

    /// Its entry under `deploy`.
    pub(super) fn deploys(&self) -> Result<String, Failure> {
        let probe = self.address(443)?;
        Ok(format!("      - {{ load-balancer: {NAME}, listener: {LISTENER}, probe: [{probe}] }}\n"))
    }

    /// Makes the user of the config, with the role that `certferry policy` prints for it and no more.
    pub(super) fn allow(&self, config: &Config) -> Result<(), Failure> {
        for load_balancer in config.load_balancers.values() {
            let Provider::Avi(avi) = &load_balancer.provider else { continue };
            self.lab.create("admin", "role", avi::role(avi)).map_err(lab_failed)?;
        }
        let access = json!([{"role_ref": "/api/role?name=certferry", "tenant_ref": "/api/tenant?name=admin"}]);
        let user = json!({"username": USER, "password": PASSWORD, "local": true, "access": access});
        self.lab.create("admin", "user", user).map(drop).map_err(lab_failed)
    }

    /// Time passes for the controller.
    pub(super) async fn advance(&self, span: SignedDuration) {
        self.lab.advance_clock(span).await;
    }

    /// Where a port of the virtual service's address really listens.
    pub(super) fn address(&self, port: u16) -> Result<SocketAddr, Error> {
        self.lab.data_plane_address(VIP, port).map_err(lab_error)
    }

    /// All of it, as the controller's API shows it.
    pub(super) fn seen(&self) -> Result<Seen, Error> {
        let mut seen = Seen::new(NAME, self.server_name.clone());
        let mut names = BTreeMap::new();
        for object in self.lab.objects("sslkeyandcertificate").map_err(lab_error)? {
            let is_issuer = object["type"] == "SSL_CERTIFICATE_TYPE_CA";
            let bundle = Bundle {
                id: text(&object["uuid"]),
                certificate: text(&object["certificate"]["certificate"]),
                kind: if is_issuer { BundleKind::Issuer } else { BundleKind::WithKey },
            };
            names.insert(bundle.id.clone(), text(&object["name"]));
            seen.bundles.insert(text(&object["name"]), bundle);
        }
        for (kind, words) in KINDS {
            for mut object in self.lab.objects(kind).map_err(lab_error)? {
                let label = match object["name"].as_str() {
                    Some(name) => format!("{words} `{name}`"),
                    None => words.to_owned(),
                };
                let mut refer = Value::Null;
                if let Some(fields) = object.as_object_mut() {
                    fields.remove("_last_modified");
                    // What certferry manages.
                    refer = fields.remove("ssl_key_and_certificate_refs").unwrap_or_default();
                }
                if object["name"] == LISTENER {
                    seen.listeners.push(self.listener(&label, &refer, &names)?);
                }
                seen.others.insert(label, object);
            }
        }
        seen.passing = self.answered(&seen);
        Ok(seen)
    }

    fn listener(
        &self,
        label: &str,
        references: &Value,
        names: &BTreeMap<String, String>,
    ) -> Result<SeenListener, Error> {
        let references = references.as_array().into_iter().flatten().filter_map(Value::as_str);
        let bundles = references.filter_map(|reference| names.get(reference.rsplit('/').next()?).cloned());
        Ok(SeenListener {
            name: LISTENER,
            address: self.address(443)?,
            bundle: bundles.collect::<Vec<_>>().join(", "),
            object: label.to_owned(),
        })
    }

    /// How many requests for challenges were answered by virtual services that are there no more.
    fn answered(&self, seen: &Seen) -> BTreeMap<String, usize> {
        let mut answered = BTreeMap::new();
        for request in self.lab.data_plane_requests() {
            let object = format!("virtual service `{}`", request.virtual_service_name);
            let is_answer = request.response_code == 200 && request.uri_path.starts_with(CHALLENGE_PATH);
            if is_answer && !seen.others.contains_key(&object) {
                *answered.entry(object).or_default() += 1;
            }
        }
        answered
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The objects of the owner, in the order in which they refer to each other.
fn before(server_name: &str, by_hand: &Issued) -> [(&'static str, Value); 4] {
    let certificate = json!({
        "name": "by-hand-2025",
        "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "certificate": { "certificate": by_hand.chain_pem },
        "key": by_hand.private_key_pem,
    });
    let vip = json!({
        "name": "shop",
        "vip": [{ "vip_id": "0", "ip_address": { "addr": VIP.to_string(), "type": "V4" } }],
        "dns_info": [{ "fqdn": server_name, "type": "DNS_RECORD_A" }],
    });
    let rules = json!({ "name": "rules-of-the-owner" });
    let service = json!({
        "name": LISTENER,
        "vsvip_ref": "/api/vsvip?name=shop",
        "application_profile_ref": "/api/applicationprofile?name=System-Secure-HTTP",
        "services": [{ "port": 443, "enable_ssl": true }],
        "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate?name=by-hand-2025"],
        "ssl_profile_ref": "/api/sslprofile?name=System-Standard",
        "http_policies": [{ "index": 11, "http_policy_set_ref": "/api/httppolicyset?name=rules-of-the-owner" }],
        "field_of_next_year": { "kept": true },
    });
    [("sslkeyandcertificate", certificate), ("vsvip", vip), ("httppolicyset", rules), ("virtualservice", service)]
}

/// What a run could change besides certificates.
const KINDS: [(&str, &str); 13] = [
    ("applicationprofile", "application profile"),
    ("controllerproperties", "controller properties"),
    ("healthmonitor", "health monitor"),
    ("httppolicyset", "HTTP policy set"),
    ("networkprofile", "network profile"),
    ("pool", "pool"),
    ("poolgroup", "pool group"),
    ("role", "role"),
    ("sslprofile", "SSL profile"),
    ("systemconfiguration", "system configuration"),
    ("user", "user"),
    ("virtualservice", "virtual service"),
    ("vsvip", "VIP"),
];
