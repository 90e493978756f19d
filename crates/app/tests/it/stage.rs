//! A stage for whole-program tests: lab load balancers, a CA, a config in a folder that goes away, and the real binary.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use certferry_lab::oci_dns::OciDnsLab;
use certferry_lab::oci_load_balancer::{
    KeyLabel, LoadBalancerSpec, OciConfigFiles, OciLab, OciOptions, certificate_entry,
};
use certferry_lab::pki::Pki;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::process::Command;

use crate::dns;

/// The name that certificates of the tests are for unless a test says otherwise.
pub(crate) const SERVER_NAME: &str = "www.some-domain.test";

/// The bundle that hangs on every TLS listener before certferry comes.
pub(crate) const BY_HAND: &str = "by-hand-2025";

/// A file in a stage's folder with the address of the DNS server that the binary asks.
pub(crate) const RESOLVER_FILE: &str = "resolver";

/// What a stage needs of a CA.
pub(crate) struct Issuer {
    pub(crate) directory_url: String,
    /// Root of the directory's HTTPS, PEM.
    pub(crate) trusted_root_pem: String,
}

/// The lab's CA, which finds every name at the stage's load balancer.
pub(crate) struct LabCa {
    pub(crate) ca: AcmeCa,
}

impl LabCa {
    pub(crate) fn issuer(&self) -> Issuer {
        Issuer { directory_url: self.ca.directory_url(), trusted_root_pem: self.ca.trusted_root_pem().to_owned() }
    }
}

/// One load balancer of the stage.
pub(crate) struct Front {
    pub(crate) name: String,
    pub(crate) id: String,
}

/// Load balancers, a folder, and the binary.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) lab: OciLab,
    pub(crate) fronts: Vec<Front>,
    pub(crate) responder: SocketAddr,
    _responder_port: TcpSocket,
    pub(crate) key_files: OciConfigFiles,
}

impl Stage {
    /// One load balancer `front` with the TLS listeners `https` (443) and `shop` (8443).
    pub(crate) async fn new() -> Self {
        Self::with(vec![("front", front(&[("https", 443), ("shop", 8443)]))]).await
    }

    /// These load balancers.
    pub(crate) async fn with(specs: Vec<(&str, LoadBalancerSpec)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = OciLab::start(OciOptions::default()).await.unwrap();
        let key_files = lab.new_api_key().unwrap().write_config(folder.path(), KeyLabel::Absent).unwrap();
        let fronts = specs.into_iter().map(|(name, spec)| {
            let id = lab.add_load_balancer(spec).unwrap();
            Front { name: name.to_owned(), id }
        });
        let fronts = fronts.collect();
        let responder_port = reserve_port();
        let responder = responder_port.local_addr().unwrap();
        Self { fronts, key_files, lab, responder, _responder_port: responder_port, folder }
    }

    /// A key for OCI DNS and the config file that names it, in a folder of their own.
    pub(crate) fn new_dns_key(&self, dns: &OciDnsLab) -> OciConfigFiles {
        let folder = self.path("dns");
        std::fs::create_dir(&folder).unwrap();
        dns.new_api_key().unwrap().write_config(&folder, KeyLabel::Absent).unwrap()
    }

    /// The first load balancer's id.
    pub(crate) fn id(&self) -> &str {
        &self.fronts[0].id
    }

    /// A CA of the lab whose validation requests go to the first load balancer.
    pub(crate) async fn lab_ca(&self) -> LabCa {
        self.lab_ca_with(AcmeCaOptions::default()).await
    }

    /// The same with options.
    pub(crate) async fn lab_ca_with(&self, options: AcmeCaOptions) -> LabCa {
        let ca = AcmeCa::start(options).await.unwrap();
        ca.resolve_all_to(self.address(80), self.address(443));
        LabCa { ca }
    }

