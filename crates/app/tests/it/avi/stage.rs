//! A stage for whole-program tests of Avi: the lab's controller with one VIP in use, a user who may do no more than
//! `certferry policy` says, a config in a folder that goes away, and the real binary.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use certferry_lab::avi_controller::{AviLab, AviOptions, Ports, RequestRecord};
use certferry_lab::pki::{Pki, PkiKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dns;
use crate::parts::ReservedPorts;
use crate::parts::openssl::{self, Served};
use crate::stage::{Ended, Issuer, LabCa, RESOLVER_FILE, SERVER_NAME, certferry};

/// The virtual service with nothing but port 443.
pub(crate) const SHOP: &str = "shop-443";

/// The virtual service on port 80 that sends clients to https.
pub(crate) const REDIRECT: &str = "shop-80";

/// A parent of virtual hosts, and its children.
pub(crate) const PARENT: &str = "shared";
pub(crate) const CHILD: &str = "child";
pub(crate) const SISTER: &str = "sister";

/// The name that [`SISTER`] and its certificate are for.
pub(crate) const SISTER_NAME: &str = "sister.some-domain.test";

/// The certificates that virtual services have before certferry comes.
pub(crate) const BY_HAND: [&str; 2] = ["by-hand-ec", "by-hand-rsa"];

const USER: &str = "certferry";
const PASSWORD: &str = "hunter2&=+ \u{fc}";
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
const BYSTANDER_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

/// A controller, a folder, and the binary.
pub(crate) struct AviStage {
    pub(crate) folder: TempDir,
    pub(crate) lab: AviLab,
    /// The address of every virtual service of the stage but the bystander.
    pub(crate) vip: IpAddr,
    responder: ReservedPorts<1>,
}

impl AviStage {
    /// With [`SHOP`].
    pub(crate) async fn new() -> Self {
        Self::bare().await.with_shop()
    }

    /// With a VIP, certificates made by hand, and a virtual service at another address that is nobody's business here.
    pub(crate) async fn bare() -> Self {
        Self::with(AviOptions::default(), VIP, BYSTANDER_VIP).await
    }

    /// The same where the VIPs are addresses of loopback with their real ports.
    pub(crate) async fn on_real_ports(vip: Ipv4Addr, bystander: Ipv4Addr) -> Self {
        let options = AviOptions { ports: Ports::Exact, ..AviOptions::default() };
        Self::with(options, vip.into(), bystander.into()).await
    }

    async fn with(options: AviOptions, vip: IpAddr, bystander: IpAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = AviLab::start(options).await.unwrap();
        let stage = Self { folder, lab, vip, responder: ReservedPorts::new() };
        for (name, address) in [("shop-vip", vip), ("bystander-vip", bystander)] {
            let address = json!({"addr": address.to_string(), "type": "V4"});
            stage.add("vsvip", json!({"name": name, "vip": [{"vip_id": "0", "ip_address": address}]}));
        }
        for (name, key) in BY_HAND.into_iter().zip([PkiKey::Ecdsa, PkiKey::Rsa]) {
            stage.add_certificate(name, &[SERVER_NAME], key);
        }
        stage.add("httppolicyset", policy_set_of_somebody_else());
        stage.add_virtual_service(
            "bystander",
            json!({
                "vsvip_ref": "/api/vsvip?name=bystander-vip", "services": [{"port": 443, "enable_ssl": true}],
                "ssl_key_and_certificate_refs": by_hand(),
            }),
        );
        // The role is what the config asks for, so it comes with the config.
        let role = stage.add("role", json!({"name": USER, "privileges": []}));
        stage.add(
            "user",
            json!({"username": USER, "full_name": USER, "password": PASSWORD, "local": true,
            "is_superuser": false, "default_tenant_ref": "/api/tenant?name=admin",
            "access": [{"role_ref": format!("/api/role/{role}"), "tenant_ref": "/api/tenant?name=admin"}]}),
        );
        std::fs::write(stage.path("controller.pem"), stage.lab.trusted_roots_pem()).unwrap();
        std::fs::write(stage.path("password"), PASSWORD).unwrap();
        if let IpAddr::V4(vip) = vip {
            std::fs::write(stage.path(RESOLVER_FILE), dns::answering(vip).to_string()).unwrap();
        }
        stage
    }

    /// Adds [`SHOP`]: TLS on port 443 and nothing on port 80, both kinds of keys, a policy set of somebody else's, and
    /// fields that nobody has heard of.
    pub(crate) fn with_shop(self) -> Self {
        self.add_virtual_service(
            SHOP,
            json!({
                "vsvip_ref": "/api/vsvip?name=shop-vip",
                "application_profile_ref": "/api/applicationprofile?name=System-Secure-HTTP",
                "services": [{"port": 443, "enable_ssl": true}],
                "ssl_key_and_certificate_refs": by_hand(),
                "http_policies": [{"index": 11, "http_policy_set_ref": "/api/httppolicyset?name=of-somebody-else"}],
            }),
        );
        self
    }

    /// Adds [`REDIRECT`] on port 80 of the same address, with this application profile.
    pub(crate) fn with_redirect(self, profile: &str) -> Self {
        self.add_virtual_service(
            REDIRECT,
            json!({
                "vsvip_ref": "/api/vsvip?name=shop-vip", "services": [{"port": 80}],
                "application_profile_ref": format!("/api/applicationprofile?name={profile}"),
            }),
        );
        self
    }

    /// Adds an SNI parent with TLS on port 443, a child for these names, and a sister of it. Each has certificates of its
    /// own.
    pub(crate) fn with_sni_child(self, names: &[&str]) -> Self {
        self.add_certificate("of-the-sister", &[SISTER_NAME], PkiKey::Ecdsa);
        self.add_parent("VS_TYPE_VH_SNI", by_hand());
        let profile = "/api/applicationprofile?name=System-Secure-HTTP";
        for (child, names, certificates) in
            [(CHILD, names, by_hand()), (SISTER, &[SISTER_NAME], vec![certificate("of-the-sister")])]
        {
            self.add_virtual_service(
                child,
                json!({
                    "type": "VS_TYPE_VH_CHILD", "vh_type": "VS_TYPE_VH_SNI", "application_profile_ref": profile,
                    "vh_parent_vs_ref": format!("/api/virtualservice?name={PARENT}"), "vh_domain_name": names,
                    "ssl_key_and_certificate_refs": certificates,
                }),
            );
        }
        self
    }

    /// Adds a parent of enhanced virtual hosting with TLS on port 443 and the certificates of all children, a child for
    /// this name, and a sister of it.
    pub(crate) fn with_evh_child(self, name: &str) -> Self {
        self.add_certificate("of-the-sister", &[SISTER_NAME], PkiKey::Ecdsa);
        self.add_parent("VS_TYPE_VH_ENHANCED", [vec![certificate("of-the-sister")], by_hand()].concat());
        for (child, name) in [(CHILD, name), (SISTER, SISTER_NAME)] {
            let path = json!({"match_criteria": "BEGINS_WITH", "match_case": "SENSITIVE", "match_str": ["/"]});
            self.add_virtual_service(
                child,
                json!({
                    "type": "VS_TYPE_VH_CHILD", "vh_type": "VS_TYPE_VH_ENHANCED",
                    "vh_parent_vs_ref": format!("/api/virtualservice?name={PARENT}"),
                    "vh_matches": [{"host": name, "rules": [{"name": "all", "matches": {"path": path}}]}],
                }),
            );
        }
        self
    }

    fn add_parent(&self, kind: &str, certificates: Vec<String>) {
        self.add_virtual_service(
            PARENT,
            json!({
                "type": "VS_TYPE_VH_PARENT", "vh_type": kind, "vsvip_ref": "/api/vsvip?name=shop-vip",
                "services": [{"port": 443, "enable_ssl": true}], "ssl_key_and_certificate_refs": certificates,
            }),
        );
    }

    /// Adds a virtual service with two fields that no schema has.
    fn add_virtual_service(&self, name: &str, mut fields: Value) {
        fields["name"] = json!(name);
        fields["ssl_profile_ref"] = json!("/api/sslprofile?name=System-Standard");
        fields["not_invented_yet"] = json!({"depth": [1, 2, {"three": true}]});
        fields["nor_this"] = json!(4_503_599_627_370_497_u64);
        self.add("virtualservice", fields);
    }

    /// Adds a certificate that a person made.
    pub(crate) fn add_certificate(&self, name: &str, names: &[&str], key: PkiKey) -> String {
        let made = Pki::new().unwrap().issue_with(names, 90, key).unwrap();
        self.add(
            "sslkeyandcertificate",
            json!({
                "name": name, "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE", "key": made.private_key_pem,
                "certificate": {"certificate": made.chain_pem},
            }),
        )
    }

    /// Adds any object as an administrator does; gives its uuid.
    pub(crate) fn add(&self, kind: &str, object: Value) -> String {
        self.lab.create("admin", kind, object).unwrap()
    }

    /// A CA of the lab whose validation requests go to the VIP.
    pub(crate) async fn lab_ca(&self) -> LabCa {
        self.lab_ca_with(AcmeCaOptions::default()).await
    }

    /// The same with options.
    pub(crate) async fn lab_ca_with(&self, options: AcmeCaOptions) -> LabCa {
        let ca = AcmeCa::start(options).await.unwrap();
        ca.resolve_all_to(self.address(80), self.address(443));
        LabCa { ca }
    }

    /// Where a port of the VIP is served; it is this address from the beginning, whoever comes to listen there.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        self.lab.data_plane_address(self.vip, port).unwrap()
    }

    /// A config with load balancer `edge` and issuer `ca`; `certificates` is YAML under that key.
    pub(crate) fn config(&self, issuer: &Issuer, certificates: impl Into<String>) -> AviConfigText {
        AviConfigText {
            issuers: Vec::new(),
            http01: format!("        probe: [{}]\n", self.address(80)),
            load_balancer: "    verify-within: 20s\n".to_owned(),
            certificates: certificates.into(),
        }
        .issuer("ca", issuer)
    }

    /// Writes the config for [`SHOP`] with certificate `www`.
    pub(crate) async fn configure_www(&self, issuer: &Issuer) {
        self.configure(&self.config(issuer, self.www())).await;
    }

    /// Writes the config, and gives the user the role that the binary prints for it.
    pub(crate) async fn configure(&self, config: &AviConfigText) {
        for (name, issuer) in &config.issuers {
            std::fs::write(self.path(&format!("{name}.pem")), &issuer.trusted_root_pem).unwrap();
        }
        let issuers = config.issuers.iter().map(|(name, issuer)| {
            format!("  {name}:\n    directory: {}\n    trusted-roots: {name}.pem\n", issuer.directory_url)
        });
        let text = format!(
            "responder:\n  listen: 127.0.0.1:{}\nissuers:\n{}load-balancers:\n  edge:\n    avi:\n      controller: {}\n      \
             username: {USER}\n      password: file:password\n      trusted-roots: controller.pem\n      http01:\n        \
             self-check-within: 20s\n{}{}certificates:\n{}",
            self.responder.numbers()[0],
            issuers.collect::<String>(),
            self.lab.url(),
            config.http01,
            config.load_balancer,
            config.certificates,
        );
        std::fs::write(self.path("certferry.yaml"), text).unwrap();
        let printed = self.certferry(&["policy", "edge"]).await.expect_exit(0).stdout();
        let role: Value = serde_json::from_str(printed.split("\n\n").next().unwrap()).unwrap();
        self.lab.edit("role", USER, move |stored| stored["privileges"] = role["privileges"].clone()).unwrap();
    }

    /// Where the config's responder listens.
    pub(crate) fn responder(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.responder.numbers()[0]))
    }

    /// A deploy entry, with the probe where port 443 of the VIP really is.
    pub(crate) fn deploy(&self, listener: &str) -> String {
        format!("      - {{ load-balancer: edge, listener: {listener}, probe: [{}] }}\n", self.address(443))
    }

    /// A certificate for these names on one listener; `more` are further lines of its entry.
    pub(crate) fn certificate(&self, name: &str, names: &[&str], listener: &str, more: &str) -> String {
        format!("  {name}:\n    names: [{}]\n{more}    deploy:\n{}", names.join(", "), self.deploy(listener))
    }

    /// Certificate `www` for [`SERVER_NAME`] on [`SHOP`].
    pub(crate) fn www(&self) -> String {
        self.certificate("www", &[SERVER_NAME], SHOP, "")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the binary to its end.
    pub(crate) async fn certferry(&self, arguments: &[&str]) -> Ended {
        certferry(self.folder.path(), arguments).await
    }

    /// Runs `apply`, which must end well.
    pub(crate) async fn apply(&self) -> Ended {
        self.certferry(&["apply"]).await.expect_exit(0)
    }

    /// The steps of `plan`.
    pub(crate) async fn plan(&self) -> Vec<Value> {
        let plan = self.certferry(&["plan", "--output", "json"]).await.json();
        plan["steps"].as_array().unwrap().clone()
    }

    /// What `status` says of a certificate.
    pub(crate) async fn status(&self, certificate: &str) -> Value {
        let status = self.certferry(&["status", "--output", "json"]).await.expect_exit(0).json();
        let certificates = status["certificates"].as_array().unwrap();
        certificates.iter().find(|one| one["name"] == certificate).unwrap().clone()
    }

    /// The serial that `status` says is issued for a certificate.
    pub(crate) async fn issued_serial(&self, certificate: &str) -> String {
        self.status(certificate).await["issued"]["serial"].as_str().unwrap().to_owned()
    }

    /// What openssl gets on port 443 for a name.
    pub(crate) async fn served(&self, server_name: &str) -> Served {
        openssl::served(self.address(443), server_name).await.unwrap()
    }

    /// The names of the certificates that a virtual service refers to, in its order.
    pub(crate) fn bound(&self, virtual_service: &str) -> Vec<String> {
        let service = self.lab.object("virtualservice", virtual_service).unwrap();
        let refs = service["ssl_key_and_certificate_refs"].as_array().cloned().unwrap_or_default();
        let uuids = refs.iter().map(|one| one.as_str().unwrap().rsplit('/').next().unwrap());
        uuids
            .map(|uuid| self.lab.object("sslkeyandcertificate", uuid).unwrap()["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Every object of the tenant, by type and name, without the time of its last change.
    pub(crate) fn objects(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for kind in KINDS {
            for mut object in self.lab.objects(kind).unwrap() {
                object.as_object_mut().unwrap().remove("_last_modified");
                let label = format!("{kind} {}", object["name"].as_str().unwrap_or_default());
                assert!(all.insert(label.clone(), object).is_none(), "two are called {label}");
            }
        }
        all
    }

    /// Every write of certferry so far, refused ones too. What only asks for rights, by deleting what cannot be there, is
    /// none.
    pub(crate) fn writes(&self) -> Vec<RequestRecord> {
        let is_write = |record: &RequestRecord| {
            let asks_for_rights =
                record.method == "DELETE" && record.target.ends_with("-00000000-0000-0000-0000-000000000000");
            record.method != "GET" && !record.target.starts_with("/log") && !asks_for_rights
        };
        self.lab.requests().into_iter().filter(is_write).collect()
    }

    /// How many writes there were on a type of objects.
    pub(crate) fn writes_on(&self, kind: &str) -> usize {
        self.writes().iter().filter(|record| record.operation.split(' ').nth(1) == Some(kind)).count()
    }
}

/// What a config says beyond what every config says.
pub(crate) struct AviConfigText {
    issuers: Vec<(String, Issuer)>,
    http01: String,
    load_balancer: String,
    certificates: String,
}

impl AviConfigText {
    /// One more issuer. With more than one, every certificate has to name its own.
    pub(crate) fn issuer(mut self, name: &str, issuer: &Issuer) -> Self {
        let Issuer { directory_url, trusted_root_pem } = issuer;
        let issuer = Issuer { directory_url: directory_url.clone(), trusted_root_pem: trusted_root_pem.clone() };
        self.issuers.push((name.to_owned(), issuer));
        self
    }

    /// A line under `http01`, such as `keep: true`.
    pub(crate) fn http01(mut self, line: &str) -> Self {
        self.http01.push_str(&format!("        {line}\n"));
        self
    }

    /// Further lines at the end of `load-balancers`, in `edge` or after it.
    pub(crate) fn and(mut self, lines: &str) -> Self {
        self.load_balancer.push_str(lines);
        self
    }

    /// Instead of 20 s.
    pub(crate) fn verify_within(mut self, span: &str) -> Self {
        self.load_balancer = format!("    verify-within: {span}\n");
        self
    }

    /// As people write it: certferry finds every address on the controller.
    pub(crate) fn without_probes(mut self) -> Self {
        self.http01 =
            self.http01.lines().filter(|line| !line.contains("probe:")).map(|line| format!("{line}\n")).collect();
        let (before, after) = (", probe: [", "] }");
        let lines = self.certificates.lines().map(|line| match line.split_once(before) {
            Some((kept, probe)) if probe.ends_with(after) => format!("{kept} }}\n"),
            _ => format!("{line}\n"),
        });
        self.certificates = lines.collect();
        self
    }
}

/// What differs between two snapshots: `+ kind name`, `- kind name`, and `kind name: field` for each field of an object that
/// changed.
pub(crate) fn differences(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    found.extend(before.keys().filter(|label| !after.contains_key(*label)).map(|label| format!("- {label}")));
    found.extend(after.keys().filter(|label| !before.contains_key(*label)).map(|label| format!("+ {label}")));
    for (label, old) in before {
        let Some(new) = after.get(label).filter(|new| *new != old) else { continue };
        let fields: BTreeSet<&String> = [old, new].iter().flat_map(|one| one.as_object().unwrap().keys()).collect();
        found.extend(
            fields.iter().filter(|field| old.get(field) != new.get(field)).map(|field| format!("{label}: {field}")),
        );
    }
    found
}

fn by_hand() -> Vec<String> {
    BY_HAND.map(certificate).to_vec()
}

fn certificate(name: &str) -> String {
    format!("/api/sslkeyandcertificate?name={name}")
}

/// A policy set with a rule that matters: it must go on being evaluated.
fn policy_set_of_somebody_else() -> Value {
    json!({"name": "of-somebody-else", "http_security_policy": {"rules": [{
        "name": "no-admin", "index": 1, "enable": true,
        "match": {"path": {"match_criteria": "BEGINS_WITH", "match_case": "SENSITIVE", "match_str": ["/admin"]}},
        "action": {"action": "HTTP_SECURITY_ACTION_SEND_RESPONSE", "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_403"},
    }]}})
}

/// All types but those of users, who log in and get rights, and the log of events.
const KINDS: [&str; 19] = [
    "alert",
    "alertscriptconfig",
    "analyticsprofile",
    "applicationprofile",
    "certificatemanagementprofile",
    "cloud",
    "controllerproperties",
    "gslbservice",
    "healthmonitor",
    "httppolicyset",
    "networkprofile",
    "pool",
    "poolgroup",
    "serviceenginegroup",
    "sslkeyandcertificate",
    "sslprofile",
    "systemconfiguration",
    "virtualservice",
    "vsvip",
];
