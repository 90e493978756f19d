//! What it takes to point a name at its load balancer: the records that its zone has, against the addresses that the load
//! balancer says it has.

use std::fmt;
use std::net::IpAddr;

use crate::name::{DnsName, LoadBalancerName};
use crate::preflight::is_private;

/// The records of one name that say where it is, as they stand in the zone; what a wildcard of the zone or an alias would
/// answer with is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRecords {
    /// The zone that holds them.
    pub zone: DnsName,
    /// Who can see the zone.
    pub seen_from: SeenFrom,
    /// The records.
    pub records: Vec<AddressRecord>,
}

/// Who can see a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenFrom {
    /// Everybody.
    Everywhere,
    /// Those inside a network only.
    Inside,
    /// Its provider does not say.
    Unknown,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRecord {
    /// What it says.
    pub data: AddressData,
    /// Its time to live, in seconds.
    pub ttl: u32,
}

/// What a record says of where a name is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressData {
    /// An A or AAAA record.
    Address(IpAddr),
    /// OCI's ALIAS record: a CNAME that may stand at the top of a zone. With its target.
    Alias(String),
    /// A CNAME record, with its target.
    Cname(String),
}

impl AddressData {
    /// The type of its record.
    pub fn kind(&self) -> AddressKind {
        match self {
            Self::Address(IpAddr::V4(_)) => AddressKind::A,
            Self::Address(IpAddr::V6(_)) => AddressKind::Aaaa,
            Self::Alias(_) => AddressKind::Alias,
            Self::Cname(_) => AddressKind::Cname,
        }
    }

    /// The address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Alias(_) | Self::Cname(_) => None,
        }
    }

    /// What stands behind the type.
    pub fn value(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Alias(target) | Self::Cname(target) => target.clone(),
        }
    }
}

impl fmt::Display for AddressData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever wrote the zone chose the target.
        let value = self.value().replace(char::is_control, " ");
        write!(formatter, "{} {value}", self.kind().as_str())
    }
}

/// The types of records that say where a name is, in the order in which sets of them are changed: nothing stands beside a
/// CNAME (RFC 1034 §3.6.2), so it goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKind {
    /// CNAME.
    Cname,
    /// OCI's ALIAS.
    Alias,
    /// A.
    A,
    /// AAAA.
    Aaaa,
}

impl AddressKind {
    /// All of them, in that order.
    pub const ALL: [Self; 4] = [Self::Cname, Self::Alias, Self::A, Self::Aaaa];

    /// The type as zone files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Alias => "ALIAS",
            Self::Cname => "CNAME",
        }
    }
}

/// What is asked for one name.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The load balancer that it shall lead to.
    pub load_balancer: &'a LoadBalancerName,
    /// The addresses at which that one serves the name, as it says itself.
    pub addresses: &'a [IpAddr],
    /// What the zone has.
    pub found: &'a AddressRecords,
    /// Where the name's alias leads, as resolvers say; empty where there is none or that is not known.
    pub alias_leads_to: &'a [IpAddr],
    /// What the operator wants.
    pub options: &'a PointOptions,
}

/// What the operator wants of all names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointOptions {
    /// Take away what is there and is none of the load balancer's.
    pub replace: bool,
    /// A zone whose provider does not say who can see it is seen from inside only.
    pub inside: bool,
    /// The time to live of new record sets, in seconds.
    pub ttl: u32,
}

/// What is to be done for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it leads there already, and how.
    Already(String),
    /// Nothing that may be done without a person.
    Refuse {
        /// What is so.
        said: String,
        /// What a person can do.
        fix: String,
    },
    /// These sets, in this order.
    Write(Vec<SetChange>),
}

/// A change of one record set: what it was when the change was decided on, and what it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetChange {
    /// The type of its records.
    pub kind: AddressKind,
    /// What was there; if something else is there by now, the change is off.
    pub found: Vec<AddressRecord>,
    /// The addresses that shall be there, and nothing else.
    pub wanted: Vec<IpAddr>,
    /// The time to live of the set, in seconds.
    pub ttl: u32,
}

impl SetChange {
    /// The records that go.
    pub fn removed(&self) -> impl Iterator<Item = &AddressRecord> {
        self.found.iter().filter(|record| !record.data.address().is_some_and(|address| self.wanted.contains(&address)))
    }

    /// The addresses that come.
    pub fn added(&self) -> impl Iterator<Item = &IpAddr> {
        let is_there = |address: &IpAddr| self.found.iter().any(|record| record.data.address() == Some(*address));
        self.wanted.iter().filter(move |address| !is_there(address))
    }
}

