//! What is wrong with a config file, shown as a compiler shows it: message, place, line, and the way out.

use std::fmt;
use std::path::{Path, PathBuf};

use certferry_core::printable;

use super::spanned::Position;

/// Widest piece of a line that is shown.
const WIDEST: usize = 110;

/// Words in a key whose value may be a secret that somebody wrote into the file.
const SECRET_KEYS: [&str; 6] = ["hmac", "key:", "password", "phrase", "secret", "token"];

/// A message with all that it quotes.
const LONGEST_MESSAGE: usize = 2000;

/// More findings than this are counted, not shown.
const MOST: usize = 50;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    position: Option<Position>,
    hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(position: impl Into<Option<Position>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, position.into(), &message.into())
    }

    /// A warning at a place.
    pub fn warning(position: impl Into<Option<Position>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, position.into(), &message.into())
    }

    /// Messages quote keys and values, in which YAML allows any character.
    fn new(severity: Severity, position: Option<Position>, message: &str) -> Self {
        Self { severity, message: printable::line(message, LONGEST_MESSAGE), position, hint: None }
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(printable::line(&hint.into(), LONGEST_MESSAGE));
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The way out.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The config cannot be used.
    Error,
    /// The config can be used.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Findings about one file. `Display` is a block of lines per finding, without a line end after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    file: PathBuf,
    findings: Vec<(Diagnostic, Option<String>)>,
    /// How many more there are.
    more: usize,
}

impl Findings {
    /// Findings about `file`, whose text is `source`.
    pub fn new(file: &Path, source: &str, findings: impl IntoIterator<Item = Diagnostic>) -> Self {
        let mut findings: Vec<Diagnostic> = findings.into_iter().collect();
        findings.sort_by_key(|finding| finding.position.map_or((0, 0), |position| (position.line, position.column)));
        let more = findings.len().saturating_sub(MOST);
        findings.truncate(MOST);
        let line = |finding: &Diagnostic| {
            let number = finding.position?.line.checked_sub(1)?;
            lines(source).nth(number).map(printable)
        };
        let findings =
            findings.into_iter().map(|finding| (line(&finding), finding)).map(|(line, finding)| (finding, line));
        Self { file: file.to_owned(), findings: findings.collect(), more }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The findings, in the order of the file; at most the first fifty.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.findings.iter().map(|(finding, _)| finding)
    }

