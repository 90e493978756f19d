//! The syntax of certbot's renewal files, as the Python library ConfigObj 5 writes and reads it: `key = value`, sections in
//! as many brackets as they are deep, values in quotes where they need them, lists with commas, comments after `#`.
//! Interpolation (`%(name)s`) is left as it is written.

use std::collections::BTreeMap;

/// One section, or the file itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    values: BTreeMap<String, Value>,
    sections: BTreeMap<String, Self>,
}

/// What stands behind a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A list: what has a comma outside of quotes.
    List(Vec<String>),
    /// One text.
    Text(String),
}

impl Section {
    /// Reads a whole file.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut root = Self::default();
        let mut place: Vec<String> = Vec::new();
        let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
        while let Some((index, raw)) = lines.next() {
            let failed = |what: String| SyntaxError { line: index + 1, what };
            let line = raw.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((depth, name)) = section_marker(line) {
                if depth > place.len() + 1 {
                    return Err(failed(format!(
                        "section `{name}` is {depth} deep, and the one that it is in is missing"
                    )));
                }
                place.truncate(depth - 1);
                place.push(name.clone());
                let parent = root.at(&place[..depth - 1]);
                if parent.sections.insert(name.clone(), Self::default()).is_some() {
                    return Err(failed(format!("section `{name}` stands twice")));
                }
                continue;
            }
            let (key, written) = key_and_value(line).map_err(failed)?;
            let value = match triple_quote(written) {
                Some(quote) => {
                    let mut rest = lines.by_ref().map(|(_, line)| line);
                    Value::Text(triple_quoted(written, quote, &mut rest).map_err(failed)?)
                }
                None => value(written).map_err(failed)?,
            };
            if root.at(&place).values.insert(key.clone(), value).is_some() {
                return Err(failed(format!("`{key}` stands twice in one section")));
            }
        }
        Ok(root)
    }

    /// The text of a key; `None` where it is absent, empty, `None` (as certbot writes what is not set) or a list.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Text(text) if !text.is_empty() && text != "None" => Some(text),
            Value::List(_) | Value::Text(_) => None,
        }
    }

    /// A section in this one.
    pub(super) fn section(&self, name: &str) -> Option<&Self> {
        self.sections.get(name)
    }

    /// The section at `place`, made where it is not there.
    fn at(&mut self, place: &[String]) -> &mut Self {
        place.iter().fold(self, |section, name| section.sections.entry(name.clone()).or_default())
    }
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct SyntaxError {
    /// The line, the first being 1.
    pub(super) line: usize,
    /// What is wrong; nothing of a value is quoted.
    pub(super) what: String,
}

/// Depth and name of `[[name]]  # comment`.
fn section_marker(line: &str) -> Option<(usize, String)> {
    let after = line.trim_start_matches(|letter: char| letter == '[' || letter.is_whitespace());
    let depth = line[..line.len() - after.len()].matches('[').count();
    if depth == 0 {
        return None;
    }
    let (name, rest) = match after.chars().next()? {
        quote @ ('"' | '\'') => after[1..].split_once(quote)?,
        _ => after.split_at(after.find(']')?),
    };
    let after = rest.trim_start_matches(|letter: char| letter == ']' || letter.is_whitespace());
    let closed = rest[..rest.len() - after.len()].matches(']').count();
    let is_marker = closed == depth && (after.is_empty() || after.starts_with('#')) && !name.trim().is_empty();
    is_marker.then(|| (depth, name.trim().to_owned()))
}

fn key_and_value(line: &str) -> Result<(String, &str), String> {
    let quoted = line.chars().next().filter(|first| matches!(first, '"' | '\''));
    let (key, rest) = match quoted {
        Some(quote) => line[1..].split_once(quote).ok_or("a quoted key does not end")?,
        None => line.split_at(line.find('=').unwrap_or(line.len())),
    };
    match rest.trim_start().strip_prefix('=') {
        Some(value) => Ok((key.trim().to_owned(), value.trim())),
        None => Err("neither a section, nor `key = value`, nor a comment".to_owned()),
    }
}

fn triple_quote(written: &str) -> Option<&'static str> {
    [r#"""""#, "'''"].into_iter().find(|quote| written.starts_with(quote))
}

/// What stands between triple quotes; `rest` gives the lines after the first.
fn triple_quoted<'a>(
    written: &'a str,
    quote: &str,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<String, String> {
    let mut text = String::new();
    let mut line = &written[quote.len()..];
    loop {
        if let Some((last, after)) = line.split_once(quote) {
            text.push_str(last);
            return only_a_comment(after).map(|()| text);
        }
        text.push_str(line);
        text.push('\n');
        line = rest.next().ok_or("a value in triple quotes does not end")?;
    }
}

/// A text, or a list where a comma stands outside of quotes.
fn value(written: &str) -> Result<Value, String> {
    let mut items = Vec::new();
    let mut is_list = false;
    let mut rest = written;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next().filter(|first| *first != '#') else { break };
        if first == ',' {
            // A comma alone is the empty list, as ConfigObj writes it.
            return match items.is_empty() && !is_list {
                true => only_a_comment(&rest[1..]).map(|()| Value::List(Vec::new())),
                false => Err("two commas with nothing between them".to_owned()),
            };
        }
        let (item, after) = match first {
            '"' | '\'' => rest[1..].split_once(first).ok_or("a quoted value does not end")?,
            _ => {
                let end = rest.find([',', '#']).unwrap_or(rest.len());
                (rest[..end].trim_end(), &rest[end..])
            }
        };
        items.push(item.to_owned());
        match after.trim_start().strip_prefix(',') {
            Some(next) => {
                is_list = true;
                rest = next;
            }
            None => {
                only_a_comment(after)?;
                break;
            }
        }
    }
    match (is_list, items.pop()) {
        (false, text) => Ok(Value::Text(text.unwrap_or_default())),
        (true, last) => Ok(Value::List(items.into_iter().chain(last).collect())),
    }
}

