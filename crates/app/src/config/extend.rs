//! One more certificate in a config's text, with every other character as it was.

use certferry_core::{CertificateName, Identifier, IssuerName, KeyType, ListenerName, LoadBalancerName};

use super::file::File;
use super::parse;

/// A certificate to write into a config.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// Its name.
    pub name: CertificateName,
    /// Its names.
    pub names: Vec<Identifier>,
    /// Its issuer, where one is to be named.
    pub issuer: Option<IssuerName>,
    /// Its key type.
    pub key: KeyType,
    /// Where it is served.
    pub load_balancer: LoadBalancerName,
    /// Where it is served.
    pub listener: ListenerName,
}

impl NewCertificate {
    /// The entry as it stands below `certificates:`, every line indented by `indent` spaces, LF line ends.
    pub fn yaml(&self, indent: usize) -> String {
        let outer = " ".repeat(indent);
        let inner = format!("{outer}  ");
        let mut text = format!("{outer}{}:\n", scalar(self.name.as_str()));
        let names: Vec<String> = self.names.iter().map(|name| scalar(&name.to_string())).collect();
        if names.len() <= NAMES_ON_A_LINE {
            text.push_str(&format!("{inner}names: [{}]\n", names.join(", ")));
        } else {
            text.push_str(&format!("{inner}names:\n"));
            names.iter().for_each(|name| text.push_str(&format!("{inner}  - {name}\n")));
        }
        if let Some(issuer) = &self.issuer {
            text.push_str(&format!("{inner}issuer: {}\n", scalar(issuer.as_str())));
        }
        text.push_str(&format!("{inner}key: {}\n{inner}deploy:\n", self.key));
        let (load_balancer, listener) = (scalar(self.load_balancer.as_str()), scalar(self.listener.as_str()));
        text.push_str(&format!("{inner}  - {{ load-balancer: {load_balancer}, listener: {listener} }}\n"));
        text
    }
}

/// The text with these certificates at the end of its `certificates`.
///
/// # Errors
/// Where that place cannot be found with certainty; the reason, for people. The text is read before and after: nothing but
/// the new entries may differ.
pub fn with_certificates(text: &str, new: &[NewCertificate]) -> Result<String, String> {
    let place = place(text)?;
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let entries: String = new.iter().map(|certificate| certificate.yaml(place.indent)).collect();
    let entries = entries.replace('\n', line_end);
    let (before, after) = text.split_at(place.end);
    let before = before.strip_suffix(place.dropped).unwrap_or(before);
    let gap = if before.ends_with('\n') && place.dropped.is_empty() { "" } else { line_end };
    let extended = format!("{before}{gap}{entries}{after}");
    let read =
        |text: &str| parse(text).map_err(|error| format!("it does not read as YAML afterwards: {}", error.message()));
    let (old, new_file) = (read(text)?, read(&extended)?);
    if is_extension(&old, new_file, new) {
        return Ok(extended);
    }
    Err("what is there would read otherwise afterwards".to_owned())
}

/// Where entries go.
struct Place<'a> {
    /// Spaces before their names.
    indent: usize,
    /// The byte before which they are inserted.
    end: usize,
    /// What is taken away there: an empty map's braces.
    dropped: &'a str,
}

fn place(text: &str) -> Result<Place<'_>, String> {
    let mut offset = 0;
    let mut head = None;
    let mut place: Option<Place<'_>> = None;
    for line in text.split_inclusive('\n') {
        let end = offset + line.len();
        offset = end;
        let shown = line.trim_end_matches(['\n', '\r']);
        let starts_at_margin = shown.chars().next().is_some_and(|letter| !letter.is_whitespace() && letter != '#');
        if starts_at_margin && head.is_some() && place.is_some() {
            // Another key; a second `certificates` would be an error of its own.
            if shown.starts_with("certificates:") {
                return Err("`certificates:` stands at the margin twice".to_owned());
            }
            head = None;
            continue;
        }
        if let Some(value) = shown.strip_prefix("certificates:").filter(|_| place.is_none()) {
            let (dropped, value) = value_of(value)?;
            head = Some(value);
            // An empty map in braces ends with them: a comment after it would come before the first entry.
            let end = if dropped.is_empty() { end } else { end - (line.len() - shown.len()) };
            place = Some(Place { indent: 2, end, dropped });
            if !dropped.is_empty() {
                head = None;
            }
            continue;
        }
        let (Some(has_entries), Some(place)) = (&mut head, &mut place) else { continue };
        let content = shown.trim_start_matches(' ');
        if content.is_empty() || content.len() == shown.len() {
            continue;
        }
        if content.starts_with('#') {
            place.end = end;
            continue;
        }
        if !*has_entries {
            if !content.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '"' || letter == '\'') {
                return Err("what stands below `certificates:` is no plain block of entries".to_owned());
            }
            place.indent = shown.len() - content.len();
            *has_entries = true;
        }
        place.end = end;
    }
    place.ok_or_else(|| "there is no line `certificates:` at the margin".to_owned())
}

