//! The `Link` header (RFC 8288), read for one relation: `alternate` (RFC 8555 §7.4.2).

use http::HeaderMap;
use http::header::LINK;

/// The targets of all links with the relation `relation`, in the order of the headers, unresolved.
pub(crate) fn targets(headers: &HeaderMap, relation: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for value in headers.get_all(LINK) {
        let Ok(value) = value.to_str() else { continue };
        let mut rest = value;
        while let Some(link) = next_link(&mut rest) {
            if link.has_relation(relation) {
                targets.push(link.target.to_owned());
            }
        }
    }
    targets
}

struct Link<'a> {
    target: &'a str,
    relations: Option<String>,
}

impl Link<'_> {
    fn has_relation(&self, relation: &str) -> bool {
        let relations = self.relations.as_deref().unwrap_or_default();
        relations.split_ascii_whitespace().any(|candidate| candidate.eq_ignore_ascii_case(relation))
    }
}

/// Takes one `<target>; name=value; …` off the front of `rest`; `None` when no further link can be read. Every turn
/// shortens `rest`, so that reading ends whatever it holds.
fn next_link<'a>(rest: &mut &'a str) -> Option<Link<'a>> {
    let after_bracket = rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<')?;
    let (target, parameters) = after_bracket.split_once('>')?;
    *rest = parameters;
    let mut link = Link { target: target.trim(), relations: None };
    while let Some(parameters) = rest.trim_start().strip_prefix(';') {
        *rest = parameters;
        let name_end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let name = rest[..name_end].trim();
        *rest = &rest[name_end..];
        let Some(after_equals) = rest.strip_prefix('=') else { continue };
        *rest = after_equals.trim_start();
        let value = next_value(rest);
        // Only the first `rel` counts (RFC 8288 §3.3).
        if name.eq_ignore_ascii_case("rel") && link.relations.is_none() {
            link.relations = Some(value);
        }
    }
    // Anything else before the next comma is not ours to understand.
    *rest = rest.find(',').map_or("", |comma| &rest[comma..]);
    Some(link)
}

/// A token, or a quoted string with its backslash escapes undone.
fn next_value(rest: &mut &str) -> String {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([';', ',']).unwrap_or(rest.len());
        let value = rest[..end].trim().to_owned();
        *rest = &rest[end..];
        return value;
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => {
                *rest = &quoted[position + 1..];
                return value;
            }
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    // The string never ends: what it holds is all that there is.
    *rest = "";
    value
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn alternates(values: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        targets(&headers, "alternate")
    }

    #[test]
    fn links_are_found_in_every_spelling() {
        for (values, expected) in [
            (&["<https://ca/1>;rel=\"alternate\""][..], &["https://ca/1"][..]),
            (&["<https://ca/dir>;rel=\"index\"", "<https://ca/1>;rel=\"alternate\""], &["https://ca/1"]),
            (&["<https://ca/1>;rel=alternate, </2>; rel = \"alternate\""], &["https://ca/1", "/2"]),
            (&["</1>; title=\"a, b; rel=index\"; rel=\"Up ALTERNATE\""], &["/1"]),
            (&["</1>; title=\"say \\\"hi\\\"\"; rel=alternate,</2>;rel=next"], &["/1"]),
            (&["</a,b>; crossorigin; rel=alternate"], &["/a,b"]),
            (&["</1>; rel=index; rel=alternate"], &[]),
            (&["</1>; rel=alternates", "</2>"], &[]),
            (&["rubbish, </1>; rel=alternate"], &[]),
            (&["</1; rel=alternate"], &[]),
            (&["</1>; rel=\"alternate"], &["/1"]),
            (&[""], &[]),
        ] {
            assert_eq!(alternates(values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(values in proptest::collection::vec("[<>;,=\" \\\\a-z/]{0,40}", 0..4)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let _ = alternates(&values);
        }

        #[test]
        fn a_written_link_is_read_back(target in "[a-z/:.0-9,;=?]{1,30}", title in "[a-z ,;<>]{0,10}") {
            let value = format!("<{target}>; title=\"{title}\"; rel=\"alternate\"");
            prop_assert_eq!(alternates(&[&value, &value]), vec![target.clone(), target]);
        }
    }
}
