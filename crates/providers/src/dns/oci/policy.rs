//! The least that certferry needs to be allowed in OCI DNS, as IAM policy statements
//! (<https://docs.oracle.com/iaas/Content/Identity/policyreference/dnspolicyreference.htm>). Which zone holds a name, the
//! config does not say: its place is held by `<zone of some-domain.com>`.
//!
//! GetZone takes `read dns-zones`. GetRRSet and PatchRRSet take `use dns-records`, and nothing on the zone: conditions on
//! type and domain name hold for the operations on record sets only, which are the only ones that certferry calls.

use std::collections::{BTreeMap, BTreeSet};

use certferry_core::DnsName;
use certferry_core::pointing::AddressKind;

use super::{OciDnsConfig, TXT};
use crate::load_balancer::oci::PolicyScope;

/// The statements for dns-01: values of TXT records at these names (`_acme-challenge.…`), zone by zone.
pub fn challenge_grant(config: &OciDnsConfig, scope: &PolicyScope, names: &BTreeSet<DnsName>) -> Vec<String> {
    let zones = by_zone(names);
    let read = zones.keys().map(|zone| read_zone(config, scope, zone));
    let write = zones.iter().map(|(zone, names)| records(config, scope, "use", &condition(zone, &[TXT], names)));
    read.chain(write).collect()
}

/// The statements for address records of these names: zones are read, addresses written, aliases in the way seen. Where an
/// alias is to be replaced (`--replace`), `read` of the last ones has to be `use`.
pub fn address_grant(config: &OciDnsConfig, scope: &PolicyScope, names: &BTreeSet<DnsName>) -> Vec<String> {
    let zones = by_zone(names);
    let read = zones.keys().map(|zone| read_zone(config, scope, zone));
    let of = |verb: &'static str, kinds: [AddressKind; 2]| {
        let kinds = kinds.map(AddressKind::as_str);
        zones.iter().map(move |(zone, names)| records(config, scope, verb, &condition(zone, &kinds, names)))
    };
    let write = of("use", [AddressKind::A, AddressKind::Aaaa]);
    read.chain(write).chain(of("read", [AddressKind::Cname, AddressKind::Alias])).collect()
}

/// What stands after `where`: record sets of these types at these names of one zone.
pub(super) fn condition(zone: &str, kinds: &[&str], names: &[&DnsName]) -> String {
    let kinds = any(kinds.iter().map(|kind| format!("target.dns-record.type = '{kind}'")));
    let names = any(names.iter().map(|name| format!("target.dns-domain.name = '{name}'")));
    format!("all {{target.dns-zone.name = '{zone}', {kinds}, {names}}}")
}

fn any(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    match conditions.as_slice() {
        [one] => one.clone(),
        several => format!("any {{{}}}", several.join(", ")),
    }
}

fn read_zone(config: &OciDnsConfig, scope: &PolicyScope, zone: &str) -> String {
    format!(
        "{} to read dns-zones in {} where target.dns-zone.name = '{zone}'",
        who(config, scope),
        place(config, scope)
    )
}

fn records(config: &OciDnsConfig, scope: &PolicyScope, verb: &str, condition: &str) -> String {
    format!("{} to {verb} dns-records in {} where {condition}", who(config, scope), place(config, scope))
}

fn who(config: &OciDnsConfig, scope: &PolicyScope) -> String {
    let kind = if config.access.auth.is_principal() { "dynamic-group" } else { "group" };
    format!("Allow {kind} {}", scope.group)
}

fn place(config: &OciDnsConfig, scope: &PolicyScope) -> String {
    match &config.compartment {
        Some(id) if id.starts_with("ocid1.tenancy.") => "tenancy".to_owned(),
        Some(id) => format!("compartment id {id}"),
        None => format!("compartment {}", scope.compartment),
    }
}

/// The names by what holds the place of their zone.
fn by_zone(names: &BTreeSet<DnsName>) -> BTreeMap<String, Vec<&DnsName>> {
    let mut zones: BTreeMap<String, Vec<&DnsName>> = BTreeMap::new();
    for name in names {
        let top = std::iter::successors(Some(name.clone()), DnsName::parent).last();
        let top = top.unwrap_or_else(|| name.clone());
        zones.entry(format!("<zone of {top}>")).or_default().push(name);
    }
    zones
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load_balancer::oci::{ApiKeyFile, Auth, InstancePrincipal, OciAccess};

    fn config(auth: Auth, compartment: Option<&str>) -> OciDnsConfig {
        let compartment = compartment.map(str::to_owned);
        OciDnsConfig { access: OciAccess::signed_by(auth), compartment, view: None }
    }

    fn user() -> Auth {
        Auth::ApiKey(ApiKeyFile { config_file: "x".into(), profile: "DEFAULT".to_owned(), pass_phrase: None })
    }

    fn names(names: &[&str]) -> BTreeSet<DnsName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn scope() -> PolicyScope {
        PolicyScope { group: "'Default'/'acme'".to_owned(), compartment: "dns".to_owned() }
    }

    #[test]
    fn challenges_take_txt_at_their_names_zone_by_zone() {
        let names =
            names(&["_acme-challenge.some-domain.com", "_acme-challenge.www.some-domain.com", "_acme-challenge.x.net"]);
        assert_eq!(
            challenge_grant(&config(user(), None), &scope(), &names),
            [
                "Allow group 'Default'/'acme' to read dns-zones in compartment dns where target.dns-zone.name = '<zone of \
                 some-domain.com>'",
                "Allow group 'Default'/'acme' to read dns-zones in compartment dns where target.dns-zone.name = '<zone of \
                 x.net>'",
                "Allow group 'Default'/'acme' to use dns-records in compartment dns where all {target.dns-zone.name = \
                 '<zone of some-domain.com>', target.dns-record.type = 'TXT', any {target.dns-domain.name = \
                 '_acme-challenge.some-domain.com', target.dns-domain.name = '_acme-challenge.www.some-domain.com'}}",
                "Allow group 'Default'/'acme' to use dns-records in compartment dns where all {target.dns-zone.name = \
                 '<zone of x.net>', target.dns-record.type = 'TXT', target.dns-domain.name = '_acme-challenge.x.net'}",
            ]
        );
    }

    #[test]
    fn address_records_take_addresses_and_the_sight_of_aliases() {
        let config = config(Auth::InstancePrincipal(InstancePrincipal::default()), Some("ocid1.compartment.oc1..dns"));
        let grant = address_grant(&config, &scope(), &names(&["*.some-domain.com"]));
        let who = "Allow dynamic-group 'Default'/'acme'";
        let place = "in compartment id ocid1.compartment.oc1..dns where";
        assert_eq!(
            grant,
            [
                format!("{who} to read dns-zones {place} target.dns-zone.name = '<zone of some-domain.com>'"),
                format!(
                    "{who} to use dns-records {place} all {{target.dns-zone.name = '<zone of some-domain.com>', any \
                     {{target.dns-record.type = 'A', target.dns-record.type = 'AAAA'}}, target.dns-domain.name = \
                     '*.some-domain.com'}}"
                ),
                format!(
                    "{who} to read dns-records {place} all {{target.dns-zone.name = '<zone of some-domain.com>', any \
                     {{target.dns-record.type = 'CNAME', target.dns-record.type = 'ALIAS'}}, target.dns-domain.name = \
                     '*.some-domain.com'}}"
                ),
            ]
        );
    }
}
