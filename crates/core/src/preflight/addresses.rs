//! Where a name points, against where its load balancers are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Concern, Severity};
use crate::name::DnsName;

/// A name, and where it should lead.
#[derive(Clone, Copy, Debug)]
pub struct NameOnLoadBalancer<'a> {
    /// The name.
    pub name: &'a DnsName,
    /// The load balancers, for people.
    pub load_balancer: &'a str,
    /// Their addresses, as they themselves say.
    pub expected: &'a [IpAddr],
    /// Whether the CA's http-01 requests come to where it points; otherwise only clients do.
    pub is_validated_there: bool,
    /// The command that makes such records, where the config has a DNS provider that can.
    pub command: Option<&'a str>,
}

/// What DNS says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// A records; empty when there are none, or no such name.
    pub a: Result<Vec<Ipv4Addr>, LookupFailure>,
    /// AAAA records; empty when there are none, or no such name.
    pub aaaa: Result<Vec<Ipv6Addr>, LookupFailure>,
}

/// Why DNS did not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupFailure {
    /// The resolver itself reports that the zone's servers fail (SERVFAIL): a CA's resolver most likely finds the same.
    pub is_of_the_zone: bool,
    /// What was said, or not.
    pub said: String,
}

/// What is wrong with where a name points.
pub fn addresses(on: &NameOnLoadBalancer<'_>, found: &Lookups) -> Vec<Concern> {
    let concern = |severity: Severity, said: String, fix: String| Concern {
        severity: if on.is_validated_there { severity } else { Severity::Warning },
        subject: format!("name `{}`", on.name),
        said,
        fix,
    };
    let mut concerns = Vec::new();
    for (kind, failure) in [("A", found.a.as_ref().err()), ("AAAA", found.aaaa.as_ref().err())] {
        let Some(failure) = failure else { continue };
        let severity = if failure.is_of_the_zone { Severity::Error } else { Severity::Warning };
        let fix = match failure.is_of_the_zone {
            true => "look at the zone's name servers and its DNSSEC signatures; a CA gives up on such an answer too",
            false => "see whether this machine can ask its resolver (/etc/resolv.conf)",
        };
        concerns.push(concern(severity, format!("{kind} records cannot be read: {}", failure.said), fix.to_owned()));
    }
    let a = found.a.iter().flatten().copied().map(IpAddr::V4);
    let all: Vec<IpAddr> = a.chain(found.aaaa.iter().flatten().copied().map(IpAddr::V6)).collect();
    if all.is_empty() && concerns.is_empty() {
        let said = "it has no address: neither an A nor an AAAA record".to_owned();
        concerns.push(concern(Severity::Error, said, records_to_make(on)));
    }
    let wrong: Vec<IpAddr> = all.into_iter().filter(|address| !on.expected.contains(address)).collect();
    // Where the load balancer is not known there is nothing to compare with, and its own failure is told elsewhere.
    if on.expected.is_empty() || wrong.is_empty() {
        return concerns;
    }
    if on.expected.iter().all(is_private) && wrong.iter().all(|address| !is_private(address)) {
        let said = format!(
            "it points to {}, and load balancer {} has private addresses only ({}): whether the one leads to the other \
             cannot be seen from here",
            list(&wrong),
            on.load_balancer,
            list(on.expected)
        );
        let fix = "see that the NAT, firewall or proxy at that address passes ports 80 and 443 on to the load balancer";
        concerns.push(concern(Severity::Warning, said, fix.to_owned()));
        return concerns;
    }
    let has_v6 = on.expected.iter().any(IpAddr::is_ipv6);
    let (lonely, elsewhere): (Vec<IpAddr>, Vec<IpAddr>) =
        wrong.into_iter().partition(|address| address.is_ipv6() && !has_v6);
    if !lonely.is_empty() {
        let said = format!(
            "its AAAA record says {}, and load balancer {} has no IPv6 address; CAs and clients try IPv6 first",
            list(&lonely),
            on.load_balancer
        );
        concerns.push(concern(
            Severity::Error,
            said,
            "remove the AAAA record, or give the load balancer IPv6".to_owned(),
        ));
    }
    if !elsewhere.is_empty() {
        let said = format!(
            "it points to {}, which is none of the addresses of load balancer {} ({})",
            list(&elsewhere),
            on.load_balancer,
            list(on.expected)
        );
        concerns.push(concern(Severity::Error, said, records_to_make(on)));
    }
    concerns
}

