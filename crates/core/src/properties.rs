//! What holds whatever comes from outside as a chain, a CSR or a renewal window. Each function takes any bytes and panics
//! where its property does not hold; the fuzz targets of the same names (`fuzz/`) and the quick tests below call them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::chain::{Chain, LeafFacts, Sha256};
use crate::csr::Csr;
use crate::inventory::HeldLeaf;
use crate::renewal::{RenewalReason, RenewalWindow, renewal};

/// PEM or DER from outside: a chain that is accepted has the leaf first, each certificate once and whole, and reads back
/// from its own PEM; a CSR reads back from its own DER; what is said of one that is refused is one short line.
pub fn pem_chain(data: &[u8]) {
    match HeldLeaf::from_der(data) {
        Ok(leaf) => {
            assert_eq!(LeafFacts::from_der(data).as_ref(), Ok(&leaf.facts));
            check_shown(&leaf.facts.issuer);
            check_shown(&leaf.key);
        }
        Err(error) => check_shown(&error.to_string()),
    }
    if let Err(error) = Csr::from_der(data) {
        check_shown(&error.to_string());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Csr::from_pem(text) {
        Ok(csr) => check_csr(&csr),
        Err(error) => check_shown(&error.to_string()),
    }
    match Chain::parse(text) {
        Ok(chain) => check_chain(&chain, data.len()),
        Err(error) => check_shown(&error.to_string()),
    }
}

/// A renewal window, a leaf's validity, the present and the time until the next look, of eight bytes each, then a digest:
/// the instant is within the window and the leaf's validity, does not move while time passes, and a window that ends before
/// it starts decides nothing.
pub fn ari(data: &[u8]) {
    let mut numbers = data.chunks(8).map(number).chain(std::iter::repeat(0));
    let mut next = || numbers.next().unwrap_or_default();
    let (start, end) = (timestamp(next()), timestamp(next()));
    let (not_before, not_after) = (timestamp(next()), timestamp(next()));
    let (now, next_wake) = (timestamp(next()), SignedDuration::from_secs(next().rem_euclid(30 * 24 * 60 * 60)));
    if not_after <= not_before {
        return;
    }
    let sha256 = match data.get(48..80) {
        Some(digest) => Sha256::from_hex(&digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        None => None,
    };
    let sha256 = sha256.unwrap_or_else(|| Sha256::of(data));
    let leaf = LeafFacts { not_before, not_after, ..LeafFacts::for_tests("", "", sha256) };
    let by_lifetime = renewal(&leaf, None, now, next_wake);
    assert!(not_before <= by_lifetime.at && by_lifetime.at <= not_after, "{by_lifetime:?}");
    let window = RenewalWindow { start, end, explanation_url: None, next_fetch: now };
    let decided = renewal(&leaf, Some(&window), now, next_wake);
    if end < start {
        assert_eq!(decided, by_lifetime, "a window from {start} to {end}");
        return;
    }
    assert!(decided.at <= not_after, "{decided:?} for a leaf until {not_after}");
    if decided.reason == RenewalReason::Ari {
        assert!(start <= decided.at && decided.at <= end, "{decided:?} for {start} to {end}");
    }
    let asleep = SignedDuration::ZERO;
    let later = renewal(&leaf, Some(&window), decided.at, asleep);
    assert_eq!(renewal(&leaf, Some(&window), now, asleep).at, later.at, "{start} to {end}");
}

fn check_chain(chain: &Chain, length: usize) {
    let certificates = chain.certificates();
    assert!((1..=Chain::MAX_CERTIFICATES).contains(&certificates.len()));
    assert!(certificates.iter().map(Vec::len).sum::<usize>() <= length);
    assert_eq!(certificates.iter().collect::<BTreeSet<_>>().len(), certificates.len(), "a certificate stands twice");
    assert_eq!(chain.leaf_der(), certificates[0]);
    assert_eq!(chain.leaf().sha256, Sha256::of(&certificates[0]));
    let mut names: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for der in certificates {
        let (rest, certificate) = X509Certificate::from_der(der).expect("a certificate that was parsed before");
        assert!(rest.is_empty(), "{} bytes after a certificate", rest.len());
        names.push((certificate.subject().as_raw().to_vec(), certificate.issuer().as_raw().to_vec()));
    }
    assert!(names.windows(2).all(|pair| pair[0].1 == pair[1].0), "not in order");
    // Two that name each other as issuer, as two of the same name that name themselves do, stand in order either way.
    let either_way = names.windows(2).all(|pair| pair[1].1 == pair[0].0);
    assert_eq!(Chain::parse(chain.pem()).as_ref(), Ok(chain));
    assert_eq!(chain.pem().matches("-----BEGIN CERTIFICATE-----\n").count(), certificates.len());
    assert!(!chain.pem().contains('\r'));
    let mut reversed: Vec<&str> = chain.pem().split_inclusive("-----END CERTIFICATE-----\n").collect();
    reversed.reverse();
    assert!(either_way || Chain::parse(&reversed.concat()).is_err(), "in either order");
    check_shown(&chain.leaf().issuer);
    let _ = (chain.has_other_names(), chain.top(), chain.ends_in("seed root"));
    if let Err(error) = chain.check_ordered(b"another key", &[]) {
        check_shown(&error.to_string());
    }
}

fn check_csr(csr: &Csr) {
    assert_eq!(Csr::from_der(csr.der()).as_ref(), Ok(csr));
    assert!(csr.der().len() <= Csr::MAX_LEN && !csr.names().is_empty());
    assert!(csr.names().is_sorted_by(|one, other| one < other), "{:?}", csr.names());
}

/// What stands on a terminal or in a log.
fn check_shown(text: &str) {
    assert!(text.chars().count() <= LONGEST_LINE, "{} characters", text.chars().count());
    assert!(!text.chars().any(|letter| letter.is_control() || reorders(letter)), "{text:?}");
}

/// Unicode's Bidi_Control (UAX 9): text after one may read as something else.
fn reorders(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn number(bytes: &[u8]) -> i64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(whole)
}

/// Any time, to the second.
fn timestamp(number: i64) -> Timestamp {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(first + number.rem_euclid(last - first)).expect("within the range")
}

/// The longest that a refusal says.
const LONGEST_LINE: usize = 2000;

#[cfg(test)]
#[path = "../../../fuzz/quick_test.rs"]
mod quick_test;

#[cfg(test)]
mod tests {
    use super::quick_test;

    #[test]
    fn a_chain_that_is_accepted_is_whole_ordered_and_reads_back() {
        quick_test::check("pem_chain", super::pem_chain);
    }

    #[test]
    fn an_instant_of_renewal_lies_in_a_window_that_makes_sense() {
        quick_test::check("ari", super::ari);
    }
}
