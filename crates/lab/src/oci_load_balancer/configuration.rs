//! What one load balancer is configured to do: the objects by name, as JSON, so that fields that the lab has never
//! heard of are kept and returned.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{bundle::Bundle, defaults, error::ApiError, fields::without_nulls, options::Nulls};

/// The kinds of named objects under a load balancer, certificates apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Collection {
    BackendSets,
    Hostnames,
    Listeners,
    PathRouteSets,
    RoutingPolicies,
    RuleSets,
    SslCipherSuites,
}

impl Collection {
    pub(super) const ALL: [Self; 7] = [
        Self::BackendSets,
        Self::Hostnames,
        Self::Listeners,
        Self::PathRouteSets,
        Self::RoutingPolicies,
        Self::RuleSets,
        Self::SslCipherSuites,
    ];

    /// The path segment, which is also the key in the load balancer's JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::BackendSets => "backendSets",
            Self::Hostnames => "hostnames",
            Self::Listeners => "listeners",
            Self::PathRouteSets => "pathRouteSets",
            Self::RoutingPolicies => "routingPolicies",
            Self::RuleSets => "ruleSets",
            Self::SslCipherSuites => "sslCipherSuites",
        }
    }

    pub(super) fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.key() == key)
    }

    /// For messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::BackendSets => "backend set",
            Self::Hostnames => "hostname",
            Self::Listeners => "listener",
            Self::PathRouteSets => "path route set",
            Self::RoutingPolicies => "routing policy",
            Self::RuleSets => "rule set",
            Self::SslCipherSuites => "SSL cipher suite",
        }
    }
}

/// Everything that GetLoadBalancer shows, and the keys that it does not show.
#[derive(Clone, Debug, Default)]
pub(super) struct Configuration {
    /// The load balancer's own fields: id, displayName, ipAddresses and so on.
    pub(super) attributes: Map<String, Value>,
    pub(super) certificates: BTreeMap<String, Bundle>,
    /// By OCID: what the load balancer has fetched of the certificates in `certificateIds`. It stays in use until the load
    /// balancer fetches again.
    pub(super) fetched: BTreeMap<String, Bundle>,
    collections: BTreeMap<Collection, Map<String, Value>>,
}

impl Configuration {
    /// Reads the form in which [`Configuration::to_json`] writes. A certificate that gives its `privateKey` is taken
    /// anew; one that does not must be in `previous`, whose key it keeps.
    pub(super) fn from_json(json: Value, previous: &Self) -> Result<Self, ApiError> {
        let Value::Object(json) = without_nulls(json) else {
            return Err(ApiError::invalid_parameter("a load balancer must be an object"));
        };
        let mut configuration = Self { fetched: previous.fetched.clone(), ..Self::default() };
        for (key, value) in json {
            if key == "certificates" {
                configuration.certificates = certificates(&value, previous)?;
            } else if let Some(collection) = Collection::from_key(&key) {
                for (name, object) in named_objects(&key, value)? {
                    let completed = defaults::complete(collection, &name, object)?;
                    configuration.insert(collection, &name, completed);
                }
            } else {
                configuration.attributes.insert(key, value);
            }
        }
        Ok(configuration)
    }

    pub(super) fn to_json(&self, nulls: Nulls) -> Value {
        let mut json = self.attributes.clone();
        let certificates = self
            .certificates
            .iter()
            .map(|(name, bundle)| (name.clone(), rendered_certificate(bundle, nulls)))
            .collect();
        json.insert("certificates".into(), Value::Object(certificates));
        for collection in Collection::ALL {
            let objects = self
                .objects(collection)
                .map(|(name, object)| (name.to_owned(), rendered(collection, object.clone(), nulls)))
                .collect();
            json.insert(collection.key().into(), Value::Object(objects));
        }
        Value::Object(json)
    }

    /// In the order in which they were made.
    pub(super) fn objects(&self, collection: Collection) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        self.collections
            .get(&collection)
            .into_iter()
            .flatten()
            .filter_map(|(name, object)| Some((name.as_str(), object.as_object()?)))
    }

    pub(super) fn object(&self, collection: Collection, name: &str) -> Option<&Map<String, Value>> {
        self.collections.get(&collection)?.get(name)?.as_object()
    }

    pub(super) fn object_mut(&mut self, collection: Collection, name: &str) -> Option<&mut Map<String, Value>> {
        self.collections.get_mut(&collection)?.get_mut(name)?.as_object_mut()
    }

    /// Replaces in place: the order is kept.
    pub(super) fn insert(&mut self, collection: Collection, name: &str, object: Map<String, Value>) {
        self.collections.entry(collection).or_default().insert(name.to_owned(), Value::Object(object));
    }

    pub(super) fn remove(&mut self, collection: Collection, name: &str) -> bool {
        self.collections.get_mut(&collection).is_some_and(|objects| objects.shift_remove(name).is_some())
    }

    pub(super) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// An object as a response shows it: in one mode with nulls for what is not set.
pub(super) fn rendered(collection: Collection, mut object: Map<String, Value>, nulls: Nulls) -> Value {
    if nulls == Nulls::Omitted {
        return Value::Object(object);
    }
    let (own, ssl): (&[&str], &[&str]) = match collection {
        Collection::BackendSets => (
            &[
                "backendMaxConnections",
                "lbCookieSessionPersistenceConfiguration",
                "sessionPersistenceConfiguration",
                "sslConfiguration",
            ],
            &["certificateName", "serverOrderPreference"],
        ),
        Collection::Listeners => (&["pathRouteSetName", "routingPolicyName", "sslConfiguration"], &["certificateName"]),
        _ => (&[], &[]),
    };
    add_nulls(&mut object, own);
    if let Some(Value::Object(configuration)) = object.get_mut("sslConfiguration") {
        add_nulls(configuration, ssl);
    }
    if let Some(Value::Array(backends)) = object.get_mut("backends") {
        for backend in backends.iter_mut().filter_map(Value::as_object_mut) {
            add_nulls(backend, &["maxConnections"]);
        }
    }
    Value::Object(object)
}

pub(super) fn rendered_certificate(bundle: &Bundle, nulls: Nulls) -> Value {
    let mut json = bundle.to_json();
    if nulls == Nulls::Explicit {
        add_nulls(&mut json, &["publicCertificate", "caCertificate"]);
    }
    Value::Object(json)
}

fn add_nulls(object: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        object.entry(*name).or_insert(Value::Null);
    }
}

type Named = Vec<(String, Map<String, Value>)>;

fn named_objects(key: &str, value: Value) -> Result<Named, ApiError> {
    let refused = || ApiError::invalid_parameter(format!("{key} must be a map of objects by name"));
    let Value::Object(objects) = value else {
        return Err(refused());
    };
    objects
        .into_iter()
        .map(|(name, object)| match object {
            Value::Object(object) => Ok((name, object)),
            _ => Err(refused()),
        })
        .collect()
}

fn certificates(json: &Value, previous: &Configuration) -> Result<BTreeMap<String, Bundle>, ApiError> {
    let mut certificates = BTreeMap::new();
    for (name, mut body) in named_objects("certificates", json.clone())? {
        let bundle = match previous.certificates.get(&name) {
            Some(bundle) if !body.contains_key("privateKey") => bundle.clone(),
            _ => {
                body.insert("certificateName".into(), name.as_str().into());
                Bundle::parse(&body)?
            }
        };
        certificates.insert(name, bundle);
    }
    Ok(certificates)
}
