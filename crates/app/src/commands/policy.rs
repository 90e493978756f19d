//! `certferry policy NAME`: the least-privilege grant that this config needs on a load balancer or at a DNS provider.

use std::collections::BTreeSet;

use certferry_core::{DnsName, DnsProviderName, Identifier, LoadBalancerName};
use certferry_providers::dns::oci::{OciDnsConfig, address_grant, challenge_grant};
use certferry_providers::load_balancer::{avi, oci};
use serde::Serialize;
use serde_json::Value;

use crate::cli::GlobalOptions;
use crate::config::{Config, DnsProvider, Provider};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(global: &GlobalOptions, name: &str) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let (load_balancer, dns) = (config.load_balancers.get_key_value(name), config.dns.get_key_value(name));
    let documents: Vec<PolicyDocument<'_>> = match (load_balancer, dns) {
        (None, None) => return Err(unknown(name, &config)),
        (load_balancer, dns) => {
            let of_load_balancer = load_balancer.map(|(name, one)| of_load_balancer(name, &one.provider));
            let of_dns = dns.map(|(name, one)| of_dns(name, &one.provider, &config)).transpose()?;
            of_load_balancer.into_iter().chain(of_dns).collect()
        }
    };
    match documents.as_slice() {
        [document] if global.wants_json() => output::json(document),
        // A load balancer and a DNS provider may have the same name.
        several if global.wants_json() => output::json(&SeveralDocument { policies: several }),
        several => several.iter().for_each(|document| output::line(document.text.trim_end())),
    }
    Ok(Exit::Healthy)
}

fn of_load_balancer<'a>(name: &'a LoadBalancerName, provider: &Provider) -> PolicyDocument<'a> {
    let (dynamic_group, text, grant) = match provider {
        Provider::Avi(avi) => (None, avi::policy(avi), Grant::Role(avi::role(avi))),
        Provider::Oci(oci) => {
            let statements = oci::policy(oci, &oci::PolicyScope::default());
            (oci::dynamic_group(&oci.access.auth), statements.join("\n"), Grant::Statements(statements))
        }
    };
    let text = matching_rule(dynamic_group) + &text;
    PolicyDocument { load_balancer: Some(name.as_str()), dns_provider: None, dynamic_group, grant, text }
}

fn of_dns<'a>(
    name: &'a DnsProviderName,
    provider: &DnsProvider,
    config: &Config,
) -> Result<PolicyDocument<'a>, Failure> {
    let DnsProvider::Oci(oci) = provider else {
        return Err(Failure::Usage(format!(
            "DNS provider `{name}` has no policies: what it may do, its own server or program says (docs/dns.md)"
        )));
    };
    let (challenges, addresses) = (challenge_names(name, config)?, deployed_names(config));
    let scope = oci::PolicyScope::default();
    let dns = OciDnsGrant {
        statements: challenge_grant(oci, &scope, &challenges),
        address_records: address_grant(oci, &scope, &addresses),
    };
    let dynamic_group = oci::dynamic_group(&oci.access.auth);
    let text = matching_rule(dynamic_group) + &dns.text(oci);
    let grant = Grant::OciDns(dns);
    Ok(PolicyDocument { load_balancer: None, dns_provider: Some(name.as_str()), dynamic_group, grant, text })
}

/// The records of dns-01 that this provider writes, where no CNAME leads elsewhere.
fn challenge_names(provider: &DnsProviderName, config: &Config) -> Result<BTreeSet<DnsName>, Failure> {
    let specs = config.desired.certificates.iter().filter(|spec| spec.dns01.as_ref() == Some(provider));
    Ok(specs
        .flat_map(|spec| spec.version.names.iter().filter_map(Identifier::dns))
        .map(DnsName::dns01_record)
        .collect::<Result<_, _>>()?)
}

/// The names that `dns point` can point.
fn deployed_names(config: &Config) -> BTreeSet<DnsName> {
    let specs = config.desired.certificates.iter().filter(|spec| !spec.deploy.is_empty());
    specs.flat_map(|spec| spec.version.names.iter().filter_map(Identifier::dns).cloned()).collect()
}

fn matching_rule(dynamic_group: Option<&str>) -> String {
    dynamic_group.map(|rule| format!("Matching rule of the dynamic group: {rule}\n\n")).unwrap_or_default()
}

fn unknown(name: &str, config: &Config) -> Failure {
    let load_balancers = config.load_balancers.keys().map(LoadBalancerName::as_str);
    let known = load_balancers.chain(config.dns.keys().map(DnsProviderName::as_str)).collect::<Vec<_>>().join(", ");
    Failure::Usage(format!("the config has no load balancer and no DNS provider `{name}`; it has: {known}"))
}

/// `policy --output json`.
#[derive(Serialize)]
struct PolicyDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    load_balancer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns_provider: Option<&'a str>,
    /// The matching rule of the dynamic group that the statements name, where they name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_group: Option<&'a str>,
    #[serde(flatten)]
    grant: Grant,
    /// For people.
    #[serde(skip)]
    text: String,
}

/// The same where a load balancer and a DNS provider have the name.
#[derive(Serialize)]
struct SeveralDocument<'a> {
    policies: &'a [PolicyDocument<'a>],
}

/// In the other side's words.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Grant {
    /// As `POST /api/role` of an Avi controller takes it.
    Role(Value),
    /// Of an OCI policy.
    Statements(Vec<String>),
    /// Of an OCI policy, for OCI DNS. (Last, as serde wants those without a tag.)
    #[serde(untagged)]
    OciDns(OciDnsGrant),
}

#[derive(Serialize)]
struct OciDnsGrant {
    /// For dns-01; empty where no certificate uses it.
    statements: Vec<String>,
    /// What `certferry dns point` needs.
    address_records: Vec<String>,
}

impl OciDnsGrant {
    fn text(&self, config: &OciDnsConfig) -> String {
        let mut parts = Vec::new();
        if !self.statements.is_empty() {
            parts.push(format!("# dns-01\n{}", self.statements.join("\n")));
        }
        if !self.address_records.is_empty() {
            let note = "for `certferry dns point` only; with --replace of aliases, `use` instead of the last `read`";
            parts.push(format!("# {note}\n{}", self.address_records.join("\n")));
        }
        if parts.is_empty() {
            return "nothing: no certificate uses it, and none is deployed".to_owned();
        }
        let mut text = parts.join("\n\n");
        text.push_str(
            "\n\nWrite the zone's name for `<zone of …>`; where `_acme-challenge` is a CNAME, its target for the name",
        );
        if config.compartment.is_none() {
            text.push_str(", and the compartment of the zones");
        }
        text
    }
}
