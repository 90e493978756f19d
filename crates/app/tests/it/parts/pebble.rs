//! Pebble, Let's Encrypt's test CA, with its own DNS server that knows every name. All its state is lost when it ends.
//!
//! Certificates are valid for five years unless said otherwise. Those of Pebble 2.6 have an empty subject and a critical
//! SAN; those of 2.4 have the first name as common name. More than about 32 orders at once make Pebble 2.6 hang. It does
//! not look at CAA, and ignores profiles.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{Program, dies_with_us};
use super::{ReservedPorts, eventually, https_client, part};

/// How often a start is tried: the DNS server's UDP port, which is not reserved, may be taken.
const STARTS: usize = 4;

/// How long Pebble may take to answer: it makes RSA keys first, two for each root.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Which of the two, that can run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PebbleVersion {
    /// Keeps the common name, and has no ARI; part `pebble24`.
    V2_4,
    /// Leaves the common name out, and has ARI; part `pebble`.
    V2_6,
}

/// What a test wants of Pebble.
#[derive(Clone, Debug)]
pub(crate) struct PebbleOptions {
    pub(crate) version: PebbleVersion,
    /// Where http-01 requests go, whatever the name: the port that stands for 80.
    pub(crate) http_port: u16,
    /// The same for tls-alpn-01 and redirects to https: the port that stands for 443.
    pub(crate) tls_port: u16,
    /// The address that every name resolves to.
    pub(crate) resolves_to: Ipv4Addr,
    /// The DNS server that is asked instead of Pebble's own.
    pub(crate) dns_server: Option<SocketAddr>,
    /// How many of 100 good nonces are refused all the same. Pebble's own default is 5.
    pub(crate) nonce_reject_percent: u8,
    /// How many of 100 authorizations are valid from an earlier order; with 0 still one, as Pebble compares by `>`. A test
    /// that needs a challenge needs a name or a Pebble that has none yet.
    pub(crate) authz_reuse_percent: u8,
    /// Intermediates between the root and the leaf, at least one.
    pub(crate) chain_length: u8,
    /// Roots beside the first; each makes an alternate chain.
    pub(crate) alternate_roots: u8,
    /// The life of a certificate; `None` is Pebble's five years.
    pub(crate) certificate_validity_seconds: Option<u64>,
    /// `kid` and base64url MAC key of each external account; not empty: an account needs one of them.
    pub(crate) external_accounts: Vec<(String, String)>,
    /// Names, subdomains included, that are refused with `rejectedIdentifier`.
    pub(crate) blocked_domains: Vec<String>,
}

impl PebbleOptions {
    /// Pebble 2.6 without trouble of any kind: no refused nonces, hardly a reused authorization, one root, one intermediate.
    pub(crate) fn validating_at(http_port: u16) -> Self {
        Self {
            version: PebbleVersion::V2_6,
            http_port,
            tls_port: 443,
            resolves_to: Ipv4Addr::LOCALHOST,
            dns_server: None,
            nonce_reject_percent: 0,
            authz_reuse_percent: 0,
            chain_length: 1,
            alternate_roots: 0,
            certificate_validity_seconds: None,
            external_accounts: Vec::new(),
            blocked_domains: Vec::new(),
        }
    }
}

/// A running Pebble. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Pebble {
    program: Program,
    dns: Program,
    directory_port: u16,
    management_port: u16,
    dns_port: u16,
    dns_management_port: u16,
    https_root_pem: String,
    client: reqwest::Client,
    options: PebbleOptions,
    folder: TempDir,
    _ports: ReservedPorts<4>,
}

impl Pebble {
    /// Starts it and waits until its directory answers over HTTPS.
    ///
    /// # Panics
    ///
    /// Fails the test when Pebble is missing or does not come up; the message holds Pebble's last words.
    pub(crate) async fn start(options: PebbleOptions) -> Self {
        let mut last_failure = String::new();
        for _ in 0..STARTS {
            match Self::start_once(&options).await {
                Ok(pebble) => return pebble,
                Err(failure) => last_failure = failure,
            }
        }
        panic!("Pebble did not come up in {STARTS} starts; {last_failure}");
    }

