//! Caddy's `acme_server`: a second CA, of other people's code (smallstep's). It has no ARI, and knows neither profiles
//! nor alternate chains.
//!
//! It validates http-01 on port 80 of the address that the system resolver gives, and nowhere else. So it runs with an
//! `/etc/hosts` of its own, which maps the test's names to an address of loopback whose port 80 the test listens on.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::program::{Program, clear_bending_variables};
use super::{ReservedPorts, eventually, https_client, part};

const STARTS: usize = 4;
const START_LIMIT: Duration = Duration::from_secs(30);

/// What a test wants of Caddy.
#[derive(Clone, Debug)]
pub(crate) struct CaddyOptions {
    /// The names that the CA can resolve. Use an address of your own test in 127.0.0.0/8, such as 127.0.5.1, so that
    /// its port 80 is yours.
    pub(crate) hosts: Vec<(String, Ipv4Addr)>,
    /// The life of a certificate, in hours; at most a week.
    pub(crate) lifetime_hours: u16,
}

/// A running Caddy. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Caddy {
    program: Program,
    port: u16,
    folder: TempDir,
    _ports: ReservedPorts<2>,
}

impl Caddy {
    /// Starts it and waits until its directory answers over HTTPS.
    ///
    /// # Panics
    ///
    /// Fails the test when Caddy is missing or does not come up; the message holds Caddy's last words.
    pub(crate) async fn start(options: CaddyOptions) -> Self {
        let mut last_failure = String::new();
        for _ in 0..STARTS {
            match Self::start_once(&options).await {
                Ok(caddy) => return caddy,
                Err(failure) => last_failure = failure,
            }
        }
        panic!("Caddy did not come up in {STARTS} starts; {last_failure}");
    }

    async fn start_once(options: &CaddyOptions) -> Result<Self, String> {
        let ports = ReservedPorts::new();
        let [port, http_port] = ports.numbers();
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(&folder.path().join("Caddyfile"), &caddyfile(port, http_port, options.lifetime_hours));
        write(&folder.path().join("hosts"), &hosts(&options.hosts));
        let program = Program::start("caddy", command(folder.path()), folder.path().join("caddy.log"));
        let mut caddy = Self { program, port, folder, _ports: ports };
        caddy.wait_until_it_answers().await.map(|()| caddy)
    }

    async fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let directory = self.directory_url();
        let root = self.root_file();
        let answered = eventually(START_LIMIT, async || {
            if let Some(status) = self.program.ended() {
                return Some(Err(format!("caddy ended with {status}:\n{}", self.program.last_words())));
            }
            // The file is there a moment before it is whole.
            let root = fs::read_to_string(&root).ok().filter(|pem| pem.contains("END CERTIFICATE"))?;
            let answer = https_client(&root).get(&directory).send().await.ok()?;
            (answer.status() == 200).then_some(Ok(()))
        })
        .await;
        answered.unwrap_or_else(|| {
            Err(format!("{directory} did not answer within {START_LIMIT:?}:\n{}", self.program.last_words()))
        })
    }

    /// The ACME directory.
    pub(crate) fn directory_url(&self) -> String {
        format!("https://localhost:{}/acme/local/directory", self.port)
    }

    /// The root of the directory's HTTPS certificate and of every certificate that it issues: here they are one.
    pub(crate) fn root_pem(&self) -> String {
        fs::read_to_string(self.root_file()).expect("it was there when the directory answered")
    }

    /// All that Caddy has printed.
    pub(crate) fn log(&self) -> String {
        self.program.printed()
    }

    fn root_file(&self) -> PathBuf {
        self.folder.path().join("caddy/pki/authorities/local/root.crt")
    }
}

fn caddyfile(port: u16, http_port: u16, lifetime_hours: u16) -> String {
    format!(
        "{{
    admin off
    http_port {http_port}
    auto_https disable_redirects
    skip_install_trust
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls internal
    acme_server {{
        lifetime {lifetime_hours}h
    }}
}}
"
    )
}

fn hosts(names: &[(String, Ipv4Addr)]) -> String {
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for (name, address) in names {
        text.push_str(&format!("{address} {name}\n"));
    }
    text
}

/// A mount namespace of its own needs root, or a user namespace in which we are root. `setpriv` comes last, because a
/// change of user forgets the wish to die with the parent.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if !is_root() {
        command.arg("--map-root-user");
    }
    command
        .args(["sh", "-c", r#"mount --bind "$1" /etc/hosts && shift && exec setpriv --pdeathsig KILL -- "$@""#, "sh"])
        .arg(folder.join("hosts"))
        .arg(part("caddy/usr/bin/caddy"))
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.join("Caddyfile"))
        .env("XDG_DATA_HOME", folder)
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("HOME", folder)
        // Go's own resolver reads /etc/hosts; the C library's may be told to look elsewhere first.
        .env("GODEBUG", "netdns=go");
    clear_bending_variables(&mut command);
    command
}

/// The owner of our own process, as the kernel shows it.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;

    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}
