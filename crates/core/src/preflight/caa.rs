//! What CAA records allow (RFC 8659), with the parameters that bind them to an account and to methods (RFC 8657).

use std::collections::BTreeMap;

use super::{Concern, LookupFailure, Severity};
use crate::name::DnsName;

/// One CAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecord {
    /// Who does not understand the tag must not issue.
    pub is_critical: bool,
    /// The property's tag.
    pub tag: String,
    /// Its value.
    pub value: String,
}

/// Who wants to issue for what.
#[derive(Clone, Copy, Debug)]
pub struct CaaQuestion<'a> {
    /// The name.
    pub name: &'a DnsName,
    /// The names by which the CA goes in CAA records, as its directory says (`caaIdentities`).
    pub identities: &'a [String],
    /// The URL of the account that orders; `None` when there is none yet.
    pub account: Option<&'a str>,
    /// How the name is validated: `http-01` or `dns-01`.
    pub method: &'a str,
}

/// The domains whose CAA records count for a name, nearest first: the first that has any is the one that decides
/// (RFC 8659 §3). The asterisk of a wildcard is no part of it.
pub fn domains(name: &DnsName) -> impl Iterator<Item = &str> {
    let host = name.as_str().strip_prefix("*.").unwrap_or(name.as_str());
    std::iter::successors(Some(host), |domain| domain.split_once('.').map(|(_, parent)| parent))
}

/// The CAA records that count for a name, and the domain that has them; `None` when none has. `found` says what each of its
/// [`domains`] has.
///
/// # Errors
/// A domain on the way could not be asked: what counts is not known.
pub fn relevant_caa(
    name: &DnsName,
    found: &BTreeMap<&str, Result<Vec<CaaRecord>, LookupFailure>>,
) -> Result<Option<(String, Vec<CaaRecord>)>, LookupFailure> {
    for domain in domains(name) {
        match found.get(domain) {
            Some(Ok(records)) if !records.is_empty() => return Ok(Some((domain.to_owned(), records.clone()))),
            Some(Ok(_)) | None => {}
            Some(Err(failure)) => return Err(failure.clone()),
        }
    }
    Ok(None)
}

/// Whether the records that were found at `domain` keep the CA from issuing.
pub fn caa(question: &CaaQuestion<'_>, domain: &str, records: &[CaaRecord]) -> Option<Concern> {
    let concern = |severity: Severity, said: String, fix: String| {
        Some(Concern { severity, subject: format!("name `{}`", question.name), said, fix })
    };
    let is = |record: &CaaRecord, tag: &str| record.tag.eq_ignore_ascii_case(tag);
    let unknown = |record: &&CaaRecord| record.is_critical && !KNOWN.iter().any(|tag| is(record, tag));
    if let Some(record) = records.iter().find(unknown) {
        let said =
            format!("the CAA records of {domain} have a critical tag `{}`, at which CAs do not issue", record.tag);
        return concern(Severity::Error, said, "remove that record, or its critical flag (128)".to_owned());
    }
    let wild: Vec<&CaaRecord> = records.iter().filter(|record| is(record, "issuewild")).collect();
    let (tag, relevant) = match question.name.is_wildcard() && !wild.is_empty() {
        true => ("issuewild", wild),
        false => ("issue", records.iter().filter(|record| is(record, "issue")).collect()),
    };
    if relevant.is_empty() {
        return None;
    }
    let allowed: Vec<Allowed<'_>> = relevant.iter().map(|record| Allowed::parse(&record.value)).collect();
    let named = allowed.iter().map(|allowed| format!("`{}`", allowed.text)).collect::<Vec<_>>().join(", ");
    let Some(identity) = question.identities.first() else {
        let said =
            format!("CAA records of {domain} allow {named} only, and the CA's directory does not say its own name");
        return concern(
            Severity::Warning,
            said,
            "look up in the CA's documentation whether one of them is its own".to_owned(),
        );
    };
    let own = |allowed: &&Allowed<'_>| question.identities.iter().any(|own| own.eq_ignore_ascii_case(allowed.issuer));
    let own: Vec<&Allowed<'_>> = allowed.iter().filter(own).collect();
    if own.is_empty() {
        let said = format!("CAA records of {domain} allow {named}, which is not this CA");
        return concern(Severity::Error, said, format!("add the record `{domain}. CAA 0 {tag} \"{identity}\"`"));
    }
    let by_method: Vec<&&Allowed<'_>> = own.iter().filter(|allowed| allowed.allows_method(question.method)).collect();
    if by_method.is_empty() {
        let said = format!("CAA records of {domain} allow {named}, but not by {}", question.method);
        return concern(Severity::Error, said, format!("add {} to `validationmethods` there", question.method));
    }
    let accounts: Vec<&str> = by_method.iter().filter_map(|allowed| allowed.account).collect();
    if accounts.len() < by_method.len() || question.account.is_some_and(|account| accounts.contains(&account)) {
        return None;
    }
    match question.account {
        Some(account) => {
            let said = format!("CAA records of {domain} allow {named}, and the account is {account}");
            concern(
                Severity::Error,
                said,
                format!("add `; accounturi={account}` in a record of its own, or correct the one there"),
            )
        }
        None => {
            let said = format!("CAA records of {domain} allow {named}, and there is no account with the CA yet");
            let fix = "run `certferry apply` once for another name to make the account, then add its URL (`certferry account show`)";
            concern(Severity::Warning, said, fix.to_owned())
        }
    }
}