impl fmt::Display for SetChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed: Vec<String> = self.removed().map(|record| record.data.to_string()).collect();
        let added: Vec<String> = self.added().map(|address| AddressData::Address(*address).to_string()).collect();
        match (removed.is_empty(), added.is_empty()) {
            (true, _) => write!(formatter, "add {} (TTL {})", added.join(", "), self.ttl),
            (false, true) => write!(formatter, "remove {}", removed.join(", ")),
            (false, false) => {
                write!(formatter, "replace {} by {} (TTL {})", removed.join(", "), added.join(", "), self.ttl)
            }
        }
    }
}

/// What is to be done so that a name leads to its load balancer.
pub fn decide(question: &Question<'_>) -> Decision {
    let Question { found, options, load_balancer, .. } = *question;
    if question.addresses.is_empty() {
        return Decision::Refuse {
            said: format!("load balancer `{load_balancer}` says no address at which it serves the name"),
            fix: "see `certferry check --online`: is the listener there, and has it an address?".to_owned(),
        };
    }
    let wanted = fitting(question);
    if wanted.is_empty() {
        return Decision::Refuse {
            said: format!(
                "load balancer `{load_balancer}` has private addresses only ({}), and {}",
                list(question.addresses),
                match found.seen_from {
                    SeenFrom::Unknown => format!("zone {} may be seen by everybody", found.zone),
                    _ => format!("zone {} is seen by everybody", found.zone),
                }
            ),
            fix: match found.seen_from {
                SeenFrom::Unknown => {
                    "`--inside` says that the zone is seen from inside only; else point the name by hand \
                                      to the NAT or firewall in front"
                        .to_owned()
                }
                _ => "point the name by hand to the NAT or firewall in front of the load balancer".to_owned(),
            },
        };
    }
    let is_wanted = |record: &&AddressRecord| record.data.address().is_some_and(|address| wanted.contains(&address));
    let others: Vec<&AddressRecord> = found.records.iter().filter(|record| !is_wanted(record)).collect();
    let leads_there = |address: &IpAddr| wanted.contains(address);
    let alias = others.iter().find(|record| record.data.address().is_none());
    if let Some(alias) = alias.filter(|_| others.len() == 1 && question.alias_leads_to.iter().any(leads_there))
        && question.alias_leads_to.iter().all(leads_there)
    {
        return Decision::Already(format!("by way of {}", alias.data));
    }
    let changes: Vec<SetChange> = AddressKind::ALL.iter().filter_map(|kind| change(*kind, question, &wanted)).collect();
    if changes.is_empty() {
        return Decision::Already(list(&wanted));
    }
    if !others.is_empty() && !options.replace {
        let others: Vec<String> = others.iter().map(|record| record.data.to_string()).collect();
        return Decision::Refuse {
            said: format!(
                "zone {} has {} there, which does not lead to load balancer `{load_balancer}` ({})",
                found.zone,
                others.join(", "),
                list(&wanted)
            ),
            fix: "if that may go, add `--replace`".to_owned(),
        };
    }
    Decision::Write(changes)
}

/// The addresses of the load balancer that belong into the zone.
fn fitting(question: &Question<'_>) -> Vec<IpAddr> {
    let (mut inside, mut outside): (Vec<IpAddr>, Vec<IpAddr>) =
        question.addresses.iter().partition(|one| is_private(one));
    for side in [&mut inside, &mut outside] {
        side.sort();
        side.dedup();
    }
    let is_inside = match question.found.seen_from {
        SeenFrom::Everywhere => false,
        SeenFrom::Inside => true,
        SeenFrom::Unknown => question.options.inside,
    };
    if is_inside && !inside.is_empty() { inside } else { outside }
}

