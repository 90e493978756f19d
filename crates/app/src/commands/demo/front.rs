//! The OCI load balancer of the demo, as its owner left it, and what is on it.

use std::net::SocketAddr;
use std::path::Path;

use certferry_core::{DnsName, Error};
use certferry_lab::oci_load_balancer::{KeyLabel, LoadBalancerSpec, OciLab, OciOptions, certificate_entry};
use certferry_lab::pki::Issued;
use serde_json::{Value, json};

use crate::commands::demo::seen::{Bundle, BundleKind, Seen, SeenListener};
use crate::commands::demo::stage::{lab_error, lab_failed};
use crate::failure::Failure;

/// Its name in the config.
const NAME: &str = "front";

/// Its TLS listeners.
const LISTENERS: [(&str, u16); 2] = [("admin", 8443), ("https", 443)];

pub(super) struct Front {
    lab: OciLab,
    id: String,
    server_name: DnsName,
}

impl Front {
    /// Two listeners with settings of their own, one of which certferry has never heard of, and a certificate uploaded by
    /// hand.
    pub(super) async fn set(server_name: DnsName, by_hand: &Issued) -> Result<Self, Failure> {
        let lab = OciLab::start(OciOptions::default()).await.map_err(lab_failed)?;
        let id = lab.add_load_balancer(before(server_name.as_str(), by_hand)).map_err(lab_failed)?;
        Ok(Self { lab, id, server_name })
    }

    /// Its entry in the config; the API key that it names is put into `folder`.
    pub(super) fn entry(&self, folder: &Path, responder: SocketAddr) -> Result<String, Failure> {
        let key = self.lab.new_api_key().map_err(lab_failed)?;
        let files = key.write_config(folder, KeyLabel::Absent).map_err(lab_failed)?;
        Ok(format!(
            "  {NAME}:
    oci:
      load-balancer-id: {id}
      auth: {{ api-key: {{ config-file: {config}, profile: DEFAULT }} }}
      endpoint: {endpoint}
      http01:
        listener: http
        responder: {responder}
        backend-set: certferry-acme
        health-check: tcp
        probe: [{http}]               # the lab's port 80
",
            id = self.id,
            config = files.config.file_name().unwrap_or_default().to_string_lossy(),
            endpoint = self.lab.endpoint(),
            http = self.address(80)?,
        ))
    }

    /// Its entries under `deploy`.
    pub(super) fn deploys(&self) -> Result<String, Failure> {
        let entry = |(listener, port)| {
            let probe = self.address(port)?;
            Ok(format!("      - {{ load-balancer: {NAME}, listener: {listener}, probe: [{probe}] }}\n"))
        };
        LISTENERS.into_iter().map(entry).collect()
    }

    /// Where a port of it really listens.
    pub(super) fn address(&self, port: u16) -> Result<SocketAddr, Error> {
        self.lab.data_plane_address(&self.id, port).map_err(lab_error)
    }

    /// All of it, as GetLoadBalancer shows it.
    pub(super) fn seen(&self) -> Result<Seen, Error> {
        let all = self.lab.load_balancer(&self.id).map_err(lab_error)?;
        let mut seen = Seen::new(NAME, self.server_name.clone());
        for (listener, port) in LISTENERS {
            seen.listeners.push(SeenListener {
                name: listener,
                address: self.address(port)?,
                bundle: bundle_of(&all["listeners"][listener]).to_owned(),
                object: format!("listener `{listener}`"),
            });
        }
        for (field, value) in all.as_object().into_iter().flatten() {
            match value.as_object().filter(|objects| objects.values().all(Value::is_object)) {
                Some(bundles) if field == "certificates" => {
                    let bundle = |(name, bundle): (&String, &Value)| {
                        let certificate = text(&bundle["publicCertificate"]);
                        (name.clone(), Bundle { id: name.clone(), certificate, kind: BundleKind::WithKey })
                    };
                    seen.bundles.extend(bundles.iter().map(bundle));
                }
                Some(objects) => {
                    let objects = objects.iter().map(|(name, object)| (label(field, name), without_bundle(object)));
                    seen.others.extend(objects);
                }
                None => drop(seen.others.insert(format!("field `{field}`"), value.clone())),
            }
        }
        Ok(seen)
    }
}

fn bundle_of(listener: &Value) -> &str {
    listener["sslConfiguration"]["certificateName"].as_str().unwrap_or_default()
}

/// What certferry manages is left out.
fn without_bundle(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(ssl) = object.get_mut("sslConfiguration").and_then(Value::as_object_mut) {
        ssl.remove("certificateName");
    }
    object
}

/// ``backend set `app` `` for an entry of `backendSets`.
fn label(field: &str, name: &str) -> String {
    let mut words = String::new();
    for letter in field.trim_end_matches('s').chars() {
        if letter.is_uppercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    format!("{words} `{name}`")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn before(server_name: &str, by_hand: &Issued) -> LoadBalancerSpec {
    let ssl = json!({
        "certificateName": "by-hand-2025",
        "protocols": ["TLSv1.2", "TLSv1.3"],
        "cipherSuiteName": "oci-tls-12-13-wider-ssl-cipher-suite-v1",
        "serverOrderPreference": "ENABLED",
        "verifyPeerCertificate": false,
        "verifyDepth": 1,
        "hasSessionResumption": true,
    });
    LoadBalancerSpec::new(NAME).configured(json!({
        "certificates": {
            "by-hand-2025": certificate_entry("by-hand-2025", &by_hand.chain_pem, &by_hand.private_key_pem),
        },
        "backendSets": {
            "app": {
                "policy": "ROUND_ROBIN",
                "backends": [],
                "healthChecker": { "protocol": "TCP", "port": 8080 },
            },
        },
        "hostnames": { "www": { "name": "www", "hostname": server_name } },
        "ruleSets": {
            "hsts": {
                "name": "hsts",
                "items": [{
                    "action": "ADD_HTTP_RESPONSE_HEADER",
                    "header": "strict-transport-security",
                    "value": "max-age=63072000",
                }],
            },
        },
        "listeners": {
            "https": {
                "name": "https", "port": 443, "protocol": "HTTP", "defaultBackendSetName": "app",
                "hostnameNames": ["www"], "ruleSetNames": ["hsts"],
                "connectionConfiguration": { "idleTimeout": 300 },
                "sslConfiguration": ssl.clone(),
                "fieldOfNextYear": { "kept": true },
            },
            "admin": {
                "name": "admin", "port": 8443, "protocol": "HTTP", "defaultBackendSetName": "app",
                "connectionConfiguration": { "idleTimeout": 60 },
                "sslConfiguration": ssl,
            },
        },
    }))
}
