//! Names of versions, derived from what they hold: the private key never comes back, and by its name a version is found
//! again without asking for its content.

use certferry_core::{LeafFacts, Sha256};

/// `<UTC date of notBefore>-<SHA-256 of the leaf>`; the second one and later ones for the same leaf, which are needed when
/// the service has failed a version, end in `-2`, `-3` ….
pub(super) fn version_name(leaf: &LeafFacts, attempt: usize) -> String {
    let name = format!("{}-{}", leaf.not_before.strftime("%Y%m%d"), leaf.sha256);
    if attempt < 2 { name } else { format!("{name}-{attempt}") }
}

/// The leaf's digest, of a name that certferry gave.
pub(super) fn digest(name: &str) -> Option<Sha256> {
    let (date, rest) = name.split_once('-')?;
    let (digest, attempt) = rest.split_once('-').unwrap_or((rest, "2"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if date.len() != 8 || !digits(date) || !digits(attempt) || digest.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    Sha256::from_hex(digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_digest_is_read_back(bytes in any::<[u8; 8]>(), attempt in 0_usize..500) {
            let leaf = LeafFacts::for_tests("2026-01-02T03:04:05Z", "2026-04-02T03:04:05Z", Sha256::of(&bytes));
            prop_assert_eq!(digest(&version_name(&leaf, attempt)), Some(leaf.sha256));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = digest(&text);
        }
    }

    #[test]
    fn only_later_attempts_are_numbered_and_no_other_name_is_taken_for_ours() {
        let leaf = LeafFacts::for_tests("2026-01-02T03:04:05Z", "2026-04-02T03:04:05Z", Sha256::of(b"leaf"));
        let name = format!("20260102-{}", leaf.sha256);
        assert_eq!(
            [0, 1, 2].map(|attempt| version_name(&leaf, attempt)),
            [name.clone(), name.clone(), format!("{name}-2")]
        );
        for other in
            ["", "2026-01-02", "by-hand", "20260102-0123", &format!("{name}-"), &format!("{name}-x"), &name[1..]]
        {
            assert_eq!(digest(other), None, "{other}");
        }
    }
}
