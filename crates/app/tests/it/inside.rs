//! From inside an Avi controller: it makes key and CSR, its control script asks `certferry daemon`, and it renews by its own
//! clock.

use std::net::SocketAddr;
use std::time::Duration;

use certferry_core::SystemClock;
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions, Answer, Endpoint, Fault};
use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_lab::pki::Pki;
use certferry_providers::load_balancer::avi::{AviConfig, AviTenant, ControlScriptSetup, Credential, role};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::daemon::{daemon, stopped};
use crate::parts::eventually;
use crate::parts::openssl::served;
use crate::parts::pebble::{Pebble, PebbleOptions, PebbleVersion};
use crate::parts::program::Program;

const NAME: &str = "shop.some-domain.test";
const VIP: &str = "10.0.0.7";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "hunter2&-certferry";
const LIMIT: Duration = Duration::from_secs(60);

/// The CA of a test.
enum Ca {
    Lab(AcmeCa),
    Pebble(#[expect(dead_code, reason = "it runs while this lives")] Box<Pebble>),
}

impl Ca {
    fn lab(&self) -> &AcmeCa {
        match self {
            Self::Lab(ca) => ca,
            Self::Pebble(_) => panic!("this test has Pebble"),
        }
    }
}

/// A controller with the control script, a CA, and a daemon.
struct Inside {
    lab: AviLab,
    ca: Ca,
    folder: TempDir,
    daemon: Program,
    _ports: [TcpSocket; 2],
}

impl Inside {
    /// With the lab's CA.
    async fn start(names: &str) -> Self {
        let start = async |http: SocketAddr, https: SocketAddr| {
            let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
            ca.resolve_all_to(http, https);
            (ca.directory_url(), ca.trusted_root_pem().to_owned(), Ca::Lab(ca))
        };
        Self::with(start, names).await
    }

    /// With Pebble 2.4, which keeps the common name as Let's Encrypt's `classic` does.
    async fn with_pebble() -> Self {
        let start = async |http: SocketAddr, _https: SocketAddr| {
            let options = PebbleOptions { version: PebbleVersion::V2_4, ..PebbleOptions::validating_at(http.port()) };
            let pebble = Pebble::start(options).await;
            (pebble.directory_url(), pebble.https_root_pem().to_owned(), Ca::Pebble(Box::new(pebble)))
        };
        Self::with(start, "").await
    }

    async fn with(start_ca: impl AsyncFnOnce(SocketAddr, SocketAddr) -> (String, String, Ca), names: &str) -> Self {
        let lab = AviLab::start(AviOptions::default()).await.unwrap();
        let vip = json!({"name": "shop-vip", "vip": [{"vip_id": "0", "ip_address": {"addr": VIP, "type": "V4"}}],
            "dns_info": [{"fqdn": NAME, "type": "DNS_RECORD_A"}]});
        let vip = lab.create("admin", "vsvip", vip).unwrap();
        let old = Pki::new().unwrap().issue(&[NAME], 30).unwrap();
        let old = json!({"name": "old", "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE", "key": old.private_key_pem,
            "certificate": {"certificate": old.chain_pem}});
        lab.create("admin", "sslkeyandcertificate", old).unwrap();
        let shop = json!({"name": "shop-443", "vsvip_ref": format!("/api/vsvip/{vip}"),
            "application_profile_ref": "/api/applicationprofile?name=System-Secure-HTTP",
            "services": [{"port": 443, "enable_ssl": true}],
            "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate?name=old"]});
        lab.create("admin", "virtualservice", shop).unwrap();
        let port_80 = lab.data_plane_address(VIP.parse().unwrap(), 80).unwrap();
        let port_443 = lab.data_plane_address(VIP.parse().unwrap(), 443).unwrap();
        let (directory, ca_root, ca) = start_ca(port_80, port_443).await;

