//! The INI dialect of `~/.oci/config`, which is that of Python's configparser: every section inherits from `DEFAULT`,
//! `=` or `:` after the key, whole-line comments, indented lines that continue a value.

use std::collections::BTreeMap;

/// A parsed file. Keys are lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Ini {
    /// Parses `text`.
    pub(super) fn parse(text: &str) -> Result<Self, IniError> {
        let mut ini = Self::default();
        let mut section: Option<&str> = None;
        let mut last_key: Option<String> = None;
        for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            let error = |problem| IniError { line: index + 1, problem };
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            let indented = line.starts_with([' ', '\t']);
            if let (true, Some(section), Some(key)) = (indented, section, &last_key) {
                let value = ini.sections.entry(section.to_owned()).or_default().entry(key.clone()).or_default();
                value.push('\n');
                value.push_str(trimmed);
                continue;
            }
            if let Some(rest) = trimmed.strip_prefix('[') {
                let name = rest.strip_suffix(']').ok_or_else(|| error("a section's name ends in ]"))?;
                ini.sections.entry(name.to_owned()).or_default();
                (section, last_key) = (Some(name), None);
                continue;
            }
            let name = section.ok_or_else(|| error("a key before the first [section]"))?;
            let (key, value) =
                trimmed.split_once(['=', ':']).ok_or_else(|| error("neither key=value nor [section]"))?;
            let key = key.trim().to_ascii_lowercase();
            let keys = ini.sections.entry(name.to_owned()).or_default();
            if keys.insert(key.clone(), value.trim().to_owned()).is_some() {
                return Err(error("this key stands twice in one section"));
            }
            last_key = Some(key);
        }
        Ok(ini)
    }

    /// A section, with what it inherits.
    pub(super) fn section(&self, name: &str) -> Option<Section<'_>> {
        let own = self.sections.get(name)?;
        Some(Section { own, default: self.sections.get(DEFAULT) })
    }

    /// The names of all sections.
    pub(super) fn section_names(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }
}

/// A section, with what it inherits.
#[derive(Debug)]
pub(super) struct Section<'a> {
    own: &'a BTreeMap<String, String>,
    default: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Section<'a> {
    /// A value: the section's own, or the inherited one.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.own.get(key).or_else(|| self.default?.get(key)).map(String::as_str)
    }
}

/// A line that is not INI. The line itself is not repeated: it may hold a pass phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(super) struct IniError {
    line: usize,
    problem: &'static str,
}

const DEFAULT: &str = "DEFAULT";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sections_inherit_from_default() {
        let text = "\u{feff}# comment\n[DEFAULT]\nUser = a\nregion: x\n\n; comment\n[p]\nregion=y=z\nkey_content =\n  one\n  two\n";
        let ini = Ini::parse(text).unwrap();
        let section = ini.section("p").unwrap();
        assert_eq!(section.get("user"), Some("a"));
        assert_eq!(section.get("region"), Some("y=z"));
        assert_eq!(section.get("key_content"), Some("\none\ntwo"));
        assert_eq!(ini.section("DEFAULT").unwrap().get("region"), Some("x"));
        assert!(ini.section("q").is_none());
    }

    #[test]
    fn a_wrong_line_is_named_but_not_repeated() {
        for (text, line) in [("user=a", 1), ("[a\n", 1), ("[a]\npass_phrase hunter2", 2), ("[a]\nb=1\nb=2", 3)] {
            let error = Ini::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[\\[\\]a-z=: \t\n#;]{0,200}") {
            if let Ok(ini) = Ini::parse(&text) {
                for name in ini.section_names() {
                    prop_assert!(ini.section(name).is_some());
                }
            }
        }
    }
}
