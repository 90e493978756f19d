//! Makes what others wrote fit for one line on a terminal or in a log.

/// One line of at most `limit` characters, with control characters, those that reorder or hide text, and runs of white
/// space turned into one space.
pub fn line(text: &str, limit: usize) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control() || is_invisible(letter));
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        Some(_) => line.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
        None => line,
    }
}

/// Why a text is not PEM, without any of it: the library quotes what stands where a tag or a header should, and in a
/// damaged key file that is the key.
pub fn pem_fault(error: &pem::PemError) -> String {
    match error {
        pem::PemError::MismatchedTags(..) => "a BEGIN line and the END line after it do not match".to_owned(),
        pem::PemError::InvalidHeader(_) => "a header in it is none".to_owned(),
        other => other.to_string(),
    }
}

/// Unicode's Bidi_Control (UAX 9), and what has no width.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_long_or_would_move_the_cursor_is_cut() {
        for (text, limit, shown) in [
            ("a\r\nb\u{1b}[31m\tc\u{202e}d", 80, "a b [31m c d"),
            ("abcdef", 4, "abc…"),
            ("abcd", 4, "abcd"),
            ("ab cd", 4, "ab …"),
            ("a bc d", 4, "a b…"),
            ("", 4, ""),
        ] {
            assert_eq!(line(text, limit), shown);
        }
    }

    #[test]
    fn a_damaged_key_is_not_quoted() {
        for text in [
            "-----BEGIN PRIVATE KEY-----\n-----END MIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n\n-----END PRIVATE KEY-----\n",
        ] {
            let error = pem::parse(text).unwrap_err();
            assert!(error.to_string().contains("MIIEvQIBADANBgkq"), "{error}");
            assert!(!pem_fault(&error).contains("MII"), "{}", pem_fault(&error));
        }
    }

    proptest! {
        #[test]
        fn the_result_is_one_short_line(text in any::<String>(), limit in 1usize..100) {
            let shown = line(&text, limit);
            prop_assert!(shown.chars().count() <= limit, "{shown:?}");
            prop_assert!(!shown.chars().any(|letter| letter.is_control() || is_invisible(letter)));
            prop_assert_eq!(line(&shown, limit), shown);
        }
    }
}
