//! “Did you mean”: the known word that is nearest to what was written.

/// A hint that names the nearest of `known`, if one is near, and then all of them as `kind` (in the plural).
pub(super) fn hint<'a>(written: &str, kind: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return format!("there are no {kind}");
    }
    let list = known.iter().take(MOST).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let more = if known.len() > MOST { format!(" and {} more", known.len() - MOST) } else { String::new() };
    match nearest(written, &known) {
        Some(word) => format!("did you mean `{word}`? known {kind}: {list}{more}"),
        None => format!("known {kind}: {list}{more}"),
    }
}

fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let written = written.to_lowercase().replace('_', "-");
    let distance = |word: &str| strsim::damerau_levenshtein(&written, &word.to_lowercase());
    known.iter().copied().map(|word| (distance(word), word)).min().and_then(|(distance, word)| {
        let near = distance <= (word.chars().count() / 3).max(1);
        (near || word.starts_with(&written) && written.len() > 2).then_some(word)
    })
}

/// More known words than these are counted, not listed.
const MOST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_only_when_it_is_near() {
        let known = ["listener", "load-balancer", "probe"];
        for (written, expected) in [
            ("listner", Some("listener")),
            ("load_balancer", Some("load-balancer")),
            ("Listener", Some("listener")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, &known), expected, "{written}");
        }
        assert_eq!(hint("x", "issuers", []), "there are no issuers");
        assert_eq!(
            hint("prob", "keys", known),
            "did you mean `probe`? known keys: `listener`, `load-balancer`, `probe`"
        );
    }
}
