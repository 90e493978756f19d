//! Makes the CA's texts fit for one line of a log: no control characters, no bearer links, no novels.

/// One line of at most `limit` characters, with control characters and runs of white space turned into one space and
/// with [secrets](redact) cut out.
pub(crate) fn line(text: &str, limit: usize) -> String {
    // Redaction looks at whole words, so it comes before the cut; what is looked at is bounded first.
    let bounded: String = text.chars().take(limit.saturating_mul(4)).collect();
    let words: Vec<String> = bounded
        .split(|character: char| character.is_whitespace() || character.is_control() || is_invisible(character))
        .filter(|word| !word.is_empty())
        .map(redact)
        .collect();
    let joined = words.join(" ");
    if joined.chars().count() <= limit {
        return joined;
    }
    let mut cut: String = joined.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Cuts the query off a URL and anything that looks like a JWT off a word: a paused account's problem document holds a
/// link with which anybody can unpause it.
fn redact(word: &str) -> String {
    // A link may have a token in its path, too.
    match [query_start(word), jwt_start(word)].into_iter().flatten().min() {
        Some(start) => format!("{}[redacted]", &word[..start]),
        None => word.to_owned(),
    }
}

fn query_start(word: &str) -> Option<usize> {
    let scheme = word.find("://")?;
    let mark = word[scheme..].find(['?', '#'])?;
    Some(scheme + mark + 1)
}

fn jwt_start(word: &str) -> Option<usize> {
    word.find(JWT_START).filter(|start| word.len() - start >= JWT_MIN_LENGTH)
}

/// Characters that reorder or hide text on a terminal.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `{"` in base64: how every JWT begins.
const JWT_START: &str = "eyJ";
const JWT_MIN_LENGTH: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_become_one_space() {
        assert_eq!(line("a\r\nb\x1b[31m\tc\u{202e}d", 80), "a b [31m c d");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(line("abcd", 4), "abcd");
    }

    #[test]
    fn an_unpause_link_loses_its_token() {
        let said = "paused, visit https://unpause.example/sfe/v1/unpause?jwt=eyJhbGciOi.eyJzdWIi.c2ln to go on";
        assert_eq!(line(said, 500), "paused, visit https://unpause.example/sfe/v1/unpause?[redacted] to go on");
        let in_path = "visit https://unpause.example/eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln";
        assert_eq!(line(in_path, 500), "visit https://unpause.example/[redacted]");
        let in_both = format!("{in_path}?x=1");
        assert_eq!(line(&in_both, 500), "visit https://unpause.example/[redacted]");
    }

    proptest! {
        #[test]
        fn the_result_is_one_short_line(text in any::<String>(), limit in 1usize..300) {
            let shown = line(&text, limit);
            prop_assert!(shown.chars().count() <= limit);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