    /// Where a port of the first load balancer really listens.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        self.lab.data_plane_address(self.id(), port).unwrap()
    }

    /// The first load balancer as GetLoadBalancer shows it.
    pub(crate) fn load_balancer(&self) -> Value {
        self.lab.load_balancer(self.id()).unwrap()
    }

    /// The bundle that a listener of the first load balancer refers to.
    pub(crate) fn bound(&self, listener: &str) -> String {
        let json = self.load_balancer();
        json["listeners"][listener]["sslConfiguration"]["certificateName"].as_str().unwrap_or_default().to_owned()
    }

    /// Bundles on the first load balancer that certferry made.
    pub(crate) fn own_bundles(&self) -> Vec<String> {
        let json = self.load_balancer();
        let names = json["certificates"].as_object().unwrap().keys();
        names.filter(|name| name.starts_with("cf-")).cloned().collect()
    }

    /// A listener of the first load balancer without the field that certferry manages.
    pub(crate) fn other_fields(&self, listener: &str) -> Value {
        let mut json = self.load_balancer()["listeners"][listener].take();
        json["sslConfiguration"]["certificateName"].take();
        json
    }

    /// Writes the config: `issuer`, every load balancer, and `certificates` as YAML under that key.
    pub(crate) fn configure(&self, issuer: &Issuer, certificates: &str) {
        self.configure_with(issuer, "", certificates);
    }

    /// The same with further lines in every load balancer's entry.
    pub(crate) fn configure_with(&self, issuer: &Issuer, load_balancer_lines: &str, certificates: &str) {
        std::fs::write(self.path("ca.pem"), &issuer.trusted_root_pem).unwrap();
        let fronts: String = self.fronts.iter().map(|front| self.front_entry(front, load_balancer_lines)).collect();
        let text = format!(
            "responder:\n  listen: {}\nissuers:\n  ca:\n    directory: {}\n    trusted-roots: ca.pem\nload-balancers:\n\
             {fronts}certificates:\n{certificates}",
            self.responder, issuer.directory_url
        );
        std::fs::write(self.config_path(), text).unwrap();
    }

    /// The entry of one of them under `load-balancers`.
    pub(crate) fn front_entry(&self, front: &Front, more: &str) -> String {
        let http = self.lab.data_plane_address(&front.id, 80).unwrap();
        format!(
            "  {name}:\n    oci:\n      load-balancer-id: {id}\n      auth: {{ api-key: {{ config-file: {config}, profile: DEFAULT }} }}\n      \
             endpoint: {endpoint}\n      http01:\n        responder: {responder}\n        backend-set: certferry-acme\n        \
             health-check: tcp\n        probe: [{http}]\n        self-check-within: 20s\n{more}",
            name = front.name,
            id = front.id,
            config = self.key_files.config.display(),
            endpoint = self.lab.endpoint(),
            responder = self.responder,
        )
    }

    /// A deploy entry for a listener of a load balancer, with the probe where its port really is.
    pub(crate) fn deploy(&self, front: usize, listener: &str, port: u16) -> String {
        let Front { name, id } = &self.fronts[front];
        let probe = self.lab.data_plane_address(id, port).unwrap();
        format!("      - {{ load-balancer: {name}, listener: {listener}, probe: [{probe}] }}\n")
    }

    /// Certificate `www` for [`SERVER_NAME`] on `https`.
    pub(crate) fn www(&self) -> String {
        format!("  www:\n    names: [{SERVER_NAME}]\n    deploy:\n{}", self.deploy(0, "https", 443))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path("certferry.yaml")
    }

    /// Runs the binary to its end.
    pub(crate) async fn certferry(&self, arguments: &[&str]) -> Ended {
        certferry(self.folder.path(), arguments).await
    }

    /// The same with variables of the environment.
    pub(crate) async fn certferry_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        Ended(command(self.folder.path(), arguments).envs(variables.iter().copied()).output().await.unwrap())
    }

    /// Runs the binary to its end, and says what it took.
    pub(crate) async fn measured(&self, arguments: &[&str]) -> (Ended, Taken) {
        let child =
            command(self.folder.path(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let process = child.id().unwrap();
        let output = child.wait_with_output();
        tokio::pin!(output);
        let mut taken = Taken::default();
        loop {
            tokio::select! {
                output = &mut output => return (Ended(output.unwrap()), taken),
                () = tokio::time::sleep(Duration::from_millis(10)) => taken.look(process),
            }
        }
    }

    /// Runs `apply`, which must end well.
    pub(crate) async fn apply(&self) -> Ended {
        self.certferry(&["apply"]).await.expect_exit(0)
    }

    /// `status --output json`.
    pub(crate) async fn status(&self) -> Value {
        self.certferry(&["status", "--output", "json"]).await.expect_exit(0).json()
    }

    /// The serial that `status` says is issued for the first certificate.
    pub(crate) async fn issued_serial(&self) -> String {
        self.status().await["certificates"][0]["issued"]["serial"].as_str().unwrap().to_owned()
    }
}

/// Runs the binary in `folder` with nothing of this process's environment that could matter.
pub(crate) async fn certferry(folder: &Path, arguments: &[&str]) -> Ended {
    Ended(command(folder, arguments).output().await.unwrap())
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    // A test that wants something of DNS writes its server there; for all others every name is at this host.
    let resolver = std::fs::read_to_string(folder.join(RESOLVER_FILE))
        .unwrap_or_else(|_| dns::answering(Ipv4Addr::LOCALHOST).to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_certferry"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("CERTFERRY_RESOLVER", resolver)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What a process took, as the kernel last said while it lived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// Peak resident memory (VmHWM), in KiB.
    pub(crate) peak_kib: u64,
    /// User and system time, in clock ticks (100 a second on Linux).
    pub(crate) cpu_ticks: u64,
}

impl Taken {
    fn look(&mut self, process: u32) {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
        let peak = read("status")
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        self.peak_kib = peak.unwrap_or(self.peak_kib);
        // proc(5): the name in parentheses may hold spaces; utime and stime are the 14th and 15th field.
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        self.cpu_ticks = ticks(11).zip(ticks(12)).map_or(self.cpu_ticks, |(user, system)| user + system);
    }
}

/// A run that has ended.
pub(crate) struct Ended(Output);

impl Ended {
    /// The exit code must be this one; otherwise the test shows everything that was printed.
    #[track_caller]
    pub(crate) fn expect_exit(self, code: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr());
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout()))
    }
}