    async fn start_once(options: &PebbleOptions) -> Result<Self, String> {
        let ports = ReservedPorts::new();
        let [directory_port, management_port, dns_port, dns_management_port] = ports.numbers();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let https_root_pem = write_https_certificate(folder.path());
        write_config(folder.path(), options, directory_port, management_port);
        let dns = start_dns(folder.path(), options.resolves_to, dns_port, dns_management_port);
        let program = start_pebble(folder.path(), options, dns_port);
        let client = https_client(&https_root_pem);
        let mut pebble = Self {
            program,
            dns,
            directory_port,
            management_port,
            dns_port,
            dns_management_port,
            https_root_pem,
            client,
            options: options.clone(),
            folder,
            _ports: ports,
        };
        pebble.wait_until_it_answers().await.map(|()| pebble)
    }

    /// Ends it and starts it again at the same URL with the same HTTPS certificate. All else is forgotten: accounts,
    /// orders, and the roots that it issued from. [`Pebble::log`] begins anew.
    pub(crate) async fn restart(&mut self) {
        self.program.end();
        self.program = start_pebble(self.folder.path(), &self.options, self.dns_port);
        self.wait_until_it_answers().await.unwrap_or_else(|failure| panic!("Pebble did not come up again; {failure}"));
    }

    async fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let directory = self.directory_url();
        let dns_history = format!("http://127.0.0.1:{}/dns-request-history", self.dns_management_port);
        let answered = eventually(START_LIMIT, async || {
            for (name, program) in [("pebble", &mut self.program), ("pebble-challtestsrv", &mut self.dns)] {
                if let Some(status) = program.ended() {
                    return Some(Err(format!("{name} ended with {status}:\n{}", program.last_words())));
                }
            }
            let question = json!({"host": "nobody.test."}).to_string();
            let dns = self.client.post(&dns_history).body(question).send().await;
            let pebble = self.client.get(&directory).send().await;
            (dns.is_ok() && pebble.is_ok_and(|answer| answer.status() == 200)).then_some(Ok(()))
        })
        .await;
        answered.unwrap_or_else(|| {
            Err(format!("{directory} did not answer within {START_LIMIT:?}:\n{}", self.program.last_words()))
        })
    }

    /// The ACME directory.
    pub(crate) fn directory_url(&self) -> String {
        format!("https://localhost:{}/dir", self.directory_port)
    }

    /// The port of the directory on 127.0.0.1, with TLS.
    pub(crate) fn directory_port(&self) -> u16 {
        self.directory_port
    }

    /// The root of the directory's own HTTPS certificate (`trusted-roots` of an issuer), new for every Pebble. It has
    /// nothing to do with the certificates that Pebble issues.
    pub(crate) fn https_root_pem(&self) -> &str {
        &self.https_root_pem
    }

    /// The root of the certificates that Pebble issues: 0 is the one of the default chain, then the alternates.
    pub(crate) async fn issuing_root_pem(&self, index: u8) -> String {
        self.manage(&format!("roots/{index}")).await
    }

    /// How many roots it issues from.
    pub(crate) async fn issuing_roots(&self) -> u8 {
        let mut count = 0;
        while self.management(&format!("roots/{count}")).await.status() == 200 {
            count += 1;
        }
        count
    }

    /// What the CA knows of a certificate (`{"Status": "Valid" | "Revoked", "Certificate": …}`), by its serial in
    /// hexadecimal; `None` when it never issued it.
    pub(crate) async fn certificate_status(&self, serial: &str) -> Option<Value> {
        let answer = self.management(&format!("cert-status-by-serial/{serial}")).await;
        (answer.status() == 200).then_some(answer)?.json().await.ok()
    }

    /// From now on `name` resolves to these addresses.
    pub(crate) async fn resolve(&self, name: &str, addresses: &[IpAddr]) {
        let host = format!("{name}.");
        let (fours, sixes): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
        self.tell_dns("add-a", json!({"host": host, "addresses": fours})).await;
        if !sixes.is_empty() {
            self.tell_dns("add-aaaa", json!({"host": host, "addresses": sixes})).await;
        }
    }

    /// From now on every question about `name` is answered by SERVFAIL.
    pub(crate) async fn fail_resolving(&self, name: &str) {
        self.tell_dns("set-servfail", json!({"host": format!("{name}.")})).await;
    }

    /// The UDP and TCP port of the DNS server on 127.0.0.1.
    pub(crate) fn dns_port(&self) -> u16 {
        self.dns_port
    }

    /// The port of the DNS server's own HTTP API on 127.0.0.1.
    pub(crate) fn dns_management_port(&self) -> u16 {
        self.dns_management_port
    }

    /// All that Pebble has printed: each request, each validation and its outcome.
    pub(crate) fn log(&self) -> String {
        self.program.printed()
    }

    /// The process's number.
    pub(crate) fn process_id(&self) -> u32 {
        self.program.process_id()
    }

    async fn tell_dns(&self, action: &str, body: Value) {
        let url = format!("http://127.0.0.1:{}/{action}", self.dns_management_port);
        let answer = self.client.post(&url).body(body.to_string()).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("POST {url}: {error}"));
        assert_eq!(answer.status(), 200, "POST {url} with {body}");
    }

    async fn manage(&self, path: &str) -> String {
        let answer = self.management(path).await;
        assert_eq!(answer.status(), 200, "GET {path} of Pebble's management");
        answer.text().await.unwrap_or_else(|error| panic!("GET {path} of Pebble's management: {error}"))
    }

    async fn management(&self, path: &str) -> reqwest::Response {
        let url = format!("https://localhost:{}/{path}", self.management_port);
        self.client.get(&url).send().await.unwrap_or_else(|error| panic!("GET {url}: {error}"))
    }
}