        let folder = tempfile::tempdir().unwrap();
        let ports = [(); 2].map(|()| reserved());
        let [responder, api] = ports.each_ref().map(|socket| socket.local_addr().unwrap());
        let api_pki = Pki::new().unwrap();
        let certificate = api_pki.issue(&["127.0.0.1"], 30).unwrap();
        for (name, text) in [
            ("ca.pem", ca_root.as_str()),
            ("controller-ca.pem", lab.trusted_roots_pem()),
            ("api.pem", &certificate.chain_pem),
            ("api.key", &certificate.private_key_pem),
            ("password", PASSWORD),
            ("token", TOKEN),
            (
                "certferry.yaml",
                &format!(
                    "\
responder: {{ listen: {responder} }}
api: {{ listen: {api}, url: https://{api}, certificate: api.pem, key: api.key }}
issuers:
  ca: {{ directory: {directory}, trusted-roots: ca.pem }}
load-balancers:
  edge:
    avi:
      controller: {controller}
      username: certferry
      password: file:password
      trusted-roots: controller-ca.pem
      http01: {{ probe: [{port_80}], self-check-within: 20s }}
      control-script: {{ token: file:token{names} }}
certificates: {{}}
",
                    controller = lab.url(),
                ),
            ),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
            private(&folder.path().join(name));
        }
        let config = certferry::config::load(Some(&folder.path().join("certferry.yaml"))).unwrap();
        let certferry::config::Provider::Avi(avi) = &config.load_balancers["edge"].provider else { unreachable!() };
        set_up(&lab, avi, &format!("https://{api}"), api_pki.root_pem()).await;
        let daemon = daemon(folder.path());
        Self { lab, ca, folder, daemon, _ports: ports }
    }

    /// An operator makes a certificate with the profile: its CSR is made on the controller, and the script runs.
    fn create(&self, common_name: &str, key: &str) {
        let object = json!({"name": "shop", "key_params": {"algorithm": format!("SSL_KEY_ALGORITHM_{key}")},
            "certificate": {"subject": {"common_name": common_name}, "subject_alt_names": [common_name]},
            "certificate_management_profile_ref": "/api/certificatemanagementprofile?name=certferry"});
        self.lab.create("admin", "sslkeyandcertificate", object).unwrap();
    }

    fn shown(&self) -> Value {
        self.lab.object("sslkeyandcertificate", "shop").unwrap()
    }

    fn serial(&self) -> Option<String> {
        self.shown()["certificate"]["serial_number"].as_str().map(str::to_owned)
    }

    /// How many runs of the script ended, and the last one's error.
    fn ended(&self) -> (usize, String) {
        let ended: Vec<_> =
            self.lab.events().into_iter().filter(|event| event.event_id.starts_with("SSL_CERT_RENEW")).collect();
        let error = ended.last().map(|event| event.details["ssl_renew_failed_details"]["error"].clone());
        (ended.len(), error.and_then(|error| error.as_str().map(str::to_owned)).unwrap_or_default())
    }

    async fn wait_for_runs(&self, count: usize) -> String {
        let ended = eventually(LIMIT, async || Some(self.ended()).filter(|(runs, _)| *runs >= count)).await;
        ended.unwrap_or_else(|| panic!("the script does not end: {}", self.daemon.last_words())).1
    }

    fn nothing_left(&self) {
        for kind in ["httppolicyset", "virtualservice"] {
            let objects = self.lab.objects(kind).unwrap();
            let ours = objects.iter().filter(|object| object["created_by"] == "certferry").count();
            assert_eq!(ours, 0, "{kind} of certferry's is left");
        }
    }
}

async fn set_up(lab: &AviLab, config: &AviConfig, url: &str, trusted_roots: &str) {
    let role = lab.create("admin", "role", role(config)).unwrap();
    let user = json!({"username": "certferry", "full_name": "certferry", "password": PASSWORD, "local": true,
        "is_superuser": false, "default_tenant_ref": "/api/tenant?name=admin",
        "access": [{"role_ref": format!("/api/role/{role}"), "tenant_ref": "/api/tenant?name=admin"}]});
    lab.create("admin", "user", user).unwrap();
    let admin = AviConfig {
        username: "admin".to_owned(),
        credential: Credential::Password(AviOptions::default().admin_password.into()),
        ..config.clone()
    };
    let admin = AviTenant::new("edge".parse().unwrap(), admin, std::sync::Arc::new(SystemClock)).unwrap();
    let mut setup = ControlScriptSetup::new(url.parse().unwrap(), "edge".parse().unwrap(), TOKEN.to_owned().into());
    setup.trusted_roots = Some(trusted_roots.to_owned());
    admin.install_control_script(&setup).await.unwrap();
}

fn reserved() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

fn private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_of_the_controllers_is_signed_and_renewed_by_its_own_clock() {
    for key in ["EC", "RSA"] {
        let mut inside = Inside::start("").await;
        inside.create(NAME, key);
        assert_eq!(inside.wait_for_runs(1).await, "");
        assert_eq!(inside.shown()["status"], "SSL_CERTIFICATE_FINISHED");
        let first = inside.serial().unwrap();
        inside.nothing_left();

        // With warning days 30, 7 and 1 the controller renews once, at the last but one.
        inside.lab.advance_clock(SignedDuration::from_hours(24 * 84)).await;
        assert_eq!(inside.wait_for_runs(2).await, "");
        assert_ne!(inside.serial().unwrap(), first);
        let orders = inside.ca.lab().orders();
        assert_eq!(orders.len(), 2);
        assert!(orders[1].replaces.is_some(), "the CA is told which certificate this one replaces");
        inside.nothing_left();

        let history = crate::stage::certferry(inside.folder.path(), &["history"]).await.expect_exit(0).stdout();
        assert!(history.contains(&format!("edge__{NAME}")), "{history}");
        assert_eq!(stopped(&mut inside.daemon).await, Some(0));
        for text in [inside.daemon.printed(), history] {
            assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pebbles_certificates_reach_the_controller_and_are_renewed_by_its_clock() {
    let inside = Inside::with_pebble().await;
    inside.create(NAME, "EC");
    assert_eq!(inside.wait_for_runs(1).await, "");
    let shown = inside.shown();
    assert_eq!(shown["status"], "SSL_CERTIFICATE_FINISHED");
    assert_eq!(shown["certificate"]["subject"]["common_name"], NAME);
    let first = inside.serial().unwrap();
    // The operator reviews it, and associates it with the virtual service.
    inside
        .lab
        .edit("virtualservice", "shop-443", |service| {
            service["ssl_key_and_certificate_refs"] = json!(["/api/sslkeyandcertificate?name=shop"]);
        })
        .unwrap();
    let at = inside.lab.data_plane_address(VIP.parse().unwrap(), 443).unwrap();
    assert_eq!(served(at, NAME).await.unwrap().serial, hex(&first));

    // Pebble 2.4 issues for five years unless told otherwise.
    inside.lab.advance_clock(SignedDuration::from_hours(24 * (365 * 5 - 5))).await;
    assert_eq!(inside.wait_for_runs(2).await, "");
    let second = inside.serial().unwrap();
    assert_ne!(second, first);
    assert_eq!(served(at, NAME).await.unwrap().serial, hex(&second));
    inside.nothing_left();
}

/// A serial number as the controller writes it, as openssl does.
fn hex(decimal: &str) -> String {
    let mut digits: Vec<u32> = decimal.chars().map(|digit| digit.to_digit(10).unwrap()).collect();
    let mut bytes = Vec::new();
    while !digits.is_empty() {
        let mut rest = 0;
        for digit in &mut digits {
            let value = rest * 10 + *digit;
            (*digit, rest) = (value / 256, value % 256);
        }
        bytes.push(rest);
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
    }
    bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_script_may_not_ask_for_is_refused_before_anything_is_ordered() {
    let inside = Inside::start(", names: [\"*.other-domain.test\"]").await;
    inside.create(NAME, "EC");
    let error = inside.wait_for_runs(1).await;
    assert!(
        error.contains("answers 403") && error.contains(NAME) && error.contains("`names` of `control-script`"),
        "{error}"
    );
    assert_eq!(inside.ca.lab().orders().len(), 0);
    assert_eq!(inside.shown()["status"], "SSL_CERTIFICATE_PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_nowhere_is_told_to_the_operator() {
    let inside = Inside::start("").await;
    inside.create("nowhere.some-domain.invalid", "EC");
    let error = inside.wait_for_runs(1).await;
    assert!(error.contains("no virtual service has it") && error.contains("virtual-services"), "{error}");
    inside.nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ca_says_reaches_the_operator_and_is_not_asked_again_at_once() {
    let inside = Inside::start("").await;
    let answer = Answer::Problem {
        status: 400,
        kind: "rejectedIdentifier",
        detail: "the CA does not issue for this name".to_owned(),
        retry_after: None,
    };
    inside.ca.lab().add_fault(Fault { endpoint: Endpoint::NewOrder, skip: 0, answer });
    inside.create(NAME, "EC");
    let error = inside.wait_for_runs(1).await;
    assert!(error.contains("the CA does not issue for this name"), "{error}");
    assert_eq!(inside.ca.lab().count(Endpoint::NewOrder), 1);
    inside.nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_outlives_one_exchange_is_found_again_by_the_same_request() {
    let inside = Inside::start("").await;
    // The CA hangs once, for longer than one request of the script waits.
    inside.ca.lab().add_fault(Fault { endpoint: Endpoint::Finalize, skip: 0, answer: Answer::DropAfter });
    inside.create(NAME, "EC");
    assert_eq!(inside.wait_for_runs(1).await, "");
    assert_eq!(inside.ca.lab().orders().len(), 1);
    assert_eq!(inside.shown()["status"], "SSL_CERTIFICATE_FINISHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_goes_on_with_the_controllers_order() {
    let mut inside = Inside::start("").await;
    inside.ca.lab().add_fault(Fault { endpoint: Endpoint::Finalize, skip: 0, answer: Answer::Hang });
    inside.create(NAME, "EC");
    let ordered = eventually(LIMIT, async || (inside.ca.lab().count(Endpoint::Finalize) > 0).then_some(())).await;
    assert!(ordered.is_some(), "{}", inside.daemon.last_words());
    inside.daemon.end();
    inside.daemon = daemon(inside.folder.path());
    assert_eq!(inside.wait_for_runs(1).await, "");
    assert_eq!(inside.ca.lab().orders().len(), 1, "the same order");
    inside.nothing_left();
}
