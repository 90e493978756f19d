//! The CA's requests as the virtual services logged them: whether a validation arrived at all, and what answered it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use certferry_core::{Error, Identifier, ListenerName};
use jiff::Timestamp;
use serde_json::Value;

use super::AviTenant;
use super::bind::{AMBIGUITY_HINT, ambiguity};
use super::http01::{answering, on_port_80};
use super::log_search::LogSearch;
use super::model::{Collection, name, text, uuid};
use super::resolve::{Resolved, resolve};
use super::tenant::Tenant;

/// Which requests to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLogQuery {
    /// On which virtual services, written as listeners are. Empty: on all that a request for a challenge may reach as the
    /// config's http01 stands: its virtual services, their parents, and whoever has port 80 of their addresses.
    pub virtual_services: Vec<ListenerName>,
    /// How far back, by the controller's clock; whole seconds, one at least.
    pub within: Duration,
    /// Only requests for this name.
    pub host: Option<Identifier>,
    /// Only requests for this token.
    pub token: Option<String>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// A request for a challenge, as a virtual service logged it.
///
/// All of it but the time and the virtual service is what the other side sent, which may be anybody: texts are free of
/// control and invisible characters and of backticks, and cut where they are longer than what they stand for (`…`).
/// Prints as one line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidationRequest {
    /// When.
    pub at: Timestamp,
    /// Where it arrived.
    pub virtual_service: String,
    /// The client's address; where the virtual service takes it from a header, what that says.
    pub client: String,
    /// The `Host` header.
    pub host: String,
    /// The path.
    pub path: String,
    /// The status answered; 0 when the connection was closed instead.
    pub status: u16,
    /// The policy rule that answered. Those of certferry have the token's name.
    pub rule: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// Whether the controller counts it as an error; `None` when it does not say.
    pub significant: Option<bool>,
}

impl AviTenant {
    /// Requests for `/.well-known/acme-challenge/` that reached the virtual services, newest first.
    ///
    /// A virtual service logs errors, requests for which a rule asks with `log`, and all others only while
    /// `full_client_logs` of its analytics policy is on: that nothing is found of a request that was answered well does
    /// not mean that it did not arrive. The logs of a virtual service go with it. Logs that cannot be read to their end
    /// are told as a warning.
    ///
    /// # Errors
    /// A virtual service of the query that is not there; no http01 in the config where the query names none; a controller
    /// that refuses, or does not answer within the limit.
    pub async fn validation_requests(&self, query: &RequestLogQuery) -> Result<Vec<ValidationRequest>, Error> {
        let tenant = self.api.tenant(&[Collection::VirtualServices, Collection::VsVips]).await?;
        let mut requests = Vec::new();
        for (uuid, service) in self.logging(&tenant, query)? {
            let object = Collection::VirtualServices.object(service);
            let search = LogSearch {
                uuid,
                object: &object,
                filter: "co(uri_path,acme-challenge)",
                within: query.within,
                wanted: query.limit,
            };
            let accept =
                |entry: &Value| query.asks_for(entry).then(|| ValidationRequest::new(entry, service)).flatten();
            requests.extend(self.api.search_log(&search, accept).await?);
        }
        requests.sort_by_key(|request| Reverse(request.at));
        requests.truncate(query.limit);
        Ok(requests)
    }

    /// The virtual services whose logs are read, by uuid, with their names.
    fn logging<'a>(&self, tenant: &'a Tenant, query: &RequestLogQuery) -> Result<BTreeMap<&'a str, &'a str>, Error> {
        let mut found = Vec::new();
        if query.virtual_services.is_empty() {
            let config = self.http01("the request log")?;
            let services = match &query.host {
                Some(name) => answering::services(tenant, config, name).unwrap_or_else(|obstacle| {
                    tracing::warn!(load_balancer = %self.api.name(), %name, what = obstacle.what, "no logs to read");
                    Vec::new()
                }),
                None => answering::all(tenant, config).flatten().flatten().collect(),
            };
            found.extend(services.into_iter().flat_map(|service| reached(tenant, service)));
        }
        for listener in &query.virtual_services {
            let (said, hint) = match resolve(tenant, listener.as_str()) {
                Resolved::One(service) => {
                    found.push(service);
                    continue;
                }
                Resolved::Nothing => {
                    let said = "it is not there, and no host name leads to it".to_owned();
                    (said, "name a virtual service that this user sees")
                }
                Resolved::Ambiguous(several) => (ambiguity(&several), AMBIGUITY_HINT),
            };
            let object = Collection::VirtualServices.object(listener.as_str());
            return Err(self.refused("GET analytics/logs", &object, &said, hint));
        }
        Ok(found.into_iter().filter_map(|service| Some((uuid(service)?, name(service)))).collect())
    }
}

/// Where a request for a challenge may arrive that a name of this virtual service leads to.
fn reached<'a>(tenant: &'a Tenant, service: &'a Value) -> Vec<&'a Value> {
    let Some(root) = tenant.root(service) else { return vec![service] };
    let mut reached = vec![service, root];
    reached.extend(on_port_80(tenant, root));
    reached
}

