//! From method and path to the operation, by the API's own names.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::{
    super::{configuration::Collection, error::ApiError, identity::federation},
    certificates_service::{self, CertificatesAction},
};

/// What a request is about.
#[derive(Debug)]
pub(super) struct Route {
    /// The API's name, for example `UpdateListener`.
    pub(super) operation: &'static str,
    pub(super) load_balancer: Option<String>,
    pub(super) action: Action,
}

/// The operations, with the names that the path gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    CertificatesService(CertificatesAction),
    ChangeCompartment,
    Create(Collection),
    CreateBackend(String),
    CreateCertificate,
    Delete(Collection, String),
    DeleteBackend(String, String),
    DeleteCertificate(String),
    FederateX509,
    Get(Collection, String),
    GetBackend(String, String),
    GetBackendHealth(String, String),
    GetBackendSetHealth(String),
    GetHealthChecker(String),
    GetLoadBalancer,
    GetLoadBalancerHealth,
    GetWorkRequest(String),
    List(Collection),
    ListBackends(String),
    ListCertificates,
    ListListenerRules(String),
    ListLoadBalancerHealths,
    ListLoadBalancers,
    ListPolicies,
    ListProtocols,
    ListShapes,
    ListWorkRequests,
    Update(Collection, String),
    UpdateBackend(String, String),
    UpdateHealthChecker(String),
    UpdateLoadBalancer,
    UpdateNetworkSecurityGroups,
    UpdateShape,
}

impl Route {
    /// 404 for an unknown path, 405 for a known path with another method, 501 for what the lab leaves out.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, ApiError> {
        let unknown = || ApiError::new(StatusCode::NOT_FOUND, "NotFound", format!("Unknown resource {path}"));
        if path == federation::PATH && *method == Method::POST {
            return Ok(Self { operation: "X509Federation", load_balancer: None, action: Action::FederateX509 });
        }
        let (rest, of_certificates) = match path.strip_prefix(certificates_service::BASE_PATH) {
            Some(rest) => (rest, true),
            None => (path.strip_prefix(BASE_PATH).ok_or_else(unknown)?, false),
        };
        let segments = rest
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8().map(String::from))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| unknown())?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(unknown());
        }
        let (load_balancer, offered) = match segments.as_slice() {
            segments if of_certificates => (None, below_certificates_service(segments)),
            ["loadBalancers", id, below @ ..] => (Some((*id).to_owned()), below_load_balancer(below)),
            other => (None, top_level(other)),
        };
        if offered.is_empty() {
            return Err(unknown());
        }
        let Some((_, operation, action)) = offered.into_iter().find(|(verb, ..)| *verb == method.as_str()) else {
            if *method != Method::GET && matches!(segments.as_slice(), ["loadBalancers"] | ["loadBalancers", _]) {
                return Err(ApiError::new(
                    StatusCode::NOT_IMPLEMENTED,
                    "MethodNotImplemented",
                    "The lab neither creates nor deletes load balancers through its API",
                ));
            }
            return Err(ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                format!("{method} is not allowed on {path}"),
            ));
        };
        Ok(Self { operation, load_balancer, action })
    }

    pub(super) fn is_mutation(&self) -> bool {
        !(self.operation.starts_with("Get") || self.operation.starts_with("List"))
    }

    /// The certificate of the Certificates service that the path names.
    pub(super) fn certificate(&self) -> Option<&str> {
        match &self.action {
            Action::CertificatesService(action) => action.certificate(),
            _ => None,
        }
    }

    /// What fault rules mean by an object.
    pub(super) fn object(&self) -> Option<&str> {
        self.load_balancer.as_deref().or_else(|| self.certificate())
    }

    /// The work request that the path names.
    pub(super) fn work_request(&self) -> Option<&str> {
        match &self.action {
            Action::GetWorkRequest(id) => Some(id),
            _ => None,
        }
    }
}

/// A method, the operation's name, the operation.
type Offered = Vec<(&'static str, &'static str, Action)>;

fn top_level(segments: &[&str]) -> Offered {
    match segments {
        ["loadBalancers"] => vec![("GET", "ListLoadBalancers", Action::ListLoadBalancers)],
        ["loadBalancerHealths"] => vec![("GET", "ListLoadBalancerHealths", Action::ListLoadBalancerHealths)],
        ["loadBalancerPolicies"] => vec![("GET", "ListPolicies", Action::ListPolicies)],
        ["loadBalancerProtocols"] => vec![("GET", "ListProtocols", Action::ListProtocols)],
        ["loadBalancerShapes"] => vec![("GET", "ListShapes", Action::ListShapes)],
        ["loadBalancerWorkRequests", id] => {
            vec![("GET", "GetWorkRequest", Action::GetWorkRequest((*id).to_owned()))]
        }
        _ => Vec::new(),
    }
}

