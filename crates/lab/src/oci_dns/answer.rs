//! What an authoritative server answers from its zones (RFC 1034 §4.3.2), wildcards (RFC 4592) and aliases included.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Zone, rdata};

/// The answer to a question, from these zones. Aliases are followed as far as they stay in them.
pub(super) fn answer(zones: &BTreeMap<String, Zone>, query: &Message) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.add_queries(query.queries.iter().cloned());
    let Some(question) = query.queries.first().filter(|_| query.metadata.op_code == OpCode::Query) else {
        answer.metadata.response_code = ResponseCode::NotImp;
        return answer;
    };
    let kind = question.query_type();
    let mut owner = plain(question.name());
    let mut is_first = true;
    for _ in 0..MOST_ALIASES {
        let Some((apex, zone)) = zone_of(zones, &owner) else {
            // An alias that leads elsewhere is a whole answer; the asker goes on from there.
            if is_first {
                answer.metadata.response_code = ResponseCode::Refused;
            }
            return answer;
        };
        answer.metadata.authoritative = true;
        is_first = false;
        let found = zone.lookup(apex, &owner, kind);
        let alias = found.records.iter().find_map(|data| match data {
            RData::CNAME(target) if kind != RecordType::CNAME => Some(plain(&target.0)),
            _ => None,
        });
        let is_empty = found.records.is_empty();
        let shown = rdata::name(&owner).unwrap_or_else(|_| question.name().clone());
        answer.add_answers(found.records.into_iter().map(|data| Record::from_rdata(shown.clone(), found.ttl, data)));
        if is_empty {
            // RFC 2308 §3: who says that there is nothing shows the zone's SOA record.
            answer.authorities.extend(zone.soa(apex));
            answer.metadata.response_code = if found.exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
        }
        let Some(target) = alias else { return answer };
        owner = target;
    }
    answer
}

/// What a zone has for a name.
struct Found {
    /// Whether there is such a name at all.
    exists: bool,
    records: Vec<RData>,
    ttl: u32,
}

impl Zone {
    fn lookup(&self, apex: &str, name: &str, kind: RecordType) -> Found {
        if self.exists(apex, name) {
            return self.at(apex, name, kind);
        }
        // The closest name above that exists, and the wildcard right below it (RFC 4592 §3.3.1).
        let mut above = name;
        while let Some((_, parent)) = above.split_once('.') {
            above = parent;
            if self.exists(apex, above) {
                break;
            }
        }
        let wildcard = format!("*.{above}");
        match self.exists(apex, &wildcard) {
            true => self.at(apex, &wildcard, kind),
            false => Found { exists: false, records: Vec::new(), ttl: 0 },
        }
    }

    fn at(&self, apex: &str, name: &str, kind: RecordType) -> Found {
        let set = |kind: &str| {
            let set = self.record_sets.get(&(name.to_owned(), kind.to_owned()))?;
            let records: Vec<RData> = set.values.iter().filter_map(|value| rdata::on_the_wire(kind, value)).collect();
            Some(Found { exists: true, records, ttl: set.ttl })
        };
        let own = match kind {
            RecordType::SOA if name == apex => self.soa(apex).map(|record| vec![record.data]),
            RecordType::NS if name == apex => {
                Some(self.servers.iter().filter_map(|server| Some(RData::NS(NS(rdata::name(server).ok()?)))).collect())
            }
            _ => None,
        };
        match own {
            Some(records) => Found { exists: true, records, ttl: TTL },
            None => set("CNAME").or_else(|| set(&kind.to_string())).unwrap_or(Found {
                exists: true,
                records: Vec::new(),
                ttl: 0,
            }),
        }
    }

    /// Whether there is something at a name or below it.
    fn exists(&self, apex: &str, name: &str) -> bool {
        let below = format!(".{name}");
        name == apex || self.record_sets.keys().any(|(domain, _)| domain == name || domain.ends_with(&below))
    }

    fn soa(&self, apex: &str) -> Option<Record> {
        let first = self.servers.first().map_or("ns1.lab.test", String::as_str);
        let serial = u32::try_from(self.version).unwrap_or(u32::MAX);
        let soa = SOA::new(
            rdata::name(first).ok()?,
            rdata::name(&format!("hostmaster.{apex}")).ok()?,
            serial,
            3600,
            600,
            604_800,
            0,
        );
        Some(Record::from_rdata(rdata::name(apex).ok()?, TTL, RData::SOA(soa)))
    }
}