/// The same one for every Pebble.
fn start_dns(folder: &Path, every_name: Ipv4Addr, port: u16, management_port: u16) -> Program {
    let mut command = dies_with_us(&part("pebble/usr/bin/pebble-challtestsrv"));
    command
        .args(["-defaultIPv4", &every_name.to_string(), "-defaultIPv6", ""])
        .args(["-dns01", &format!("127.0.0.1:{port}"), "-management", &format!("127.0.0.1:{management_port}")])
        .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]);
    Program::start("pebble-challtestsrv", command, folder.join("dns.log"))
}

fn start_pebble(folder: &Path, options: &PebbleOptions, dns_port: u16) -> Program {
    let program = match options.version {
        PebbleVersion::V2_4 => "pebble24/usr/bin/pebble",
        PebbleVersion::V2_6 => "pebble/usr/bin/pebble",
    };
    let dns_server = options.dns_server.unwrap_or(SocketAddr::from(([127, 0, 0, 1], dns_port)));
    let mut command = dies_with_us(&part(program));
    command
        .arg("-config")
        .arg(folder.join("pebble.json"))
        .args(["-dnsserver", &dns_server.to_string(), "-strict=false"])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject_percent.to_string())
        .env("PEBBLE_AUTHZREUSE", options.authz_reuse_percent.to_string())
        .env("PEBBLE_ALTERNATE_ROOTS", options.alternate_roots.to_string())
        .env("PEBBLE_CHAIN_LENGTH", options.chain_length.to_string());
    Program::start("pebble", command, folder.join("pebble.log"))
}

fn write_config(folder: &Path, options: &PebbleOptions, directory_port: u16, management_port: u16) {
    let mut pebble = json!({
        "listenAddress": format!("127.0.0.1:{directory_port}"),
        "managementListenAddress": format!("127.0.0.1:{management_port}"),
        "certificate": folder.join("https.pem"),
        "privateKey": folder.join("https.key"),
        "httpPort": options.http_port,
        "tlsPort": options.tls_port,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": !options.external_accounts.is_empty(),
        "externalAccountMACKeys": options.external_accounts.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "domainBlocklist": options.blocked_domains,
    });
    if let Some(seconds) = options.certificate_validity_seconds {
        pebble["certificateValidityPeriod"] = json!(seconds);
    }
    write(&folder.join("pebble.json"), &json!({"pebble": pebble}).to_string());
}

/// Pebble's package holds no certificates. Returns the root.
fn write_https_certificate(folder: &Path) -> String {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "root of a test CA's HTTPS");
    let authority_key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, authority_key).expect("a root");

    let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("good names");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = server.signed_by(&key, &authority).expect("a certificate");
    write(&folder.join("https.pem"), &certificate.pem());
    write(&folder.join("https.key"), &key.serialize_pem());
    authority.pem()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}
