//! The operator's commands for Avi, against the lab's controller.

mod install;
mod looking;
mod refusals;
mod script_run;

use std::net::SocketAddr;
use std::path::PathBuf;

use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_lab::pki::Pki;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dns;
use crate::parts::ReservedPorts;
use crate::stage::{Ended, RESOLVER_FILE, certferry};

pub(super) const NAME: &str = "www.some-domain.test";
pub(super) const ADMIN_PASSWORD: &str = "admins-own-password-0123";
pub(super) const PASSWORD: &str = "hunter2&-certferry-0123";
pub(super) const TOKEN: &str = "sesame-0123456789-0123456789-token";

/// The virtual service that is made for port 80.
pub(super) const SIBLING: &str = "shop-443-certferry-acme";

/// An administrator's login, as tests write it.
pub(super) const LOGIN: [&str; 4] = ["--as", "admin", "--password", "file:admin.password"];

/// The command that most tests are about.
pub(super) const INSTALL: [&str; 3] = ["avi", "install-control-script", "edge"];

/// A controller with a virtual service `shop-443` and nothing of certferry's, a CA, a folder with config and secrets.
pub(super) struct AviStage {
    pub(super) folder: TempDir,
    pub(super) lab: AviLab,
    pub(super) ca: AcmeCa,
    /// Of responder and API.
    ports: ReservedPorts<2>,
}

impl AviStage {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = AviOptions { admin_password: ADMIN_PASSWORD.to_owned(), ..AviOptions::default() };
        let lab = AviLab::start(options).await.unwrap();
        let by_hand = Pki::new().unwrap().issue(&[NAME], 30).unwrap();
        let pair = json!({"name": "by-hand", "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
            "certificate": {"certificate": by_hand.chain_pem}, "key": by_hand.private_key_pem});
        lab.create("admin", "sslkeyandcertificate", pair).unwrap();
        let vip = json!({"name": "shop", "vip": [{"vip_id": "0", "ip_address": {"addr": VIP, "type": "V4"}}]});
        lab.create("admin", "vsvip", vip).unwrap();
        let shop = json!({"name": "shop-443", "vsvip_ref": "/api/vsvip?name=shop",
            "application_profile_ref": "/api/applicationprofile?name=System-HTTP",
            "services": [{"port": 443, "enable_ssl": true}],
            "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate?name=by-hand"]});
        lab.create("admin", "virtualservice", shop).unwrap();
        let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
        let stage = Self { folder, ca, ports: ReservedPorts::new(), lab };
        stage.ca.resolve_all_to(stage.address(80), stage.address(443));
        for (name, text) in [
            ("admin.password", ADMIN_PASSWORD),
            ("avi.password", PASSWORD),
            ("edge.token", TOKEN),
            ("ca.pem", stage.ca.trusted_root_pem()),
            ("controller.pem", stage.lab.trusted_roots_pem()),
        ] {
            stage.write(name, text);
        }
        stage.write(RESOLVER_FILE, &dns::answering(VIP.parse().unwrap()).to_string());
        stage.configure(|text| text);
        stage
    }

    /// Where a port of the VIP really listens.
    pub(super) fn address(&self, port: u16) -> SocketAddr {
        self.lab.data_plane_address(VIP.parse().unwrap(), port).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Where certferry's API is to be.
    pub(super) fn api(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.numbers()[1]).into()
    }

    /// Writes the config, changed by `change`.
    pub(super) fn configure(&self, change: impl FnOnce(String) -> String) {
        let (api, responder) = (self.api(), self.ports.numbers()[0]);
        let text = format!(
            "responder: {{ listen: 127.0.0.1:{responder} }}\n\
             api: {{ listen: {api}, url: https://{api} }}\n\
             issuers:\n  ca: {{ directory: {directory}, trusted-roots: ca.pem }}\n\
             load-balancers:\n  edge:\n    avi:\n      controller: {controller}\n      username: certferry\n      \
             password: file:avi.password\n      trusted-roots: controller.pem\n      \
             http01: {{ keep: true, probe: [{http}], self-check-within: 20s }}\n      \
             control-script: {{ token: file:edge.token }}\n\
             certificates:\n  www:\n    names: [{NAME}]\n    deploy:\n      \
             - {{ load-balancer: edge, listener: shop-443, probe: [{https}] }}\n",
            directory = self.ca.directory_url(),
            controller = self.lab.url(),
            http = self.address(80),
            https = self.address(443),
        );
        self.write("certferry.yaml", &change(text));
    }

    pub(super) async fn certferry(&self, arguments: &[&str]) -> Ended {
        certferry(self.folder.path(), arguments).await
    }

    /// `avi install-control-script edge` as an administrator.
    pub(super) async fn install(&self, arguments: &[&str]) -> Ended {
        self.certferry(&[&INSTALL[..], &LOGIN, arguments].concat()).await
    }

    /// Makes the limited user with the role that `policy` prints.
    pub(super) async fn make_user(&self) {
        let policy = self.certferry(&["policy", "edge", "--output", "json"]).await.expect_exit(0).json();
        self.lab.create("admin", "role", policy["role"].clone()).unwrap();
        let user = json!({"username": "certferry", "password": PASSWORD, "local": true, "is_superuser": false,
            "default_tenant_ref": "/api/tenant?name=admin",
            "access": [{"role_ref": "/api/role?name=certferry", "tenant_ref": "/api/tenant?name=admin"}]});
        self.lab.create("admin", "user", user).unwrap();
    }

    /// What an object really is, secrets and all.
    pub(super) fn stored(&self, kind: &str, name: &str) -> Value {
        self.lab.stored(kind, name).unwrap()
    }

    /// A parameter of the certificate management profile, secret or not.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let profile = self.stored("certificatemanagementprofile", "certferry");
        let parameters = profile["script_params"].as_array().unwrap();
        let found = parameters.iter().find(|parameter| parameter["name"] == name)?;
        Some(found["value"].as_str().unwrap().to_owned())
    }

    /// How many calls there were that change something.
    pub(super) fn writes(&self) -> usize {
        let is_write = |operation: &str| !["POST login", "POST logout"].contains(&operation);
        let calls = self.lab.requests();
        calls.iter().filter(|call| call.method != "GET" && is_write(&call.operation)).count()
    }
}

const VIP: &str = "203.0.113.10";
