//! What holds whatever a config file says. The function takes any bytes and panics where its property does not hold; the
//! fuzz target of the same name (`fuzz/`) and the quick test below call it.

use std::collections::BTreeMap;
use std::path::Path;

use certferry_core::desired::RenewedBy;

use super::diagnostic::lines;
use super::{Config, Findings, NewCertificate, check_with, parse, with_certificates};

/// A config file: it resolves, or there are findings; every finding is a short line without control characters and points
/// into the text. A certificate that is added is one more, and leaves every other character as it was.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // What such a path leads to is the machine's, not the text's.
    if ["/dev", "/proc", "/sys"].iter().any(|folder| text.contains(folder)) {
        return;
    }
    let environment = BTreeMap::from([
        ("HOME".to_owned(), "/nonexistent/home".to_owned()),
        ("SECRET".to_owned(), "c2VjcmV0LWhtYWMta2V5".to_owned()),
    ]);
    match check_with(Path::new("/nonexistent/certferry.yaml"), text, &environment) {
        Ok(config) => {
            check_findings(&config.warnings, text);
            check_names(&config);
            check_extended(text);
        }
        Err(error) => {
            assert!(!error.findings().is_empty());
            check_findings(error.findings(), text);
        }
    }
}

fn check_findings(findings: &Findings, text: &str) {
    let shown = findings.to_string();
    assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n'), "{shown:?}");
    for finding in findings.diagnostics() {
        assert!(!finding.message().contains('\n') && !finding.message().is_empty(), "{:?}", finding.message());
        let Some(position) = finding.position() else { continue };
        // The end of the text is a place too: what is missing is missing there.
        let lines: Vec<&str> = lines(text).collect();
        assert!((1..=lines.len() + 1).contains(&position.line), "{position:?} in {} lines", lines.len());
        let width = lines.get(position.line - 1).map_or(0, |line| line.chars().count());
        assert!((1..=width + 1).contains(&position.column), "{position:?} in a line of {width}: {}", finding.message());
        assert!(position.length >= 1);
    }
}

/// Names are unique, and refer to what is there.
fn check_names(config: &Config) {
    for certificate in &config.desired.certificates {
        assert!(!certificate.version.names.is_empty(), "{certificate:?}");
        if certificate.renewed_by == RenewedBy::Certferry {
            assert!(config.issuers.contains_key(&certificate.version.issuer), "{certificate:?}");
        }
        for deploy in &certificate.deploy {
            assert!(config.load_balancers.contains_key(&deploy.load_balancer), "{certificate:?}");
        }
    }
}

fn check_extended(text: &str) {
    let new = NewCertificate {
        name: "one-more".parse().expect("a name"),
        names: vec!["one-more.some-domain.com".parse().expect("a name")],
        issuer: None,
        key: certferry_core::KeyType::EcdsaP256,
        load_balancer: "front".parse().expect("a name"),
        listener: "one more".parse().expect("a name"),
    };
    let Ok(extended) = with_certificates(text, std::slice::from_ref(&new)) else { return };
    let (before, after) = (parse(text), parse(&extended));
    let count = |file: Result<super::file::File, _>| file.map(|file| file.certificates.0.len());
    assert_eq!(count(after).ok(), count(before).ok().map(|certificates| certificates + 1));
    let same = |one: &str, other: &str| one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let start = same(text, &extended);
    let reversed = |text: &str| text.bytes().rev().collect::<Vec<u8>>();
    let end = reversed(text).iter().zip(&reversed(&extended)).take_while(|(one, other)| one == other).count();
    // An empty map's braces, and white space before them, are all that may go.
    assert!(start + end + 4 >= text.trim_end().len(), "{extended:?} of {text:?}");
}

#[cfg(test)]
#[path = "../../../../fuzz/quick_test.rs"]
mod quick_test;

#[cfg(test)]
mod tests {
    use super::quick_test;

    #[test]
    fn every_finding_points_into_the_text_and_is_a_short_line() {
        quick_test::check("config", super::config);
    }
}
