//! Values of records: in the form in which the service shows them, and as DNS carries them.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, TXT};
use hickory_proto::rr::{Name, RData};

/// The value as the service shows it, whatever form it was written in. The error is a line for people.
pub(super) fn normal(kind: &str, rdata: &str) -> Result<String, String> {
    let text = rdata.trim();
    let refused = || format!("`{text}` is no value of a {kind} record");
    match kind {
        "A" => text.parse::<Ipv4Addr>().map(|address| address.to_string()).map_err(|_| refused()),
        "AAAA" => text.parse::<Ipv6Addr>().map(|address| address.to_string()).map_err(|_| refused()),
        "ALIAS" | "CNAME" | "NS" => name(text).map(|name| name.to_ascii()).map_err(|_| refused()),
        "TXT" if !text.starts_with('"') => Ok(format!("\"{text}\"")),
        _ => Ok(text.to_owned()),
    }
}

/// The value as DNS carries it; `None` for types that the lab's name server does not answer.
pub(super) fn on_the_wire(kind: &str, rdata: &str) -> Option<RData> {
    Some(match kind {
        "A" => RData::A(A(rdata.parse().ok()?)),
        "AAAA" => RData::AAAA(AAAA(rdata.parse().ok()?)),
        "CNAME" => RData::CNAME(CNAME(name(rdata).ok()?)),
        "NS" => RData::NS(NS(name(rdata).ok()?)),
        "TXT" => RData::TXT(TXT::new(strings(rdata))),
        _ => return None,
    })
}

/// A name with or without the dot at its end, in lower case.
pub(super) fn name(text: &str) -> Result<Name, String> {
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    Name::from_ascii(format!("{text}.")).map_err(|error| error.to_string())
}

/// The strings of a TXT value, each in quotes of its own (RFC 1035 §5.1).
fn strings(rdata: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut current: Option<String> = None;
    let mut letters = rdata.chars();
    while let Some(letter) = letters.next() {
        match (letter, &mut current) {
            ('"', None) => current = Some(String::new()),
            ('"', Some(_)) => strings.extend(current.take()),
            ('\\', Some(text)) => text.extend(letters.next()),
            (letter, Some(text)) => text.push(letter),
            (_, None) => {}
        }
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_form() {
        for (kind, written, shown) in [
            ("A", "192.0.2.1", Some("192.0.2.1")),
            ("A", "192.0.2", None),
            ("AAAA", "2001:DB8:0::1", Some("2001:db8::1")),
            ("CNAME", "LB.some-domain.test", Some("lb.some-domain.test.")),
            ("CNAME", "lb..test", None),
            ("TXT", "one", Some("\"one\"")),
            ("TXT", "\"one\"", Some("\"one\"")),
            ("MX", "10 mx.test.", Some("10 mx.test.")),
        ] {
            assert_eq!(normal(kind, written).ok().as_deref(), shown, "{kind} {written}");
        }
    }

    #[test]
    fn txt_strings_are_read_from_their_quotes() {
        assert_eq!(strings("\"a b\" \"c\\\"d\""), ["a b", "c\"d"]);
        assert_eq!(strings("\"\""), [""]);
    }
}