/// What is to be dropped of the value on the line of `certificates:`; entries below it are not seen yet.
fn value_of(value: &str) -> Result<(&str, bool), String> {
    let bare = value.trim();
    match bare {
        "" => Ok(("", false)),
        _ if bare.starts_with('#') && value.starts_with(char::is_whitespace) => Ok(("", false)),
        "{}" => Ok((value, false)),
        _ => Err("`certificates:` has its value on the same line".to_owned()),
    }
}

/// Whether `new` is `old` with exactly these entries at its end. What the file says prints in full, but for references to
/// secrets, which no entry has.
fn is_extension(old: &File, mut new: File, entries: &[NewCertificate]) -> bool {
    let count = old.certificates.0.len();
    let added: Vec<String> = new.certificates.names().skip(count).map(str::to_owned).collect();
    new.certificates.0.truncate(count);
    added.iter().map(String::as_str).eq(entries.iter().map(|entry| entry.name.as_str()))
        && format!("{old:?}") == format!("{new:?}")
}

/// A text as a YAML scalar that reads as that text and nothing else.
fn scalar(text: &str) -> String {
    let starts_well = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let letters = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if starts_well && letters && !word {
        return text.to_owned();
    }
    // JSON's strings are YAML's double-quoted scalars (YAML 1.2 §1.2).
    serde_json::Value::from(text).to_string()
}

const NAMES_ON_A_LINE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, names: &[&str], listener: &str) -> NewCertificate {
        NewCertificate {
            name: name.parse().unwrap(),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            issuer: Some("ca".parse().unwrap()),
            key: KeyType::Rsa2048,
            load_balancer: "front".parse().unwrap(),
            listener: listener.parse().unwrap(),
        }
    }

    const ENTRY: &str = "  shop:\n    names: [shop.some-domain.com]\n    issuer: ca\n    key: rsa-2048\n    deploy:\n      - { \
                         load-balancer: front, listener: https }\n";

    fn extended(text: &str) -> Result<String, String> {
        with_certificates(text, &[new("shop", &["shop.some-domain.com"], "https")])
    }

    #[test]
    fn the_entry_comes_last_and_all_else_stays_as_it_was() {
        let www = "  www: # ours\n    names: [www.some-domain.com]\n";
        for (before, after) in [
            ("certificates:\n", ""),
            ("certificates: # all of them\n", "\n# end\n"),
            (&format!("certificates:\n{www}"), ""),
            (
                &format!("# a file\n\ncertificates:\n{www}\n  # a remark\n"),
                "\n# of responder\nresponder:\n  listen: 127.0.0.1:1\n",
            ),
            (&format!("responder:\n  listen: 127.0.0.1:1\ncertificates:\n{www}"), "warning-days: [7]\n"),
            (&format!("certificates:\n{www}"), "...\n"),
        ] {
            let text = format!("{before}{after}");
            assert_eq!(extended(&text), Ok(format!("{before}{ENTRY}{after}")), "{text}");
        }
        assert_eq!(extended("certificates: {}\n"), Ok(format!("certificates:\n{ENTRY}\n")));
        assert_eq!(extended("certificates:"), Ok(format!("certificates:\n{ENTRY}")));
        assert_eq!(
            extended("certificates:\n  www:\n    names: [www.some-domain.com]"),
            Ok(format!("certificates:\n  www:\n    names: [www.some-domain.com]\n{ENTRY}")),
        );
        let deep = "certificates:\n    www:\n        names: [www.some-domain.com]\n";
        assert!(extended(deep).unwrap().contains("\n    shop:\n      names: [shop"));
        let windows = extended("certificates:\r\n  www:\r\n    names: [www.some-domain.com]\r\n").unwrap();
        assert_eq!(windows.matches("\r\n").count(), windows.matches('\n').count(), "{windows:?}");
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        for text in [
            "",
            "certificates: { www: { names: [www.some-domain.com] } }\n",
            "certificates:\n  { www: { names: [www.some-domain.com] } }\n",
            "certificates: &all\n  www: { names: [www.some-domain.com] }\n",
            "\"certificates\":\n  www: { names: [www.some-domain.com] }\n",
            "{ certificates: {} }\n",
            "certificates:\n  shop: { names: [www.some-domain.com] }\n",
            "certificates:\n  www: { names: [www.some-domain.com] }\ncertificates:\n",
        ] {
            assert!(extended(text).is_err(), "{text}: {:?}", extended(text));
        }
    }

    #[test]
    fn odd_names_are_quoted_and_many_names_stand_below_each_other() {
        let odd = new("on", &["*.some-domain.com"], "https: {443} \"x\"");
        let many =
            ["a.some-domain.com", "b.some-domain.com", "c.some-domain.com", "1.some-domain.com", "e.some-domain.com"];
        let text = with_certificates("certificates:\n", &[odd, new("many", &many, "true")]).unwrap();
        let file = parse(&text).unwrap();
        let (name, odd) = &file.certificates.0[0];
        assert_eq!((name.value.as_str(), odd.names[0].value.as_str()), ("on", "*.some-domain.com"));
        assert_eq!(odd.deploy[0].value.listener.value, "https: {443} \"x\"");
        assert_eq!(file.certificates.0[1].1.names.len(), 5);
        assert!(text.contains("\n      - \"1.some-domain.com\"\n"), "{text}");
    }
}