/// The zone with the longest name that holds `name`.
fn zone_of<'a>(zones: &'a BTreeMap<String, Zone>, name: &str) -> Option<(&'a str, &'a Zone)> {
    let mut at = Some(name);
    while let Some(name) = at {
        if let Some((apex, zone)) = zones.get_key_value(name) {
            return Some((apex, zone));
        }
        at = name.split_once('.').map(|(_, parent)| parent);
    }
    None
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// Of the zone's own records, in seconds.
const TTL: u32 = 300;

/// A chain that is longer is one that leads round.
const MOST_ALIASES: usize = 16;

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;
    use crate::oci_dns::record_set::RecordSet;

    fn zones() -> BTreeMap<String, Zone> {
        let mut zone = Zone {
            compartment_id: String::new(),
            servers: vec!["ns1.lab.test".to_owned()],
            record_sets: BTreeMap::new(),
            version: 3,
        };
        for (domain, kind, value) in [
            ("a.test", "A", "192.0.2.1"),
            ("www.a.test", "CNAME", "a.test."),
            ("away.a.test", "CNAME", "elsewhere.net."),
            ("round.a.test", "CNAME", "round.a.test."),
            ("*.apps.a.test", "A", "192.0.2.7"),
            ("one.apps.a.test", "TXT", "\"x\""),
            ("deep.below.a.test", "A", "192.0.2.8"),
        ] {
            let set = RecordSet { ttl: 60, values: vec![value.to_owned()], version: 1 };
            zone.record_sets.insert((domain.to_owned(), kind.to_owned()), set);
        }
        BTreeMap::from([("a.test".to_owned(), zone)])
    }

    #[test]
    fn questions_are_answered_as_the_zones_say() {
        let zones = zones();
        for (name, kind, code, answers) in [
            ("a.test", RecordType::A, ResponseCode::NoError, &["192.0.2.1"][..]),
            ("A.Test", RecordType::A, ResponseCode::NoError, &["192.0.2.1"]),
            ("a.test", RecordType::AAAA, ResponseCode::NoError, &[]),
            ("a.test", RecordType::NS, ResponseCode::NoError, &["ns1.lab.test."]),
            ("www.a.test", RecordType::A, ResponseCode::NoError, &["a.test.", "192.0.2.1"]),
            ("www.a.test", RecordType::CNAME, ResponseCode::NoError, &["a.test."]),
            ("away.a.test", RecordType::TXT, ResponseCode::NoError, &["elsewhere.net."]),
            ("x.apps.a.test", RecordType::A, ResponseCode::NoError, &["192.0.2.7"]),
            ("x.y.apps.a.test", RecordType::A, ResponseCode::NoError, &["192.0.2.7"]),
            // A name that exists is none that the wildcard stands for.
            ("one.apps.a.test", RecordType::A, ResponseCode::NoError, &[]),
            ("below.a.test", RecordType::A, ResponseCode::NoError, &[]),
            ("none.a.test", RecordType::A, ResponseCode::NXDomain, &[]),
            ("b.test", RecordType::A, ResponseCode::Refused, &[]),
        ] {
            let mut query = Message::query();
            query.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
            let answered = answer(&zones, &query);
            let data: Vec<String> = answered.answers.iter().map(|record| record.data.to_string()).collect();
            assert_eq!(
                (answered.metadata.response_code, data),
                (code, answers.iter().map(|text| (*text).to_owned()).collect()),
                "{name} {kind}"
            );
            let shows_soa = answered.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
            assert_eq!(shows_soa, answers.is_empty() && code != ResponseCode::Refused, "{name} {kind}");
            assert_eq!(answered.metadata.authoritative, code != ResponseCode::Refused);
        }
        let mut round = Message::query();
        round.add_query(Query::query(Name::from_ascii("round.a.test.").unwrap(), RecordType::A));
        assert!(answer(&zones, &round).answers.len() <= MOST_ALIASES);
    }
}