fn change(kind: AddressKind, question: &Question<'_>, wanted: &[IpAddr]) -> Option<SetChange> {
    let records = question.found.records.iter().filter(|record| record.data.kind() == kind);
    let found: Vec<AddressRecord> = records.cloned().collect();
    let of_kind = |address: &&IpAddr| AddressData::Address(**address).kind() == kind;
    let wanted: Vec<IpAddr> = wanted.iter().filter(of_kind).copied().collect();
    let mut change = SetChange { kind, found, wanted, ttl: question.options.ttl };
    // One time to live holds for a whole set: where somebody's record stays, so does theirs.
    let kept = change.found.iter().find(|record| change.removed().all(|removed| removed != *record));
    if let Some(kept) = kept {
        change.ttl = kept.ttl;
    }
    let is_needed = change.removed().next().is_some() || change.added().next().is_some();
    is_needed.then_some(change)
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FOUR: &str = "203.0.113.10";
    const SIX: &str = "2001:db8::10";
    const OTHER: &str = "198.51.100.1";
    const PRIVATE: &str = "10.0.0.7";

    fn data(text: &str) -> AddressData {
        match text.split_once(' ') {
            Some(("CNAME", target)) => AddressData::Cname(target.to_owned()),
            Some((_, target)) => AddressData::Alias(target.to_owned()),
            None => AddressData::Address(text.parse().unwrap()),
        }
    }

    fn records(seen_from: SeenFrom, found: &[&str]) -> AddressRecords {
        let records = found.iter().map(|text| AddressRecord { data: data(text), ttl: 3600 }).collect();
        AddressRecords { zone: "some-domain.com".parse().unwrap(), seen_from, records }
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// The decision as one line: `already: …`, `refuse: …`, or the changes.
    fn decided(found: &AddressRecords, own: &[&str], leads_to: &[&str], options: PointOptions) -> String {
        let (own, leads_to) = (addresses(own), addresses(leads_to));
        let load_balancer = "front".parse().unwrap();
        let question = Question {
            load_balancer: &load_balancer,
            addresses: &own,
            found,
            alias_leads_to: &leads_to,
            options: &options,
        };
        match decide(&question) {
            Decision::Already(how) => format!("already: {how}"),
            Decision::Refuse { said, fix } => format!("refuse: {said}; {fix}"),
            Decision::Write(changes) => changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    const PLAIN: PointOptions = PointOptions { replace: false, inside: false, ttl: 300 };
    const REPLACE: PointOptions = PointOptions { replace: true, ..PLAIN };

    #[test]
    fn records_are_added_where_there_are_none_and_nothing_of_others_is_touched() {
        for (own, found, without, with) in [
            (&[FOUR][..], &[][..], "add A 203.0.113.10 (TTL 300)", "add A 203.0.113.10 (TTL 300)"),
            (
                &[SIX, FOUR, FOUR],
                &[],
                "add A 203.0.113.10 (TTL 300); add AAAA 2001:db8::10 (TTL 300)",
                "add A 203.0.113.10 (TTL 300); add AAAA 2001:db8::10 (TTL 300)",
            ),
            (&[FOUR], &[FOUR], "already: 203.0.113.10", "already: 203.0.113.10"),
            // What is missing beside ours is added, with the time to live that the set has.
            (&[FOUR, SIX], &[FOUR], "add AAAA 2001:db8::10 (TTL 300)", "add AAAA 2001:db8::10 (TTL 300)"),
            (&[FOUR, "203.0.113.11"], &[FOUR], "add A 203.0.113.11 (TTL 3600)", "add A 203.0.113.11 (TTL 3600)"),
            (
                &[FOUR],
                &[OTHER],
                "refuse: zone some-domain.com has A 198.51.100.1 there",
                "replace A 198.51.100.1 by A 203.0.113.10 (TTL 300)",
            ),
            (&[FOUR], &[FOUR, OTHER], "refuse: zone some-domain.com has A 198.51.100.1", "remove A 198.51.100.1"),
            (&[FOUR], &[FOUR, SIX], "refuse: zone some-domain.com has AAAA 2001:db8::10", "remove AAAA 2001:db8::10"),
            (
                &[FOUR],
                &["CNAME lb.other.net."],
                "refuse: zone some-domain.com has CNAME lb.other.net. there",
                "remove CNAME lb.other.net.; add A 203.0.113.10 (TTL 300)",
            ),
            (
                &[FOUR],
                &["ALIAS lb.other.net.", SIX],
                "refuse: zone some-domain.com has ALIAS lb.other.net., AAAA 2001:db8::10",
                "remove ALIAS lb.other.net.; add A 203.0.113.10 (TTL 300); remove AAAA 2001:db8::10",
            ),
            // The private one of two has no place in a zone that everybody sees.
            (&[FOUR, PRIVATE], &[], "add A 203.0.113.10 (TTL 300)", "add A 203.0.113.10 (TTL 300)"),
            (&[FOUR, PRIVATE], &[PRIVATE], "refuse: zone", "replace A 10.0.0.7 by A 203.0.113.10 (TTL 300)"),
            (&[PRIVATE], &[], "private addresses only (10.0.0.7), and zone", "point the name by hand"),
            (&[], &[FOUR], "refuse: load balancer `front` says no address", "check --online"),
        ] {
            let found = records(SeenFrom::Everywhere, found);
            for (options, expected) in [(PLAIN, without), (REPLACE, with)] {
                let seen = decided(&found, own, &[], options);
                assert!(seen.contains(expected), "{own:?} {found:?} {options:?}: {seen}");
                let is_refused = expected.starts_with("refuse");
                assert!(!is_refused || options.replace || seen.contains("; "), "{seen}");
            }
        }
    }

    #[test]
    fn an_alias_that_leads_to_the_load_balancer_is_left_alone() {
        let found = records(SeenFrom::Everywhere, &["CNAME lb.some-domain.com."]);
        for (leads_to, expected) in [
            (&[FOUR][..], "already: by way of CNAME lb.some-domain.com."),
            (&[FOUR, OTHER], "refuse: "),
            (&[], "refuse: "),
        ] {
            let seen = decided(&found, &[FOUR], leads_to, PLAIN);
            assert!(seen.starts_with(expected), "{leads_to:?}: {seen}");
        }
        assert!(decided(&found, &[FOUR], &[FOUR], REPLACE).starts_with("already"), "there is no need to");
    }

    #[test]
    fn private_addresses_belong_into_zones_that_are_seen_from_inside() {
        let inside = PointOptions { inside: true, ..PLAIN };
        for (seen_from, options, expected) in [
            (SeenFrom::Inside, PLAIN, "add A 10.0.0.7 (TTL 300)"),
            (SeenFrom::Everywhere, inside, "add A 203.0.113.10 (TTL 300)"),
            (SeenFrom::Unknown, PLAIN, "add A 203.0.113.10 (TTL 300)"),
            (SeenFrom::Unknown, inside, "add A 10.0.0.7 (TTL 300)"),
        ] {
            let found = records(seen_from, &[]);
            assert_eq!(decided(&found, &[FOUR, PRIVATE], &[], options), expected, "{seen_from:?} {options:?}");
        }
        let unknown = decided(&records(SeenFrom::Unknown, &[]), &[PRIVATE], &[], PLAIN);
        assert!(unknown.contains("may be seen by everybody") && unknown.contains("`--inside`"), "{unknown}");
        assert_eq!(decided(&records(SeenFrom::Inside, &[]), &[FOUR], &[], PLAIN), "add A 203.0.113.10 (TTL 300)");
    }

    fn some_data() -> impl Strategy<Value = AddressData> {
        prop_oneof![
            prop::sample::select(vec![FOUR, SIX, OTHER, PRIVATE, "198.51.100.2"]).prop_map(data),
            Just(data("CNAME other.net.")),
        ]
    }

    proptest! {
        /// Carried out, a decision leads to the load balancer; without `replace`, everything that was there still is.
        #[test]
        fn what_is_decided_is_enough_and_no_more(
            found in prop::collection::btree_set(some_data(), 0..4),
            own in prop::collection::vec(prop::sample::select(vec![FOUR, SIX, "203.0.113.11"]), 1..3),
            replace in any::<bool>(),
        ) {
            let found: Vec<AddressRecord> = found.into_iter().map(|data| AddressRecord { data, ttl: 60 }).collect();
            let own = addresses(&own);
            let zone = AddressRecords { records: found.clone(), ..records(SeenFrom::Everywhere, &[]) };
            let options = PointOptions { replace, ..PLAIN };
            let load_balancer = "front".parse().unwrap();
            let question = Question {
                load_balancer: &load_balancer, addresses: &own, found: &zone, alias_leads_to: &[], options: &options,
            };
            if let Decision::Write(changes) = decide(&question) {
                let mut after: Vec<AddressData> = found.iter().map(|record| record.data.clone()).collect();
                for change in &changes {
                    prop_assert!(replace || change.removed().next().is_none());
                    after.retain(|data| change.removed().all(|removed| removed.data != *data));
                    after.extend(change.added().map(|address| AddressData::Address(*address)));
                }
                after.sort();
                let mut wanted: Vec<AddressData> = own.iter().map(|address| AddressData::Address(*address)).collect();
                wanted.sort();
                wanted.dedup();
                prop_assert_eq!(after, wanted);
            } else {
                let is_own = |record: &AddressRecord| record.data.address().is_some_and(|address| own.contains(&address));
                prop_assert!(!replace || found.iter().all(is_own));
            }
        }
    }
}