fn below_certificates_service(segments: &[&str]) -> Offered {
    let offered = certificates_service::offered(segments).into_iter();
    offered.map(|(method, name, action)| (method, name, Action::CertificatesService(action))).collect()
}

fn below_load_balancer(segments: &[&str]) -> Offered {
    match segments {
        [] => vec![
            ("GET", "GetLoadBalancer", Action::GetLoadBalancer),
            ("PUT", "UpdateLoadBalancer", Action::UpdateLoadBalancer),
        ],
        ["health"] => vec![("GET", "GetLoadBalancerHealth", Action::GetLoadBalancerHealth)],
        ["workRequests"] => vec![("GET", "ListWorkRequests", Action::ListWorkRequests)],
        ["updateShape"] => vec![("PUT", "UpdateLoadBalancerShape", Action::UpdateShape)],
        ["changeCompartment"] => vec![("POST", "ChangeLoadBalancerCompartment", Action::ChangeCompartment)],
        ["networkSecurityGroups"] => {
            vec![("PUT", "UpdateNetworkSecurityGroups", Action::UpdateNetworkSecurityGroups)]
        }
        ["certificates"] => vec![
            ("GET", "ListCertificates", Action::ListCertificates),
            ("POST", "CreateCertificate", Action::CreateCertificate),
        ],
        ["certificates", name] => {
            vec![("DELETE", "DeleteCertificate", Action::DeleteCertificate((*name).to_owned()))]
        }
        ["listeners", name, "rules"] => {
            vec![("GET", "ListListenerRules", Action::ListListenerRules((*name).to_owned()))]
        }
        ["backendSets", set, below @ ..] if !below.is_empty() => below_backend_set((*set).to_owned(), below),
        [collection] => Collection::from_key(collection).map_or_else(Vec::new, whole_collection),
        [collection, name] => Collection::from_key(collection).map_or_else(Vec::new, |kind| one_object(kind, name)),
        _ => Vec::new(),
    }
}

fn below_backend_set(set: String, segments: &[&str]) -> Offered {
    match segments {
        ["health"] => vec![("GET", "GetBackendSetHealth", Action::GetBackendSetHealth(set))],
        ["healthChecker"] => vec![
            ("GET", "GetHealthChecker", Action::GetHealthChecker(set.clone())),
            ("PUT", "UpdateHealthChecker", Action::UpdateHealthChecker(set)),
        ],
        ["backends"] => vec![
            ("GET", "ListBackends", Action::ListBackends(set.clone())),
            ("POST", "CreateBackend", Action::CreateBackend(set)),
        ],
        ["backends", name] => {
            let name = (*name).to_owned();
            vec![
                ("GET", "GetBackend", Action::GetBackend(set.clone(), name.clone())),
                ("PUT", "UpdateBackend", Action::UpdateBackend(set.clone(), name.clone())),
                ("DELETE", "DeleteBackend", Action::DeleteBackend(set, name)),
            ]
        }
        ["backends", name, "health"] => {
            vec![("GET", "GetBackendHealth", Action::GetBackendHealth(set, (*name).to_owned()))]
        }
        _ => Vec::new(),
    }
}

fn whole_collection(kind: Collection) -> Offered {
    let [create, list, ..] = names(kind);
    let mut offered = vec![("POST", create, Action::Create(kind))];
    // The API has no list of listeners and no single listener: they are read from the load balancer.
    if kind != Collection::Listeners {
        offered.push(("GET", list, Action::List(kind)));
    }
    offered
}

fn one_object(kind: Collection, name: &str) -> Offered {
    let [_, _, get, update, delete] = names(kind);
    let name = name.to_owned();
    let mut offered = vec![
        ("PUT", update, Action::Update(kind, name.clone())),
        ("DELETE", delete, Action::Delete(kind, name.clone())),
    ];
    if kind != Collection::Listeners {
        offered.push(("GET", get, Action::Get(kind, name)));
    }
    offered
}

/// Create, list, get, update, delete.
fn names(kind: Collection) -> [&'static str; 5] {
    macro_rules! of {
        ($one:literal, $many:literal) => {
            [
                concat!("Create", $one),
                concat!("List", $many),
                concat!("Get", $one),
                concat!("Update", $one),
                concat!("Delete", $one),
            ]
        };
    }
    match kind {
        Collection::BackendSets => of!("BackendSet", "BackendSets"),
        Collection::Hostnames => of!("Hostname", "Hostnames"),
        Collection::Listeners => of!("Listener", "Listeners"),
        Collection::PathRouteSets => of!("PathRouteSet", "PathRouteSets"),
        Collection::RoutingPolicies => of!("RoutingPolicy", "RoutingPolicies"),
        Collection::RuleSets => of!("RuleSet", "RuleSets"),
        Collection::SslCipherSuites => of!("SSLCipherSuite", "SSLCipherSuites"),
    }
}

const BASE_PATH: &str = "/20170115/";
