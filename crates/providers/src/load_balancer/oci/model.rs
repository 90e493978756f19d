//! The service's JSON (API 20170115), read where it is needed and otherwise left as it came: what certferry does not know
//! must survive a read-modify-write.

use std::fmt;
use std::net::IpAddr;

use certferry_core::printable;
use serde::Deserialize;
use serde_json::Value;

use super::retry::MESSAGE_CHARACTERS;

/// A kind of object that a load balancer holds by name. The same word is the key in GetLoadBalancer's answer and the path
/// segment of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collection {
    BackendSets,
    Certificates,
    Listeners,
    PathRouteSets,
    RoutingPolicies,
    RuleSets,
}

impl Collection {
    /// Key and path segment.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::BackendSets => "backendSets",
            Self::Certificates => "certificates",
            Self::Listeners => "listeners",
            Self::PathRouteSets => "pathRouteSets",
            Self::RoutingPolicies => "routingPolicies",
            Self::RuleSets => "ruleSets",
        }
    }

    /// One of them, for people.
    pub(super) fn object(self, name: &str) -> String {
        let noun = match self {
            Self::BackendSets => "backend set",
            Self::Certificates => "bundle",
            Self::Listeners => "listener",
            Self::PathRouteSets => "path route set",
            Self::RoutingPolicies => "routing policy",
            Self::RuleSets => "rule set",
        };
        format!("{noun} `{name}`")
    }

    /// The object of that name.
    pub(super) fn find<'a>(self, load_balancer: &'a Value, name: &str) -> Option<&'a Value> {
        load_balancer.get(self.key())?.get(name).filter(|object| object.is_object())
    }

    /// All objects, in the service's order.
    pub(super) fn all(self, load_balancer: &Value) -> impl Iterator<Item = (&str, &Value)> {
        let objects = load_balancer.get(self.key()).and_then(Value::as_object);
        objects
            .into_iter()
            .flatten()
            .filter(|(_, object)| object.is_object())
            .map(|(name, object)| (name.as_str(), object))
    }
}

/// A text field; `None` when it is absent, null or empty, which the service uses alike.
pub(super) fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A list of texts; empty when it is absent or null.
pub(super) fn texts<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    list(object, key).iter().filter_map(Value::as_str).collect()
}

/// A list; empty when it is absent or null.
pub(super) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A port; `None` also for 0, which the service uses for "not given".
pub(super) fn port(object: &Value) -> Option<u16> {
    object.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

/// A flag; false when it is absent or null.
pub(super) fn flag(object: &Value, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The SSL configuration of a listener or backend set.
pub(super) fn ssl(object: &Value) -> Option<&Value> {
    object.get("sslConfiguration").filter(|ssl| ssl.is_object())
}

/// What a listener or backend set serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    /// A bundle of the load balancer's own, by name.
    Bundle(&'a str),
    /// A certificate of the Certificates service, by OCID.
    Certificate(&'a str),
}

impl<'a> Reference<'a> {
    /// What an SSL configuration refers to.
    pub(super) fn of(ssl: &'a Value) -> Option<Self> {
        let bundle = text(ssl, "certificateName").map(Self::Bundle);
        // A list, of which the service takes one only.
        bundle.or_else(|| texts(ssl, "certificateIds").first().map(|id| Self::Certificate(id)))
    }

    /// What a name means that is no bundle of certferry's own making: certificates that are not, are known by their OCID.
    pub(super) fn named(name: &'a str) -> Self {
        if name.starts_with(CERTIFICATE_OCID) { Self::Certificate(name) } else { Self::Bundle(name) }
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(name) => write!(formatter, "bundle `{name}`"),
            Self::Certificate(id) => write!(formatter, "certificate {id}"),
        }
    }
}

/// How the OCID of a certificate of the Certificates service starts.
pub(super) const CERTIFICATE_OCID: &str = "ocid1.certificate.";

/// The addresses at which clients reach the load balancer.
pub(super) fn addresses(load_balancer: &Value) -> Vec<IpAddr> {
    let entries = list(load_balancer, "ipAddresses").iter();
    entries.filter_map(|entry| text(entry, "ipAddress")?.parse().ok()).collect()
}

/// Listeners on a port, in the service's order.
pub(super) fn listeners_on(load_balancer: &Value, wanted: u16) -> impl Iterator<Item = (&str, &Value)> {
    Collection::Listeners.all(load_balancer).filter(move |(_, listener)| port(listener) == Some(wanted))
}

/// A work request, as far as it matters.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkRequest {
    pub(super) id: String,
    #[serde(rename = "type", default)]
    pub(super) operation: Option<String>,
    pub(super) lifecycle_state: String,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) time_accepted: Option<String>,
    #[serde(default)]
    pub(super) error_details: Option<Vec<WorkRequestError>>,
}

/// Why a work request failed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkRequestError {
    #[serde(default)]
    pub(super) error_code: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
}

impl WorkRequest {
    /// Whether it still changes things. A state that we do not know is taken for an end that is no success.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.lifecycle_state.as_str(), "ACCEPTED" | "IN_PROGRESS" | "CANCELING")
    }

    /// Whether it did what was asked.
    pub(super) fn succeeded(&self) -> bool {
        self.lifecycle_state == "SUCCEEDED"
    }

    /// Whether the service says that what was asked cannot be done, rather than that it failed to do it.
    pub(super) fn blames_the_request(&self) -> bool {
        let mut details = self.error_details.iter().flatten();
        details.any(|detail| detail.error_code.as_deref() == Some("BAD_INPUT"))
    }

    /// Its end, in the service's words, as a printable line.
    pub(super) fn said(&self) -> String {
        let detail = |detail: &WorkRequestError| match (&detail.error_code, &detail.message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => "an error without a text".to_owned(),
        };
        let mut texts: Vec<String> = self.error_details.iter().flatten().map(detail).collect();
        if texts.is_empty() {
            texts.extend(self.message.clone().filter(|message| !message.is_empty()));
        }
        let said = format!("work request {} is {}: {}", self.id, self.lifecycle_state, texts.join("; "));
        printable::line(&said, MESSAGE_CHARACTERS)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_and_empty_texts_are_absent() {
        let object = json!({"a": null, "b": "", "c": "x", "port": 0});
        assert_eq!((text(&object, "a"), text(&object, "b"), text(&object, "c")), (None, None, Some("x")));
        assert_eq!((texts(&object, "a").len(), port(&object)), (0, None));
        assert_eq!(Collection::Listeners.all(&json!({"listeners": null})).count(), 0);
        assert_eq!(Collection::Listeners.find(&json!({"listeners": {"a": null}}), "a"), None);
    }

    #[test]
    fn a_failed_work_request_speaks_for_itself() {
        let request = |value| serde_json::from_value::<WorkRequest>(value).unwrap();
        let failed = request(json!({"id": "wr", "lifecycleState": "FAILED", "message": "no",
            "errorDetails": [{"errorCode": "BAD_INPUT", "message": "bad"}, {"errorCode": "INTERNAL_ERROR"}]}));
        assert_eq!(failed.said(), "work request wr is FAILED: BAD_INPUT: bad; INTERNAL_ERROR");
        assert!(failed.blames_the_request() && !failed.is_open() && !failed.succeeded());
        let short = request(json!({"id": "wr", "lifecycleState": "FAILED", "message": "no", "errorDetails": null}));
        assert_eq!(short.said(), "work request wr is FAILED: no");
    }
}