impl RequestLogQuery {
    /// Whether an entry is one to show; the controller's filter only makes the answer smaller.
    fn asks_for(&self, entry: &Value) -> bool {
        let path = text(entry, "uri_path").unwrap_or_default();
        let host = text(entry, "host").unwrap_or_default();
        path.strip_prefix(CHALLENGES).is_some_and(|asked| self.token.as_ref().is_none_or(|token| token == asked))
            && self.host.as_ref().is_none_or(|name| is_host(host, name))
    }
}

impl ValidationRequest {
    /// `None` for an entry without a time, which no log has.
    fn new(entry: &Value, virtual_service: &str) -> Option<Self> {
        let short = |key: &str, letters: usize| text(entry, key).map(|text| harmless(text, letters));
        let rule = short("http_security_policy_rule_name", RULE_LETTERS);
        let status = entry.get("response_code").and_then(Value::as_u64);
        Some(Self {
            at: entry.get("report_timestamp").and_then(instant)?,
            virtual_service: harmless(virtual_service, RULE_LETTERS),
            client: client(entry),
            host: short("host", HOST_LETTERS).unwrap_or_default(),
            path: short("uri_path", PATH_LETTERS).unwrap_or_default(),
            status: status.and_then(|status| u16::try_from(status).ok()).unwrap_or_default(),
            rule: rule.or_else(|| short("http_request_policy_rule_name", RULE_LETTERS)),
            user_agent: short("user_agent", USER_AGENT_LETTERS),
            significant: significant(entry),
        })
    }
}

impl fmt::Display for ValidationRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.strftime("%Y-%m-%dT%H:%M:%SZ");
        let Self { virtual_service, client, host, path, .. } = self;
        write!(formatter, "{at} `{client}` asked virtual service `{virtual_service}` for `{host}{path}`: ")?;
        match self.status {
            0 => write!(formatter, "closed without an answer")?,
            status => write!(formatter, "{status}")?,
        }
        match &self.rule {
            Some(rule) => write!(formatter, " by rule `{rule}`")?,
            None => write!(formatter, " by no rule")?,
        }
        match &self.user_agent {
            Some(user_agent) => write!(formatter, ", user agent `{user_agent}`"),
            None => Ok(()),
        }
    }
}

/// Whether a `Host` header names a host; it may carry a port and a final dot.
fn is_host(header: &str, name: &Identifier) -> bool {
    let host = match header.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => header,
    };
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(&name.host())
}

/// The API's description says that addresses of clients are numbers and times integers, its examples show texts.
fn client(entry: &Value) -> String {
    let number = entry.get("client_ip").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let address = match number {
        Some(number) if number != 0 => Some(Ipv4Addr::from(number).to_string()),
        _ => text(entry, "client_ip").map(str::to_owned),
    };
    let address = address.or_else(|| text(entry, "client_ip6").map(str::to_owned));
    harmless(&address.unwrap_or_default(), CLIENT_LETTERS)
}

/// RFC 3339, or since 1970 in the unit that gives a time of this age.
fn instant(value: &Value) -> Option<Timestamp> {
    let text = value.as_str();
    if let Some(instant) = text.and_then(|text| text.parse().ok()) {
        return Some(instant);
    }
    let number = value.as_i64().or_else(|| text?.parse().ok())?;
    match number.unsigned_abs() {
        0..=99_999_999_999 => Timestamp::from_second(number).ok(),
        100_000_000_000..=99_999_999_999_999 => Timestamp::from_millisecond(number).ok(),
        100_000_000_000_000..=99_999_999_999_999_999 => Timestamp::from_microsecond(number).ok(),
        _ => Timestamp::from_nanosecond(i128::from(number)).ok(),
    }
}

/// `adf` says whether one of the controller's own filters for errors hit, `significant` which.
fn significant(entry: &Value) -> Option<bool> {
    let number = entry.get("significant").and_then(Value::as_u64).map(|filters| filters != 0);
    entry.get("adf").and_then(Value::as_bool).or(number)
}

/// Text that does nothing to a terminal and cannot leave the backticks that it is shown in.
fn harmless(text: &str, letters: usize) -> String {
    let mut shown = text.chars().filter(|letter| !letter.is_control() && !is_invisible(*letter));
    let mut short: String =
        shown.by_ref().take(letters).map(|letter| if letter == '`' { '\'' } else { letter }).collect();
    if shown.next().is_some() {
        short.push('…');
    }
    short
}

/// Format characters and separators that take no space, or turn the order of what follows.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Under which a CA looks (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// An IPv6 address has 45 at most.
const CLIENT_LETTERS: usize = 64;

/// A name of 253 and a port.
const HOST_LETTERS: usize = 260;

const PATH_LETTERS: usize = 300;
const RULE_LETTERS: usize = 255;
const USER_AGENT_LETTERS: usize = 200;

#[cfg(test)]
mod tests;
