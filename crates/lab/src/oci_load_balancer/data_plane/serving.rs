//! A configuration made ready to serve: parsed once, then only read.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use regex_lite::Regex;
use rustls::{ClientConfig, ServerConfig, crypto::CryptoProvider};
use serde_json::Value;

use super::{
    super::configuration::{Collection, Configuration},
    route::{PathRoute, PolicyRule},
    rules::Rule,
    tls,
};
use crate::json::{Object, objects, text, texts};

#[derive(Default)]
pub(super) struct Serving {
    pub(super) backend_sets: HashMap<String, Arc<BackendSet>>,
    pub(super) ports: BTreeMap<u16, PortService>,
}

/// The listeners of one port, in the order in which they were made.
#[derive(Default)]
pub(super) struct PortService {
    pub(super) listeners: Vec<Listener>,
}

pub(super) struct Listener {
    pub(super) name: String,
    pub(super) default_backend_set: String,
    pub(super) hostnames: Vec<String>,
    pub(super) path_routes: Vec<PathRoute>,
    pub(super) policy: Vec<PolicyRule>,
    pub(super) protocol: Protocol,
    pub(super) rules: Vec<Rule>,
    pub(super) tls: Option<ListenerTls>,
}

/// What of the protocols matters to the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Tcp,
}

#[derive(Clone)]
pub(super) struct ListenerTls {
    /// `None` where nothing can be served: every handshake fails.
    pub(super) settings: Option<Arc<ServerConfig>>,
}

pub(super) struct BackendSet {
    pub(super) name: String,
    pub(super) backends: Vec<Backend>,
    pub(super) checker: Checker,
    /// Towards the backends.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Whose turn it is.
    pub(super) turn: AtomicUsize,
}

pub(super) struct Backend {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) backup: bool,
    /// Takes no new requests.
    pub(super) drain: bool,
    pub(super) offline: bool,
    pub(super) weight: usize,
}

pub(super) struct Checker {
    pub(super) interval: Duration,
    pub(super) kind: CheckKind,
    pub(super) plain_text: bool,
    /// 0: the backend's own.
    pub(super) port: u16,
    pub(super) retries: u64,
    pub(super) timeout: Duration,
}

pub(super) enum CheckKind {
    Http { path: String, status: u16, body: Option<Regex> },
    Tcp,
}

impl Serving {
    /// A listener whose certificate is held keeps the TLS settings of `previous`.
    pub(super) fn new(
        configuration: &Configuration,
        previous: &Self,
        is_held: &dyn Fn(&str) -> bool,
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        let mut serving = Self::default();
        for (name, set) in configuration.objects(Collection::BackendSets) {
            let set = BackendSet::new(configuration, name, set, provider);
            serving.backend_sets.insert(name.to_owned(), Arc::new(set));
        }
        for (name, object) in configuration.objects(Collection::Listeners) {
            let mut listener = Listener::new(configuration, name, object);
            if let Some(ssl) = object.get("sslConfiguration").and_then(Value::as_object) {
                let kept = previous.listener_tls(name).filter(|_| is_held(name));
                listener.tls = Some(
                    kept.unwrap_or_else(|| ListenerTls { settings: tls::server(configuration, name, ssl, provider) }),
                );
            }
            let port = port(&object["port"]);
            serving.ports.entry(port).or_default().listeners.push(listener);
        }
        serving
    }

    fn listener_tls(&self, name: &str) -> Option<ListenerTls> {
        self.ports.values().flat_map(|port| &port.listeners).find(|listener| listener.name == name)?.tls.clone()
    }
}

impl PortService {
    pub(super) fn uses_tls(&self) -> bool {
        self.listeners.iter().any(|listener| listener.tls.is_some())
    }

    /// By name: an exact hostname, then the longest `*.…`, then the longest `….*`; else the listener without
    /// hostnames, else the first.
    pub(super) fn pick(&self, name: Option<&str>) -> Option<&Listener> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let best = name.and_then(|name| {
            self.listeners
                .iter()
                .filter_map(|listener| {
                    let rank = listener.hostnames.iter().filter_map(|pattern| rank(pattern, &name)).max()?;
                    Some((rank, listener))
                })
                .max_by_key(|(rank, _)| *rank)
        });
        best.map(|(_, listener)| listener)
            .or_else(|| self.listeners.iter().find(|listener| listener.hostnames.is_empty()))
            .or_else(|| self.listeners.first())
    }
}

