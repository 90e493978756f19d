//! The condition language of routing policies, version V1
//! (<https://docs.oracle.com/iaas/Content/Balance/Tasks/routing-policies_management.htm>): `any(…)`, `all(…)` and
//! `not(…)` over comparisons of path, headers, cookies and query parameters.

use super::route::Facts;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Compare { subject: Subject, comparison: Comparison, negated: bool, value: Text },
    Not(Box<Condition>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Cookie(String),
    Header(String),
    Path,
    Query(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Contains,
    EndsWith,
    Equals,
    StartsWith,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    content: String,
    ignores_case: bool,
}

impl Condition {
    /// `None` for text that the lab does not understand.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = Cursor(text);
        let condition = rest.condition(0)?;
        rest.0.trim().is_empty().then_some(condition)
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(facts)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(facts)),
            Self::Compare { subject, comparison, negated, value } => {
                subject.values(facts).iter().any(|found| value.compares(*comparison, found)) != *negated
            }
            Self::Not(condition) => !condition.holds(facts),
        }
    }
}

impl Subject {
    fn values(&self, facts: &Facts<'_>) -> Vec<String> {
        match self {
            Self::Cookie(name) => header_values(facts, "cookie")
                .iter()
                .flat_map(|cookies| cookies.split(';'))
                .filter_map(|cookie| cookie.trim().split_once('='))
                .filter(|(found, _)| found == name)
                .map(|(_, value)| value.to_owned())
                .collect(),
            Self::Header(name) if name.eq_ignore_ascii_case("host") => vec![facts.host.to_owned()],
            Self::Header(name) => header_values(facts, name),
            Self::Path => vec![facts.path.to_owned()],
            Self::Query(name) => url::form_urlencoded::parse(facts.query.as_bytes())
                .filter(|(found, _)| found == name)
                .map(|(_, value)| value.into_owned())
                .collect(),
        }
    }
}

impl Text {
    fn compares(&self, comparison: Comparison, found: &str) -> bool {
        let (found, wanted) = if self.ignores_case {
            (found.to_lowercase(), self.content.to_lowercase())
        } else {
            (found.to_owned(), self.content.clone())
        };
        match comparison {
            Comparison::Contains => found.contains(&wanted),
            Comparison::EndsWith => found.ends_with(&wanted),
            Comparison::Equals => found == wanted,
            Comparison::StartsWith => found.starts_with(&wanted),
        }
    }
}

fn header_values(facts: &Facts<'_>, name: &str) -> Vec<String> {
    facts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
}

/// What is left to parse.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn condition(&mut self, depth: usize) -> Option<Condition> {
        if depth > DEEPEST {
            return None;
        }
        if self.skip("any(") || self.skip("any (") {
            return Some(Condition::Any(self.list(depth)?));
        }
        if self.skip("all(") || self.skip("all (") {
            return Some(Condition::All(self.list(depth)?));
        }
        if self.skip("not(") || self.skip("not (") {
            let condition = self.condition(depth + 1)?;
            return self.skip(")").then(|| Condition::Not(Box::new(condition)));
        }
        let subject = self.subject()?;
        let negated = self.skip("not ");
        let comparison = self.comparison()?;
        Some(Condition::Compare { subject, comparison, negated, value: self.text()? })
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Condition>> {
        let mut conditions = vec![self.condition(depth + 1)?];
        while self.skip(",") {
            conditions.push(self.condition(depth + 1)?);
        }
        self.skip(")").then_some(conditions)
    }

    fn subject(&mut self) -> Option<Subject> {
        if self.skip("http.request.url.path") {
            return Some(Subject::Path);
        }
        let subject = if self.skip("http.request.headers") {
            Subject::Header
        } else if self.skip("http.request.cookies") {
            Subject::Cookie
        } else if self.skip("http.request.url.query") {
            Subject::Query
        } else {
            return None;
        };
        let name = self.skip("[").then(|| self.text())??;
        if !self.skip("]") {
            return None;
        }
        // The first of several values; a request of the lab's tests has one.
        self.skip("[0]");
        Some(subject(name.content))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        [
            ("cnt ", Comparison::Contains),
            ("eq ", Comparison::Equals),
            ("ew ", Comparison::EndsWith),
            ("sw ", Comparison::StartsWith),
        ]
        .into_iter()
        .find_map(|(word, comparison)| self.skip(word).then_some(comparison))
    }

    /// `'text'`, or `(i 'text')` where case does not matter.
    fn text(&mut self) -> Option<Text> {
        let ignores_case = self.skip("(i ");
        if !self.skip("'") {
            return None;
        }
        let (content, rest) = self.0.split_once('\'')?;
        let text = Text { content: content.to_owned(), ignores_case };
        self.0 = rest;
        (!ignores_case || self.skip(")")).then_some(text)
    }

    fn skip(&mut self, word: &str) -> bool {
        match self.0.trim_start().strip_prefix(word) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

/// A hostile condition must not exhaust the stack.
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;

    use super::*;

    #[test]
    fn conditions_hold_as_written() {
        let mut headers = HeaderMap::new();
        headers.insert("x-tenant", "Blue".parse().unwrap());
        headers.insert("cookie", "a=1; user=some".parse().unwrap());
        let facts = Facts {
            headers: &headers,
            host: "www.some-domain.com",
            path: "/.well-known/acme-challenge/token",
            query: "page=2",
        };
        let cases = [
            ("any(http.request.url.path sw '/.well-known/acme-challenge/')", true),
            ("all(http.request.url.path sw '/x', http.request.url.path ew 'token')", false),
            ("any(http.request.url.path sw '/x', http.request.url.path ew 'token')", true),
            ("http.request.url.path eq (i '/.WELL-KNOWN/acme-challenge/TOKEN')", true),
            ("http.request.url.path eq '/.WELL-KNOWN/acme-challenge/TOKEN'", false),
            ("http.request.url.path not sw '/api'", true),
            ("not(http.request.url.path cnt 'acme')", false),
            ("all(http.request.headers['host'] eq 'www.some-domain.com')", true),
            ("any(http.request.headers[(i 'X-Tenant')] eq (i 'blue'))", true),
            ("any(http.request.headers['x-tenant'][0] sw 'Bl')", true),
            ("all(http.request.cookies['user'] eq 'some', http.request.url.query['page'] eq '2')", true),
            ("any(all(http.request.url.path sw '/x'), http.request.url.query['page'] eq '2')", true),
        ];
        for (text, expected) in cases {
            let condition = Condition::parse(text).unwrap_or_else(|| panic!("{text} is not understood"));
            assert_eq!(condition.holds(&facts), expected, "{text}");
        }
    }

    #[test]
    fn unknown_text_is_not_a_condition() {
        for text in [
            "",
            "any(",
            "any()",
            "http.request.url.path",
            "http.request.url.path like '/x'",
            "http.request.url.path sw '/x",
            "any(http.request.url.path sw '/x') and more",
            "http.request.method eq 'GET'",
        ] {
            assert_eq!(Condition::parse(text), None, "{text}");
        }
        let deep = "any(".repeat(10_000);
        assert_eq!(Condition::parse(&deep), None);
    }
}