/// What is wrong with an IP address as a name, when its load balancers have `expected`: a client of that address, and the
/// CA, connect to it without asking DNS.
pub fn own_address(address: IpAddr, load_balancer: &str, expected: &[IpAddr]) -> Option<Concern> {
    if expected.is_empty() || expected.contains(&address) {
        return None;
    }
    let concern = |severity: Severity, said: String, fix: String| {
        Some(Concern { severity, subject: format!("IP address `{address}`"), said, fix })
    };
    if expected.iter().all(is_private) && !is_private(&address) {
        let said = format!(
            "load balancer {load_balancer} has private addresses only ({}): whether this one leads to it cannot be seen \
             from here",
            list(expected)
        );
        let fix = "see that the NAT, firewall or proxy at that address passes ports 80 and 443 on to the load balancer";
        return concern(Severity::Warning, said, fix.to_owned());
    }
    let said = format!("it is none of the addresses of load balancer {load_balancer} ({})", list(expected));
    concern(
        Severity::Error,
        said,
        "write an address of the load balancer, or deploy the certificate to the one that has this address".to_owned(),
    )
}

fn records_to_make(on: &NameOnLoadBalancer<'_>) -> String {
    let record = |address: &IpAddr| match address {
        IpAddr::V4(address) => format!("`{}. A {address}`", on.name),
        IpAddr::V6(address) => format!("`{}. AAAA {address}`", on.name),
    };
    let public: Vec<String> = on.expected.iter().filter(|address| !is_private(address)).map(record).collect();
    if public.is_empty() {
        return format!("point it to where load balancer {} is reached from outside", on.load_balancer);
    }
    let by_hand = format!("in DNS, it should be {}", public.join(" and "));
    match on.command {
        Some(command) => format!("{by_hand}; `{command}` makes that so, after asking"),
        None => by_hand,
    }
}