fn only_a_comment(rest: &str) -> Result<(), String> {
    match rest.trim_start() {
        "" => Ok(()),
        comment if comment.starts_with('#') => Ok(()),
        _ => Err("there is more behind the closing quote".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As ConfigObj 5.0.9 wrote it.
    const WRITTEN: &str = r##"# renew_before_expiry = 30 days
version = 5.8.0
archive_dir = /etc/letsencrypt/archive/www

# Options used in the renewal process
[renewalparams]
account = 0123abcd
server = https://acme-v02.api.letsencrypt.org/directory
pref_challs = http-01,
webroot_path = "/var/www, a", /srv
empty = ""
renew_hook = 'echo "a # b"; true'
hook2 = '''it's "both" # x'''
multi = '''one
two'''
list0 = ,
hash = "a#b"
space = " lead"
uni = größe
eq = a=b
key_type = ecdsa
unset = None
[[webroot_map]]
www.some-domain.com = /var/www
[odd] = key = x
[acme_renewal_info]
ari_retry_after = 2026-01-01T00:00:00
"##;

    #[test]
    fn what_configobj_writes_is_read() {
        let root = Section::parse(WRITTEN).unwrap();
        assert_eq!(root.text("version"), Some("5.8.0"));
        assert_eq!(root.text("renew_before_expiry"), None);
        let options = root.section("renewalparams").unwrap();
        for (key, expected) in [
            ("account", Some("0123abcd")),
            ("server", Some("https://acme-v02.api.letsencrypt.org/directory")),
            ("pref_challs", None),
            ("empty", None),
            ("renew_hook", Some(r#"echo "a # b"; true"#)),
            ("hook2", Some(r#"it's "both" # x"#)),
            ("multi", Some("one\ntwo")),
            ("hash", Some("a#b")),
            ("space", Some(" lead")),
            ("uni", Some("größe")),
            ("eq", Some("a=b")),
            ("key_type", Some("ecdsa")),
            ("unset", None),
            ("absent", None),
        ] {
            assert_eq!(options.text(key), expected, "{key}");
        }
        let list = |key: &str| match &options.values[key] {
            Value::List(items) => items.iter().map(String::as_str).collect::<Vec<_>>(),
            Value::Text(text) => panic!("{key} is the text {text}"),
        };
        assert_eq!(list("pref_challs"), ["http-01"]);
        assert_eq!(list("webroot_path"), ["/var/www, a", "/srv"]);
        assert_eq!(list("list0"), [""; 0]);
        let map = options.section("webroot_map").unwrap();
        assert_eq!(map.text("www.some-domain.com"), Some("/var/www"));
        assert_eq!(map.text("[odd]"), Some("key = x"));
        assert_eq!(root.section("acme_renewal_info").unwrap().text("ari_retry_after"), Some("2026-01-01T00:00:00"));
    }

    #[test]
    fn what_people_write_by_hand_is_read() {
        for (text, expected) in [
            ("a=b", Some("b")),
            ("  a  =  b  # why", Some("b")),
            ("'a' = 'b'  # why", Some("b")),
            ("\u{feff}a = b\r\n", Some("b")),
            ("a = b#c", Some("b")),
            ("a = b c", Some("b c")),
            ("a = it's", Some("it's")),
            ("a =", None),
            ("a = # nothing", None),
            ("a = \"\"\"b\"\"\" # why", Some("b")),
            ("[s] # a section\n[[ t ]]\n[ \"u\" ]\n", None),
        ] {
            let root = Section::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(root.text("a"), expected, "{text:?}");
        }
        let root = Section::parse("[s]\n[[t]]\na = b\n[\"u\"]\n").unwrap();
        assert_eq!(root.section("s").unwrap().section("t").unwrap().text("a"), Some("b"));
        assert!(root.section("u").is_some());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, piece) in [
            ("a = b\n<<<<<<< HEAD\n", 2, "neither a section"),
            ("a = b\na = c", 2, "`a` stands twice"),
            ("[s]\n[t]\n\n[s]", 4, "section `s` stands twice"),
            ("[[s]]", 1, "2 deep"),
            ("a = 'b", 1, "does not end"),
            ("'a = b", 1, "does not end"),
            ("a = '''b\nc\n", 1, "triple quotes does not end"),
            ("a = 'b' c", 1, "behind the closing quote"),
            ("a = b,,c", 1, "two commas"),
            ("[]", 1, "neither a section"),
        ] {
            let error = Section::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.what.contains(piece), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in r#"[a\[\]=,#'" \nß]{0,60}"#) {
            let _ = Section::parse(&text);
        }

        #[test]
        fn a_quoted_value_survives(value in "[ -&(-~]{1,40}") {
            prop_assume!(value != "None");
            let root = Section::parse(&format!("[s]\nkey = '{value}' # comment")).unwrap();
            prop_assert_eq!(root.section("s").unwrap().text("key"), Some(value.as_str()));
        }
    }
}
