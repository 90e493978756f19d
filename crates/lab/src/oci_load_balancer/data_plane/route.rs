//! Which backend set takes a request.

use ::http::HeaderMap;
use serde_json::Value;

use super::condition::Condition;
use crate::json::{Object, objects, text};

/// What routing may look at.
pub(super) struct Facts<'a> {
    pub(super) headers: &'a HeaderMap,
    /// Without port.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

pub(super) struct PathRoute {
    backend_set: String,
    kind: PathMatch,
    path: String,
}

pub(super) struct PolicyRule {
    backend_set: String,
    condition: Condition,
}

/// The match types, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathMatch {
    Exact,
    ForceLongestPrefix,
    Prefix,
    Suffix,
}

/// The first rule whose condition holds.
pub(super) fn by_policy<'a>(rules: &'a [PolicyRule], facts: &Facts<'_>) -> Option<&'a str> {
    rules.iter().find(|rule| rule.condition.holds(facts)).map(|rule| rule.backend_set.as_str())
}

/// An exact match, else the longest forced prefix, else the first prefix or suffix that fits.
pub(super) fn by_path<'a>(routes: &'a [PathRoute], path: &str) -> Option<&'a str> {
    let matching = |kind: PathMatch| routes.iter().filter(move |route| route.kind == kind && route.matches(path));
    matching(PathMatch::Exact)
        .next()
        .or_else(|| matching(PathMatch::ForceLongestPrefix).max_by_key(|route| route.path.len()))
        .or_else(|| {
            routes
                .iter()
                .find(|route| matches!(route.kind, PathMatch::Prefix | PathMatch::Suffix) && route.matches(path))
        })
        .map(|route| route.backend_set.as_str())
}

impl PathRoute {
    pub(super) fn new(object: &Object) -> Self {
        let kind = object.get("pathMatchType").and_then(Value::as_object);
        Self {
            backend_set: text(object, "backendSetName").to_owned(),
            kind: PathMatch::from_word(kind.map_or("", |kind| text(kind, "matchType"))),
            path: text(object, "path").to_owned(),
        }
    }

    fn matches(&self, path: &str) -> bool {
        self.kind.matches(&self.path, path)
    }
}

impl PolicyRule {
    /// `None` for a rule that cannot match: a condition that the lab does not understand, or no action.
    pub(super) fn parse(object: &Object) -> Option<Self> {
        let condition = Condition::parse(text(object, "condition"));
        if condition.is_none() {
            tracing::warn!(condition = text(object, "condition"), "the routing condition is not understood");
        }
        Some(Self {
            backend_set: text(objects(object, "actions").next()?, "backendSetName").to_owned(),
            condition: condition?,
        })
    }
}

impl PathMatch {
    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "EXACT_MATCH" => Self::Exact,
            "FORCE_LONGEST_PREFIX_MATCH" => Self::ForceLongestPrefix,
            "SUFFIX_MATCH" => Self::Suffix,
            _ => Self::Prefix,
        }
    }

    /// Without regard to case, as the service matches paths.
    pub(super) fn matches(self, pattern: &str, path: &str) -> bool {
        let (pattern, path) = (pattern.to_ascii_lowercase(), path.to_ascii_lowercase());
        match self {
            Self::Exact => path == pattern,
            Self::ForceLongestPrefix | Self::Prefix => path.starts_with(&pattern),
            Self::Suffix => path.ends_with(&pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_match_type_wins() {
        let routes = [
            (PathMatch::Prefix, "/app", "prefix"),
            (PathMatch::Suffix, ".png", "suffix"),
            (PathMatch::ForceLongestPrefix, "/app/", "forced"),
            (PathMatch::ForceLongestPrefix, "/app/deep/", "forced longer"),
            (PathMatch::Exact, "/app/deep/one", "exact"),
        ]
        .map(|(kind, path, set)| PathRoute { backend_set: set.into(), kind, path: path.into() });
        let cases = [
            ("/app/deep/one", Some("exact")),
            ("/app/deep/two", Some("forced longer")),
            ("/APP/x", Some("forced")),
            ("/application.png", Some("prefix")),
            ("/logo.png", Some("suffix")),
            ("/", None),
        ];
        for (path, expected) in cases {
            assert_eq!(by_path(&routes, path), expected, "{path}");
        }
    }
}
