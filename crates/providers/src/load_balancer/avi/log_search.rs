//! The search in a virtual service's application log: by pages, each of which may come in parts.

use std::collections::HashSet;
use std::time::Duration;

use certferry_core::{Error, ErrorKind};
use http::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::client::{Api, Failed};
use super::model::{list, text};
use super::read::same_place;
use super::retry::{Failure, Meaning};
use crate::http::jitter;

/// What to look for.
pub(super) struct LogSearch<'a> {
    /// The virtual service.
    pub(super) uuid: &'a str,
    /// The virtual service, for people.
    pub(super) object: &'a str,
    /// `operation(field,value)`, as the API takes it.
    pub(super) filter: &'a str,
    /// How far back, by the controller's clock.
    pub(super) within: Duration,
    /// No further pages once there are so many.
    pub(super) wanted: usize,
}

impl Api {
    /// What `accept` makes of the entries, newest first; significant or not. Of a virtual service that is gone, nothing.
    ///
    /// # Errors
    /// The controller refuses, or what interferes does not pass within the limit.
    pub(super) async fn search_log<T>(
        &self,
        search: &LogSearch<'_>,
        accept: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let deadline = Instant::now() + self.limits.retry;
        let (mut seen, mut accepted) = (HashSet::new(), Vec::new());
        for page in 1..=MAX_PAGES {
            let entries = match self.page(search, page, deadline).await {
                Ok(entries) => entries,
                Err(Stopped::AtTheEnd) => return Ok(accepted),
                Err(Stopped::By(error)) => return Err(error),
            };
            let (length, before) = (entries.len(), seen.len());
            for entry in entries {
                // Entries that come meanwhile push others onto the next page; a later part may hold the earlier ones.
                if seen.insert(entry.to_string()) {
                    accepted.extend(accept(&entry));
                }
            }
            if length < PAGE_SIZE || seen.len() == before || accepted.len() >= search.wanted {
                return Ok(accepted);
            }
        }
        self.tell_incomplete(search, "it holds more than is read of it at once");
        Ok(accepted)
    }

    /// All parts of a page. An answer that took the controller too long says where the rest is.
    async fn page(&self, search: &LogSearch<'_>, page: usize, deadline: Instant) -> Result<Vec<Value>, Stopped> {
        let mut url = self.address(&["analytics", "logs"], &[]);
        let seconds = search.within.as_secs().clamp(1, LONGEST_SECONDS).to_string();
        url.query_pairs_mut()
            .extend_pairs([("type", "1"), ("virtualservice", search.uuid), ("adf", "true"), ("udf", "true")])
            .extend_pairs([("nf", "true"), ("duration", &seconds), ("filter", search.filter)])
            .extend_pairs([("orderby", "-report_timestamp"), ("page_size", &PAGE_SIZE.to_string())])
            .append_pair("page", &page.to_string());
        let mut entries = Vec::new();
        for part in 0..MAX_PARTS {
            let answer = match self.part(search, &url, deadline).await {
                Err(Stopped::AtTheEnd) if part > 0 => break,
                answer => answer?,
            };
            entries.extend(list(&answer, "results").iter().filter(|entry| entry.is_object()).cloned());
            let Some(more) = text(&answer, "more") else { return Ok(entries) };
            match same_place(&url, more) {
                Some(more) => url = more,
                None => {
                    self.tell_incomplete(search, "its rest is said to be elsewhere, where the session does not go");
                    return Ok(entries);
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.tell_incomplete(search, "the search in it does not come to its end");
        Ok(entries)
    }

    /// One answer. While its search system is down, a controller is waited for.
    async fn part(&self, search: &LogSearch<'_>, url: &Url, deadline: Instant) -> Result<Value, Stopped> {
        let mut failures = 0;
        loop {
            let down = |failure: &Failure| is_down(&failure.said());
            let answer = self.repeated(&Method::GET, url, deadline, down).await;
            let answer = answer.map_err(|failed| self.stopped(search, failed))?;
            let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
            if body.get("results").is_some_and(Value::is_array) {
                return Ok(body);
            }
            failures += 1;
            let wait = self.limits.backoff.wait(failures, jitter(), None);
            let said = format!("{}: {}", answer.status.as_u16(), answer.excerpt());
            if !is_down(&said) {
                return Err(Stopped::By(
                    Error::new(ErrorKind::Unexpected, READ_LOG, self.subject(search.object))
                        .said(format!("no list of log entries: {said}"))
                        .with_hint(format!("is {} the controller, and not a proxy or portal?", self.base())),
                ));
            }
            if Instant::now() + wait >= deadline {
                return Err(Stopped::By(self.down(search, &said)));
            }
            tracing::debug!(load_balancer = %self.name(), ?wait, said, "searched again");
            tokio::time::sleep(wait).await;
        }
    }

    fn stopped(&self, search: &LogSearch<'_>, failed: Failed) -> Stopped {
        let (meaning, said) = match &failed {
            Failed::Call(failure) => (failure.meaning(), failure.said()),
            Failed::Login(_) => (None, String::new()),
        };
        if is_down(&said) {
            return Stopped::By(self.down(search, &said));
        }
        if meaning == Some(Meaning::NotFound) || said.contains("no results") {
            return Stopped::AtTheEnd; // the virtual service went, or the page is past the last one
        }
        let error = self.read_error(READ_LOG, search.object, "PERMISSION_VIRTUALSERVICE", failed);
        Stopped::By(match meaning {
            Some(Meaning::Denied) => error.with_hint(format!(
                "{} may read virtual services and not their logs; which right is missing is not documented: compare it \
                 with a predefined role that shows them",
                self.role()
            )),
            _ => error,
        })
    }

    fn down(&self, search: &LogSearch<'_>, said: &str) -> Error {
        Error::new(ErrorKind::Unavailable, READ_LOG, self.subject(search.object))
            .said(said)
            .with_hint("the controller's search of its logs is starting or out of order; try again later")
    }

    fn tell_incomplete(&self, search: &LogSearch<'_>, why: &str) {
        tracing::warn!(load_balancer = %self.name(), object = search.object, why, "the log is not read to its end");
    }
}

/// Why a page did not come.
enum Stopped {
    /// There is none.
    AtTheEnd,
    By(Error),
}

/// The vendor's own scripts wait for the search system with these words, and do not say with which status they come.
fn is_down(said: &str) -> bool {
    said.to_ascii_lowercase().contains("search system is down")
}

const READ_LOG: &str = "GET analytics/logs";

/// The API gives up to 10,000 at once; entries hold up to some kilobytes.
const PAGE_SIZE: usize = 500;

/// 10,000 requests for challenges within the time asked for are an attack, and its start is of no interest.
const MAX_PAGES: usize = 20;

/// Each takes the controller 5 s.
const MAX_PARTS: usize = 50;

/// Ten years: longer than any log is kept.
const LONGEST_SECONDS: u64 = 10 * 365 * 24 * 3600;