/// What one record allows.
struct Allowed<'a> {
    text: &'a str,
    /// The issuer's domain; empty for nobody.
    issuer: &'a str,
    account: Option<&'a str>,
    methods: Option<&'a str>,
}

impl<'a> Allowed<'a> {
    /// RFC 8659 §4.2. A value that is malformed allows nobody.
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let issuer = parts.next().unwrap_or_default().trim_end_matches('.');
        let mut allowed = Self { text, issuer, account: None, methods: None };
        for part in parts.filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
                return Self { text, issuer: "", account: None, methods: None };
            };
            if key.eq_ignore_ascii_case("accounturi") {
                allowed.account = Some(value);
            } else if key.eq_ignore_ascii_case("validationmethods") {
                allowed.methods = Some(value);
            }
        }
        allowed
    }

    fn allows_method(&self, method: &str) -> bool {
        self.methods.is_none_or(|methods| methods.split(',').any(|one| one.trim().eq_ignore_ascii_case(method)))
    }
}

/// The tags that every CA understands.
const KNOWN: [&str; 3] = ["issue", "issuewild", "iodef"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(text: &str) -> CaaRecord {
        let (flags, rest) = text.split_once(' ').unwrap();
        let (tag, value) = rest.split_once(' ').unwrap();
        CaaRecord { is_critical: flags == "128", tag: tag.to_owned(), value: value.to_owned() }
    }

    fn judged(name: &str, identities: &[&str], account: Option<&str>, records: &[&str]) -> Option<(Severity, String)> {
        let name = name.parse().unwrap();
        let identities: Vec<String> = identities.iter().map(|one| (*one).to_owned()).collect();
        let question = CaaQuestion { name: &name, identities: &identities, account, method: "http-01" };
        let records: Vec<CaaRecord> = records.iter().map(|text| record(text)).collect();
        caa(&question, "some-domain.com", &records)
            .map(|concern| (concern.severity, format!("{} {}", concern.said, concern.fix)))
    }

    #[test]
    fn records_are_read_as_a_ca_reads_them() {
        use Severity::{Error, Warning};
        let (host, wildcard) = ("www.some-domain.com", "*.some-domain.com");
        let le = &["letsencrypt.org"][..];
        let own = "https://ca.test/acct/1";
        for (name, identities, account, records, expected) in [
            (host, le, None, &[][..], None),
            (host, le, None, &["0 issue letsencrypt.org"], None),
            (host, le, None, &["0 ISSUE LetsEncrypt.org"], None),
            (host, le, None, &["0 issue other.org", "0 issue letsencrypt.org; x=y"], None),
            (host, &["other.org", "letsencrypt.org"], None, &["0 issue letsencrypt.org"], None),
            (host, le, None, &["0 issue other.org"], Some((Error, "CAA 0 issue \"letsencrypt.org\""))),
            (host, le, None, &["0 issue ;"], Some((Error, "not this CA"))),
            (host, le, None, &["0 issue letsencrypt.org; broken"], Some((Error, "not this CA"))),
            (host, le, None, &["0 issuewild other.org"], None),
            (host, le, None, &["0 iodef mailto:a@some-domain.com"], None),
            (host, &[], None, &["0 issue letsencrypt.org"], Some((Warning, "does not say its own name"))),
            // Wildcards have records of their own, if there are any.
            (
                wildcard,
                le,
                None,
                &["0 issue letsencrypt.org", "0 issuewild other.org"],
                Some((Error, "CAA 0 issuewild")),
            ),
            (wildcard, le, None, &["0 issue other.org", "0 issuewild letsencrypt.org"], None),
            (wildcard, le, None, &["0 issue letsencrypt.org"], None),
            // Tags.
            (host, le, None, &["128 issue letsencrypt.org", "128 iodef x"], None),
            (host, le, None, &["0 issue letsencrypt.org", "128 tbs unknown"], Some((Error, "critical tag `tbs`"))),
            (host, le, None, &["0 issue letsencrypt.org", "0 tbs unknown"], None),
            // RFC 8657.
            (host, le, Some(own), &["0 issue letsencrypt.org; accounturi=https://ca.test/acct/1"], None),
            (
                host,
                le,
                Some(own),
                &["0 issue letsencrypt.org;accounturi=https://ca.test/acct/2"],
                Some((Error, "acct/1")),
            ),
            (host, le, Some(own), &["0 issue letsencrypt.org;accounturi=x", "0 issue letsencrypt.org"], None),
            (host, le, None, &["0 issue letsencrypt.org;accounturi=x"], Some((Warning, "no account"))),
            (host, le, None, &["0 issue letsencrypt.org; validationmethods=dns-01,http-01"], None),
            (host, le, None, &["0 issue letsencrypt.org; validationmethods=dns-01"], Some((Error, "by http-01"))),
        ] {
            let seen = judged(name, identities, account, records);
            let seen = seen.as_ref().map(|(severity, text)| (*severity, text.as_str()));
            match (seen, expected) {
                (None, None) => {}
                (Some((severity, text)), Some((wanted, piece))) if severity == wanted && text.contains(piece) => {}
                _ => panic!("{name} {records:?}: {seen:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn the_tree_is_climbed_to_the_top_level() {
        let climbed = |name: &str| domains(&name.parse().unwrap()).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            climbed("a.b.some-domain.com"),
            ["a.b.some-domain.com", "b.some-domain.com", "some-domain.com", "com"]
        );
        assert_eq!(climbed("*.some-domain.com"), ["some-domain.com", "com"]);
    }

    #[test]
    fn the_nearest_domain_that_has_records_counts_if_all_below_it_could_be_asked() {
        let failed = || Err(LookupFailure { is_of_the_zone: true, said: "no".to_owned() });
        let has = |value: &str| Ok(vec![record(&format!("0 issue {value}"))]);
        let none = || Ok(Vec::new());
        for (www, domain, top, expected) in [
            (none(), none(), none(), Ok(None)),
            (none(), has("one"), has("two"), Ok(Some("some-domain.com one"))),
            (has("one"), failed(), failed(), Ok(Some("www.some-domain.com one"))),
            (none(), failed(), has("two"), Err("no")),
            (none(), none(), has("two"), Ok(Some("com two"))),
        ] {
            let found = BTreeMap::from([("www.some-domain.com", www), ("some-domain.com", domain), ("com", top)]);
            let seen = relevant_caa(&"www.some-domain.com".parse().unwrap(), &found);
            let seen = seen.map(|found| found.map(|(domain, records)| format!("{domain} {}", records[0].value)));
            assert_eq!(
                seen.as_ref().map(Option::as_deref).map_err(|failure| failure.said.as_str()),
                expected,
                "{found:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_the_reader_panic(value in ".{0,100}", tag in ".{0,10}", is_critical in any::<bool>()) {
            let name = "www.some-domain.com".parse().unwrap();
            let identities = ["letsencrypt.org".to_owned()];
            let question = CaaQuestion { name: &name, identities: &identities, account: None, method: "http-01" };
            let _ = caa(&question, "some-domain.com", &[CaaRecord { is_critical, tag, value }]);
        }
    }
}
