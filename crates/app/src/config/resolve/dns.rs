//! DNS providers.

use std::net::SocketAddr;
use std::time::Duration;

use certferry_core::DnsProviderName;
use certferry_core::desired::DnsSpec;
use certferry_providers::dns::acme_dns::AcmeDnsConfig;
use certferry_providers::dns::exec::ExecConfig;
use certferry_providers::dns::oci::OciDnsConfig;
use certferry_providers::dns::rfc2136::{Algorithm, Rfc2136Config, TsigKey};

use super::Resolver;
use crate::config::diagnostic::Diagnostic;
use crate::config::file;
use crate::config::resolved::{Dns, DnsProvider};
use crate::config::spanned::Spanned;
use crate::config::suggest;

impl Resolver<'_> {
    pub(super) fn dns(&mut self, name: &Spanned<String>, written: &file::Dns) -> Option<(DnsProviderName, Dns)> {
        let parsed: Option<DnsProviderName> = self.parsed(name, "choose another name");
        let propagate_within = self.limit(written.propagate_within.as_ref(), DEFAULT_PROPAGATION);
        let servers = self.addresses(&written.servers, DNS_SERVER);
        let kinds = [
            ("rfc2136", written.rfc2136.is_some()),
            ("oci", written.oci.is_some()),
            ("acme-dns", written.acme_dns.is_some()),
            ("exec", written.exec.is_some()),
        ];
        let said: Vec<&str> = kinds.iter().filter(|(_, said)| *said).map(|(kind, _)| *kind).collect();
        if said.len() > 1 {
            let message = format!("DNS provider `{}` is of more than one kind: `{}`", name.value, said.join("`, `"));
            return self.refuse(name.at, message, "give each DNS provider a name of its own");
        }
        let provider = if let Some(written) = &written.rfc2136 {
            self.rfc2136(&written.value).map(DnsProvider::Rfc2136)
        } else if let Some(written) = &written.oci {
            self.oci_dns(written).map(|oci| DnsProvider::Oci(Box::new(oci)))
        } else if let Some(written) = &written.acme_dns {
            self.acme_dns(&written.value).map(DnsProvider::AcmeDns)
        } else if let Some(written) = &written.exec {
            self.exec(&written.value).map(DnsProvider::Exec)
        } else {
            return self.refuse(
                name.at,
                format!("DNS provider `{}` does not say what it is", name.value),
                "add `rfc2136:`, `oci:`, `acme-dns:` or `exec:` below it",
            );
        };
        let spec = DnsSpec { propagate_within: propagate_within?, servers };
        Some((parsed?, Dns { provider: provider?, spec }))
    }

    /// The recursive servers of the file, or of the environment; none means those of the machine.
    pub(super) fn resolvers(&mut self, written: &[Spanned<String>]) -> Vec<SocketAddr> {
        let Some(text) = self.environment.variable(RESOLVER).filter(|_| written.is_empty()) else {
            return self.addresses(written, DNS_SERVER);
        };
        let address = text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, 53)));
        if address.is_none() {
            let message = format!("the environment variable `{RESOLVER}` is `{text}`, which is no address (and port)");
            self.errors.push(Diagnostic::error(None, message).with_hint(format!("write `{DNS_SERVER}`, or unset it")));
        }
        address.into_iter().collect()
    }

    fn rfc2136(&mut self, written: &file::Rfc2136) -> Option<Rfc2136Config> {
        let server = self.address(&written.server, DNS_SERVER);
        let algorithm = match &written.tsig.algorithm {
            None => Some(Algorithm::default()),
            Some(algorithm) => match algorithm.value.parse() {
                Ok(algorithm) => Some(algorithm),
                Err(message) => {
                    let known = Algorithm::ALL.map(Algorithm::as_str);
                    let hint = suggest::hint(&algorithm.value, "TSIG algorithms", known);
                    self.refuse::<Algorithm>(algorithm.at, message, hint)
                }
            },
        };
        let secret = self.secret(&written.tsig.secret, "TSIG_SECRET");
        let tsig = TsigKey { name: written.tsig.name.value.clone(), algorithm: algorithm?, secret: secret? };
        Some(Rfc2136Config { server: server?, tsig })
    }

    fn oci_dns(&mut self, written: &Spanned<file::OciDns>) -> Option<OciDnsConfig> {
        let access = self.oci_access(written.value.auth.as_ref(), written.value.endpoint.as_ref(), written.at);
        let compartment = self.ocid(written.value.compartment.as_ref(), &["ocid1.compartment.", "ocid1.tenancy."]);
        let view = self.ocid(written.value.view.as_ref(), &["ocid1.dnsview."]);
        Some(OciDnsConfig { access: access?, compartment: compartment?, view: view? })
    }

    pub(super) fn ocid(&mut self, written: Option<&Spanned<String>>, kinds: &[&str]) -> Option<Option<String>> {
        let Some(written) = written else { return Some(None) };
        if kinds.iter().any(|kind| written.value.starts_with(kind)) {
            return Some(Some(written.value.clone()));
        }
        let message = format!("`{}` is not the OCID that is meant here", written.value);
        self.refuse(written.at, message, format!("it starts with `{}`", kinds.join("` or `")))
    }

    fn acme_dns(&mut self, written: &file::AcmeDns) -> Option<AcmeDnsConfig> {
        let server = self.parsed(&written.server, "write `https://host`, the URL of its API");
        let trusted_roots = match &written.trusted_roots {
            Some(path) => self.roots_text(path).map(Some),
            None => Some(None),
        };
        let at = written.accounts.at;
        let accounts = self.path(&written.accounts).and_then(|path| {
            let hint =
                "`POST /register` of the server makes an account; keep its answer in this file, under the domain";
            let path = self.existing(path, at, "the accounts of acme-dns", hint)?;
            self.private(path, Some(at))
        });
        Some(AcmeDnsConfig { server: server?, trusted_roots: trusted_roots?, accounts: accounts? })
    }

    fn exec(&mut self, written: &file::Exec) -> Option<ExecConfig> {
        let timeout = self.limit(written.timeout.as_ref(), DEFAULT_TIMEOUT);
        let command: Vec<String> = written.command.value.iter().map(|word| word.value.clone()).collect();
        if command.first().is_none_or(String::is_empty) {
            let hint = "write the program and its arguments: `command: [/usr/local/bin/dns-hook, --zone, a.test]`";
            return self.refuse(written.command.at, "the command names no program", hint);
        }
        Some(ExecConfig { command, timeout: timeout? })
    }
}

/// Names a recursive server where the file names none: `127.0.0.1:5353`, or an address alone.
const RESOLVER: &str = "CERTFERRY_RESOLVER";

/// An address of a DNS server, to show.
const DNS_SERVER: &str = "10.0.0.53:53";

const DEFAULT_PROPAGATION: Duration = Duration::from_secs(120);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