impl Listener {
    fn new(configuration: &Configuration, name: &str, object: &Object) -> Self {
        let hostnames = texts(object, "hostnameNames")
            .filter_map(|name| configuration.object(Collection::Hostnames, name))
            .map(|hostname| text(hostname, "hostname").to_ascii_lowercase())
            .collect();
        let rules = texts(object, "ruleSetNames")
            .filter_map(|name| configuration.object(Collection::RuleSets, name))
            .flat_map(|set| objects(set, "items"))
            .filter_map(Rule::parse)
            .collect();
        let path_routes = configuration
            .object(Collection::PathRouteSets, text(object, "pathRouteSetName"))
            .into_iter()
            .flat_map(|set| objects(set, "pathRoutes"))
            .map(PathRoute::new)
            .collect();
        let policy = configuration
            .object(Collection::RoutingPolicies, text(object, "routingPolicyName"))
            .into_iter()
            .flat_map(|policy| objects(policy, "rules"))
            .filter_map(PolicyRule::parse)
            .collect();
        Self {
            name: name.to_owned(),
            default_backend_set: text(object, "defaultBackendSetName").to_owned(),
            hostnames,
            path_routes,
            policy,
            protocol: match text(object, "protocol") {
                "TCP" => Protocol::Tcp,
                _ => Protocol::Http,
            },
            rules,
            tls: None,
        }
    }
}

impl BackendSet {
    fn new(configuration: &Configuration, name: &str, object: &Object, provider: &Arc<CryptoProvider>) -> Self {
        let ssl = object.get("sslConfiguration").and_then(Value::as_object);
        Self {
            name: name.to_owned(),
            backends: objects(object, "backends").filter_map(Backend::parse).collect(),
            checker: Checker::new(object.get("healthChecker").and_then(Value::as_object)),
            tls: ssl.and_then(|ssl| tls::client(configuration, ssl, provider)),
            turn: AtomicUsize::new(0),
        }
    }
}

impl Backend {
    fn parse(object: &Object) -> Option<Self> {
        let flag = |name: &str| object.get(name) == Some(&Value::Bool(true));
        Some(Self {
            name: text(object, "name").to_owned(),
            address: SocketAddr::new(text(object, "ipAddress").parse().ok()?, port(object.get("port")?)),
            backup: flag("backup"),
            drain: flag("drain"),
            offline: flag("offline"),
            weight: usize::try_from(number(object, "weight")).unwrap_or(1).clamp(1, 100),
        })
    }
}

impl Checker {
    fn new(object: Option<&Object>) -> Self {
        let nothing = Object::new();
        let object = object.unwrap_or(&nothing);
        let kind = if text(object, "protocol") == "HTTP" {
            CheckKind::Http {
                path: text(object, "urlPath").to_owned(),
                status: u16::try_from(number(object, "returnCode")).unwrap_or(200),
                body: Some(text(object, "responseBodyRegex"))
                    .filter(|pattern| !pattern.is_empty())
                    .and_then(|pattern| Regex::new(pattern).ok()),
            }
        } else {
            CheckKind::Tcp
        };
        Self {
            interval: Duration::from_millis(number(object, "intervalInMillis")),
            kind,
            plain_text: object.get("isForcePlainText") == Some(&Value::Bool(true)),
            port: object.get("port").map_or(0, port),
            retries: number(object, "retries"),
            timeout: Duration::from_millis(number(object, "timeoutInMillis")),
        }
    }
}

/// How well a hostname pattern fits a name; higher is better.
fn rank(pattern: &str, name: &str) -> Option<(u8, usize)> {
    if pattern == name {
        return Some((2, pattern.len()));
    }
    let (rest, leading) = match pattern.strip_prefix('*') {
        Some(rest) => (rest, true),
        None => (pattern.strip_suffix('*')?, false),
    };
    let fits = if leading { name.ends_with(rest) } else { name.starts_with(rest) };
    (fits && name.len() > rest.len()).then_some((u8::from(leading), pattern.len()))
}

fn number(object: &Object, field: &str) -> u64 {
    object.get(field).and_then(Value::as_u64).unwrap_or_default()
}

/// Validated when it was configured.
fn port(value: &Value) -> u16 {
    value.as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn a_hostname_is_matched_exactly_before_by_wildcard() {
        let cases = [
            ("www.some-domain.com", "www.some-domain.com", true),
            ("*.some-domain.com", "www.some-domain.com", true),
            ("*.some-domain.com", "some-domain.com", false),
            ("www.some-domain.*", "www.some-domain.com", true),
            ("www.some-domain.*", "other.some-domain.com", false),
            ("other.some-domain.com", "www.some-domain.com", false),
        ];
        for (pattern, name, fits) in cases {
            assert_eq!(rank(pattern, name).is_some(), fits, "{pattern} on {name}");
        }
        let name = "www.some-domain.com";
        assert!(rank(name, name) > rank("*.some-domain.com", name));
        assert!(rank("*.some-domain.com", name) > rank("*.com", name));
        assert!(rank("*.com", name) > rank("www.some-domain.*", name));
    }
}
