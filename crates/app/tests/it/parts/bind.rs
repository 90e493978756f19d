//! BIND's `named`: an authoritative name server that takes dynamic updates signed with TSIG.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use certferry_core::port::DnsLookup;
use certferry_providers::dns::lookup::NetworkLookup;
use tempfile::TempDir;

use super::program::{Program, dies_with_us};
use super::{ReservedPorts, eventually, part};

/// How often a start is tried: the UDP port, which is not reserved, may be taken.
const STARTS: usize = 4;

/// A TSIG key of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) algorithm: &'static str,
    /// Base64.
    pub(crate) secret: &'static str,
}

/// May write TXT records into [`ZONE`].
pub(crate) const WRITER: Key =
    Key { name: "acme", algorithm: "hmac-sha256", secret: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" };

/// May write TXT records into [`CHALLENGES`] only.
pub(crate) const DELEGATED: Key =
    Key { name: "delegated", algorithm: "hmac-sha512", secret: "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=" };

/// May write address records and aliases into [`ZONE`].
pub(crate) const POINTER: Key =
    Key { name: "pointer", algorithm: "hmac-sha256", secret: "YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk=" };

pub(crate) const ZONE: &str = "some-domain.test";
pub(crate) const CHALLENGES: &str = "challenges.test";

/// A running name server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Bind {
    program: Program,
    port: u16,
    _folder: TempDir,
    _ports: ReservedPorts<1>,
}

impl Bind {
    /// Starts it with the zones [`ZONE`], `records` in it, and [`CHALLENGES`], and waits until it answers.
    ///
    /// # Panics
    ///
    /// Fails the test when it is missing or does not come up.
    pub(crate) async fn start(records: &str) -> Self {
        let mut last_failure = String::new();
        for _ in 0..STARTS {
            match Self::start_once(records).await {
                Ok(bind) => return bind,
                Err(failure) => last_failure = failure,
            }
        }
        panic!("named did not come up in {STARTS} starts; {last_failure}");
    }

    async fn start_once(records: &str) -> Result<Self, String> {
        let ports = ReservedPorts::new();
        let [port] = ports.numbers();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("write a file");
        write("named.conf", config(folder.path().to_str().expect("a path in UTF-8"), port));
        // Names beyond the two zones do not exist, so that nobody on the Internet is asked.
        write("root.zone", zone("ns.", "", ""));
        write("some-domain.test.zone", zone("ns", "ns A 127.0.0.1\n@ A 127.0.0.1\n* A 127.0.0.1\n", records));
        write("challenges.test.zone", zone("ns", "ns A 127.0.0.1\n", ""));

        let mut command = dies_with_us(&part("bind/usr/sbin/named"));
        let libraries = ["bind/usr/lib/x86_64-linux-gnu", "bind/lib/x86_64-linux-gnu"].map(architecture);
        command
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .env("LD_LIBRARY_PATH", libraries.map(|path| part(&path).display().to_string()).join(":"));
        let program = Program::start("named", command, folder.path().join("named.log"));
        let mut bind = Self { program, port, _folder: folder, _ports: ports };
        let name = ZONE.parse().expect("a name");
        let answered = eventually(Duration::from_secs(20), async || {
            if let Some(status) = bind.program.ended() {
                return Some(Err(format!("named ended with {status}:\n{}", bind.program.last_words())));
            }
            NetworkLookup::new(vec![bind.address()]).txt(bind.address(), &name).await.is_ok().then_some(Ok(()))
        })
        .await;
        answered.unwrap_or_else(|| Err(format!("named did not answer:\n{}", bind.program.last_words())))?;
        Ok(bind)
    }

    /// Where it answers, by UDP and TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The TXT values of a name.
    pub(crate) async fn txt(&self, name: &str) -> Vec<String> {
        let name = name.parse().expect("a name");
        NetworkLookup::new(vec![self.address()]).txt(self.address(), &name).await.expect("an answer")
    }

    /// All that it has printed: each update, each refusal.
    pub(crate) fn log(&self) -> String {
        self.program.printed()
    }
}

fn architecture(path: &str) -> String {
    path.replace("x86_64", std::env::consts::ARCH)
}

fn config(folder: &str, port: u16) -> String {
    let keys = [WRITER, DELEGATED, POINTER].map(|Key { name, algorithm, secret }| {
        format!("key \"{name}\" {{ algorithm {algorithm}; secret \"{secret}\"; }};\n")
    });
    format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; dnssec-validation no; recursion yes; notify no; }};\n\
         controls {{ }};\n{}\
         zone \".\" {{ type primary; file \"root.zone\"; }};\n\
         zone \"{ZONE}\" {{ type primary; file \"{ZONE}.zone\"; update-policy {{ grant {} zonesub TXT; grant {} zonesub A AAAA CNAME; }}; }};\n\
         zone \"{CHALLENGES}\" {{ type primary; file \"{CHALLENGES}.zone\"; update-policy {{ grant {} zonesub TXT; }}; }};\n",
        keys.concat(),
        WRITER.name,
        POINTER.name,
        DELEGATED.name,
    )
}

fn zone(server: &str, addresses: &str, records: &str) -> String {
    format!("$TTL 60\n@ SOA {server} root 1 60 60 600 60\n@ NS {server}\n{addresses}{records}\n")
}