/// A load balancer whose TLS listeners all serve [`BY_HAND`], with fields of their own.
pub(crate) fn front(listeners: &[(&str, u16)]) -> LoadBalancerSpec {
    let by_hand = Pki::new().unwrap().issue(&[SERVER_NAME], 30).unwrap();
    let listeners = listeners.iter().map(|(name, port)| ((*name).to_owned(), listener(name, *port)));
    LoadBalancerSpec::new("front").configured(json!({
        "certificates": { BY_HAND: certificate_entry(BY_HAND, &by_hand.chain_pem, &by_hand.private_key_pem) },
        "backendSets": {
            "app": { "policy": "ROUND_ROBIN", "backends": [], "healthChecker": { "protocol": "TCP", "port": 8080 } },
        },
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
        "listeners": listeners.collect::<serde_json::Map<_, _>>(),
    }))
}

fn listener(name: &str, port: u16) -> Value {
    json!({
        "name": name, "port": port, "protocol": "HTTP", "defaultBackendSetName": "app",
        "ruleSetNames": ["hsts"],
        "connectionConfiguration": { "idleTimeout": 300 },
        "fieldOfNextYear": { "kept": [1, 2, 3] },
        "sslConfiguration": {
            "certificateName": BY_HAND,
            "protocols": ["TLSv1.2", "TLSv1.3"],
            "cipherSuiteName": "oci-tls-12-13-wider-ssl-cipher-suite-v1",
            "serverOrderPreference": "ENABLED",
            "verifyPeerCertificate": false,
            "verifyDepth": 1,
            "hasSessionResumption": true,
        },
    })
}

/// A port on loopback that nobody else is given while the socket lives. It does not listen, and both it and tokio's
/// listeners have SO_REUSEADDR: so the program under test can listen there.
fn reserve_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    socket
}