/// Addresses that the internet does not route: RFC 1918, RFC 6598 (carrier NAT), loopback, link-local; RFC 4193.
pub(crate) fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(expected: &[&str], found: &[&str], is_validated_there: bool) -> Vec<Concern> {
        let name = "www.some-domain.com".parse().unwrap();
        let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let expected = parsed(expected);
        let on = NameOnLoadBalancer {
            name: &name,
            load_balancer: "`front`",
            expected: &expected,
            is_validated_there,
            command: Some("certferry dns point www"),
        };
        let mut lookups = Lookups { a: Ok(Vec::new()), aaaa: Ok(Vec::new()) };
        for address in parsed(found) {
            match address {
                IpAddr::V4(address) => lookups.a.as_mut().unwrap().push(address),
                IpAddr::V6(address) => lookups.aaaa.as_mut().unwrap().push(address),
            }
        }
        addresses(&on, &lookups)
    }

    #[test]
    fn where_a_name_points_is_judged() {
        use Severity::{Error, Warning};
        let (public, other, six, private) = ("203.0.113.10", "203.0.113.99", "2001:db8::1", "10.0.0.7");
        for (expected, found, findings) in [
            (&[public][..], &[public][..], &[][..]),
            (&[public, six], &[public], &[]),
            (&[public, six], &[public, six], &[]),
            (&[public], &[], &[(Error, "no address")]),
            (&[public], &[other], &[(Error, "points to 203.0.113.99")]),
            (&[public], &[public, other], &[(Error, "points to 203.0.113.99")]),
            (&[public], &[public, six], &[(Error, "no IPv6")]),
            (&[public, "2001:db8::2"], &[public, six], &[(Error, "points to 2001:db8::1")]),
            (&[public], &[other, six], &[(Error, "no IPv6"), (Error, "points to 203.0.113.99")]),
            (&[public], &[private], &[(Error, "points to 10.0.0.7")]),
            // Behind NAT, or not.
            (&[private], &[public], &[(Warning, "cannot be seen from here")]),
            (&["100.64.0.1", "fd00::1"], &[public, six], &[(Warning, "cannot be seen from here")]),
            (&[private], &[private], &[]),
            (&[private], &["10.0.0.8"], &[(Error, "points to 10.0.0.8")]),
            (&[private, public], &[other], &[(Error, "points to 203.0.113.99")]),
            // Nothing to compare with.
            (&[], &[public], &[]),
            (&[], &[], &[(Error, "no address")]),
        ] {
            let seen = judged(expected, found, true);
            assert_eq!(seen.len(), findings.len(), "{expected:?} {found:?}: {seen:?}");
            for (concern, (severity, piece)) in seen.iter().zip(findings) {
                assert!(
                    concern.severity == *severity && concern.said.contains(piece),
                    "{expected:?} {found:?}: {concern:?}"
                );
                assert!(!concern.fix.is_empty() && concern.subject.contains("www.some-domain.com"));
            }
        }
        let fix = "`www.some-domain.com. A 203.0.113.10`; `certferry dns point www` makes that so";
        assert!(judged(&[public], &[], true)[0].fix.contains(fix));
        let elsewhere = judged(&[public], &[other], false);
        assert_eq!(elsewhere[0].severity, Warning, "no CA comes there");
    }

    #[test]
    fn an_address_is_compared_with_those_of_its_load_balancers() {
        let (public, other, six, private) = ("203.0.113.10", "203.0.113.99", "2001:db8::1", "10.0.0.7");
        for (address, expected, severity) in [
            (public, &[public, six][..], None),
            (six, &[public, six], None),
            (other, &[public, six], Some(Severity::Error)),
            (six, &[public], Some(Severity::Error)),
            (private, &[public], Some(Severity::Error)),
            (private, &["10.0.0.8"], Some(Severity::Error)),
            // Behind NAT, or not.
            (public, &[private], Some(Severity::Warning)),
            // Nothing to compare with.
            (public, &[], None),
        ] {
            let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
            let concern = own_address(address.parse().unwrap(), "`front`", &expected);
            assert_eq!(concern.as_ref().map(|concern| concern.severity), severity, "{address} {expected:?}");
            if let Some(concern) = concern {
                assert!(concern.said.contains("`front`") && concern.subject.contains(address), "{concern:?}");
                assert!(!concern.fix.is_empty());
            }
        }
    }

    #[test]
    fn a_zone_that_fails_is_an_error_and_a_resolver_that_is_silent_a_warning() {
        let name = "www.some-domain.com".parse().unwrap();
        let expected = ["203.0.113.10".parse().unwrap()];
        let on = NameOnLoadBalancer {
            name: &name,
            load_balancer: "`front`",
            expected: &expected,
            is_validated_there: true,
            command: None,
        };
        for (is_of_the_zone, severity) in [(true, Severity::Error), (false, Severity::Warning)] {
            let failure = LookupFailure { is_of_the_zone, said: "no".to_owned() };
            let seen =
                addresses(&on, &Lookups { a: Ok(vec![Ipv4Addr::new(203, 0, 113, 10)]), aaaa: Err(failure.clone()) });
            assert_eq!(seen.iter().map(|one| one.severity).collect::<Vec<_>>(), [severity]);
            assert!(seen[0].said.starts_with("AAAA"));
            let both = addresses(&on, &Lookups { a: Err(failure.clone()), aaaa: Err(failure) });
            assert_eq!(both.len(), 2, "that it has no address is not known");
        }
    }
}