    /// For programs: a line for each of them, with its place before it and the way out at its end.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("{}: and {} more", self.file.display(), self.more));
        let lines = self.diagnostics().map(|finding| {
            let place = match finding.position {
                Some(Position { line, column, .. }) => format!("{}:{line}:{column}", self.file.display()),
                None => self.file.display().to_string(),
            };
            match &finding.hint {
                Some(hint) => format!("{place}: {}; hint: {hint}", finding.message),
                None => format!("{place}: {}", finding.message),
            }
        });
        lines.chain(more)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (finding, line)) in self.findings.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n\n")?;
            }
            self.show(formatter, finding, line.as_deref())?;
        }
        if self.more > 0 {
            write!(formatter, "\n\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

impl Findings {
    fn show(&self, formatter: &mut fmt::Formatter<'_>, finding: &Diagnostic, line: Option<&str>) -> fmt::Result {
        write!(formatter, "{}: {}", finding.severity, finding.message)?;
        let file = self.file.display();
        match (finding.position, line) {
            (Some(position), Some(line)) => {
                let number = position.line.to_string();
                let margin = " ".repeat(number.len());
                let (text, skipped) = window(line, position.column);
                let before = " ".repeat(skipped);
                let room = text.chars().count().saturating_sub(skipped).max(1);
                let marks = "^".repeat(position.length.min(room));
                write!(formatter, "\n{margin}--> {file}:{}:{}", position.line, position.column)?;
                write!(formatter, "\n{margin} |\n{number} | {text}\n{margin} | {before}{marks}")?;
            }
            (Some(position), None) => write!(formatter, "\n --> {file}:{}:{}", position.line, position.column)?,
            (None, _) => write!(formatter, "\n --> {file}")?,
        }
        match &finding.hint {
            Some(hint) => write!(formatter, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The lines of a file as YAML counts them: a carriage return alone ends one too (YAML 1.2.2 §5.4).
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// The piece of `line` around `column`, and how many characters of it stand before the column.
fn window(line: &str, column: usize) -> (String, usize) {
    let before = column.saturating_sub(1).min(line.chars().count());
    if line.chars().count() <= WIDEST {
        return (line.to_owned(), before);
    }
    let start = before.saturating_sub(WIDEST / 2);
    let piece: String = line.chars().skip(start).take(WIDEST).collect();
    let more = if line.chars().count() > start + WIDEST { "…" } else { "" };
    match start {
        0 => (format!("{piece}{more}"), before),
        _ => (format!("…{piece}{more}"), before - start + 1),
    }
}

/// The line as it may be shown: no control characters, no secret that somebody wrote into the file. Every character
/// keeps its column.
fn printable(line: &str) -> String {
    let visible = line.trim_end().replace(char::is_control, " ");
    let visible = match password(&visible) {
        Some((start, end)) => masked(&visible, start, end),
        None => visible,
    };
    match secret_start(&visible) {
        Some(start) => masked(&visible, start, visible.len()),
        None => visible,
    }
}

fn masked(line: &str, start: usize, end: usize) -> String {
    let hide = |letter| if letter == ' ' { ' ' } else { '*' };
    line[..start].chars().chain(line[start..end].chars().map(hide)).chain(line[end..].chars()).collect()
}

/// Where the password of a URL stands: `scheme://user:password@host`.
fn password(line: &str) -> Option<(usize, usize)> {
    let user = line.find("://")? + 3;
    let end = user + line[user..].rfind('@')?;
    let start = user + line[user..end].find(':')? + 1;
    Some((start, end))
}

/// Where the value of a key that speaks of a secret begins, unless it is a reference to one.
fn secret_start(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = SECRET_KEYS.iter().filter_map(|word| lower[from..].find(word)).min() {
        let colon = from + found + lower[from + found..].find(':')?;
        let value = colon + 1;
        let rest = line[value..].trim_start().trim_start_matches(['"', '\'']);
        let reference = ["env:", "file:", "{"].iter().any(|start| rest.starts_with(start));
        // `key:` is also the key type of a certificate, which is short.
        let short = lower[from + found..].starts_with("key:") && rest.len() < 16;
        if !reference && !short && !rest.is_empty() {
            return Some(value);
        }
        from = value;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_line_is_not_shown() {
        for (line, shown) in [
            ("eab: { kid: kid-1, hmac-key: c2VjcmV0 }", "eab: { kid: kid-1, hmac-key: ******** *"),
            ("password: \"hunter 2\"", "password: ******* **"),
            ("hmac_key: geheim", "hmac_key: ******"),
            ("api-key: { pass-phrase: hunter2 }", "api-key: { pass-phrase: ******* *"),
            ("eab: { kid: kid-1, hmac-key: env:EAB_KEY }", "eab: { kid: kid-1, hmac-key: env:EAB_KEY }"),
            ("auth: { api-key: { profile: X } }", "auth: { api-key: { profile: X } }"),
            ("key: ecdsa-p256", "key: ecdsa-p256"),
            ("eab: { kid: a, key: c2VjcmV0LXNlY3JldA }", "eab: { kid: a, key: ****************** *"),
            ("url: postgres://me:p@ss@db/x # y", "url: postgres://me:****@db/x # y"),
            ("names: [a.b]", "names: [a.b]"),
            ("password:", "password:"),
        ] {
            assert_eq!(printable(line), shown);
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}x{}", "a".repeat(300), "b".repeat(300));
        let (text, before) = window(&line, 301);
        assert_eq!(text.chars().nth(before), Some('x'));
        assert_eq!(text.chars().count(), WIDEST + 2);
        assert_eq!(window("short", 99), ("short".to_owned(), 5));
    }

    #[test]
    fn a_line_is_the_one_that_yaml_counts() {
        let position = Position { line: 3, column: 1, length: 1 };
        for source in ["one\ntwo\nthree\n", "one\r\ntwo\r\nthree", "one\rtwo\rthree\r"] {
            let shown = Findings::new(Path::new("a.yaml"), source, [Diagnostic::error(position, "no")]).to_string();
            assert!(shown.ends_with("3 | three\n  | ^"), "{shown}");
        }
    }

    #[test]
    fn a_place_beyond_the_text_is_no_panic() {
        let position = Position { line: 7, column: 3, length: 900 };
        let findings = Findings::new(Path::new("a.yaml"), "one\n", [Diagnostic::error(position, "no")]);
        assert_eq!(findings.to_string(), "error: no\n --> a.yaml:7:3");
    }
}
