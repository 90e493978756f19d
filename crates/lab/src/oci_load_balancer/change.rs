//! The mutations. A change is applied twice: to a copy when the call arrives, so that what is wrong is refused at
//! once, and to the real configuration when its work request is carried out.

use serde_json::{Map, Value};

use super::{
    bundle::{self, Bundle},
    configuration::{Collection, Configuration},
    defaults,
    error::ApiError,
    fields::Fields,
    options::{AttachedCertificate, Behaviour, CertificateCheck},
    validation,
};

type Object = Map<String, Value>;

/// What a call asks for, after its path and body have been read.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Sets fields of the load balancer itself.
    Attributes(Object),
    Create(Collection, String, Object),
    CreateBackend {
        set: String,
        backend: Object,
    },
    CreateCertificate(Object),
    Delete(Collection, String),
    DeleteBackend {
        set: String,
        backend: String,
    },
    DeleteCertificate(String),
    Replace(Collection, String, Object),
    UpdateBackend {
        set: String,
        backend: String,
        body: Object,
    },
    UpdateHealthChecker {
        set: String,
        checker: Object,
    },
}

/// When a change is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The call arrives: a trial run.
    Acceptance,
    /// The work request is carried out.
    Completion,
}

impl Change {
    /// Whether a listener or backend set is to refer to a certificate of the Certificates service.
    pub(super) fn names_certificate_ids(&self) -> bool {
        let (Self::Create(_, _, body) | Self::Replace(_, _, body)) = self else {
            return false;
        };
        crate::json::object(body, "sslConfiguration").is_some_and(|ssl| crate::json::has(ssl, "certificateIds"))
    }

    /// Applies the change and checks the result. On an error `configuration` is in between and to be thrown away.
    pub(super) fn apply(
        &self,
        configuration: &mut Configuration,
        behaviour: &Behaviour,
        phase: Phase,
    ) -> Result<(), ApiError> {
        match self {
            Self::Attributes(fields) => {
                for (name, value) in fields {
                    configuration.attributes.insert(name.clone(), value.clone());
                }
            }
            Self::Create(collection, name, body) => {
                if configuration.object(*collection, name).is_some() {
                    return Err(taken(collection.noun(), name, behaviour));
                }
                let object = defaults::complete(*collection, name, body.clone())?;
                configuration.insert(*collection, name, object);
            }
            Self::CreateBackend { set, backend } => create_backend(configuration, set, backend, behaviour)?,
            Self::CreateCertificate(body) => {
                if !create_certificate(configuration, body, behaviour, phase)? {
                    return Ok(());
                }
            }
            Self::Delete(collection, name) => delete(configuration, *collection, name)?,
            Self::DeleteBackend { set, backend } => {
                let backends = backends_mut(configuration, set)?;
                let position = position(backends, backend)?;
                backends.remove(position);
            }
            Self::DeleteCertificate(name) => {
                if !delete_certificate(configuration, name, behaviour, phase)? {
                    return Ok(());
                }
            }
            Self::Replace(collection, name, body) => {
                if configuration.object(*collection, name).is_none() {
                    return Err(ApiError::not_found(format_args!("{} '{name}'", collection.noun())));
                }
                let object = defaults::complete(*collection, name, replacement(*collection, body)?)?;
                configuration.insert(*collection, name, object);
            }
            Self::UpdateBackend { set, backend, body } => update_backend(configuration, set, backend, body)?,
            Self::UpdateHealthChecker { set, checker } => update_health_checker(configuration, set, checker)?,
        }
        validation::check(configuration)
    }
}

/// Gives false where the rest is left to the work request.
fn create_certificate(
    configuration: &mut Configuration,
    body: &Object,
    behaviour: &Behaviour,
    phase: Phase,
) -> Result<bool, ApiError> {
    let name = bundle::checked_name(body)?;
    if configuration.certificates.contains_key(name) {
        return Err(taken("certificate", name, behaviour));
    }
    if let Some(limit) = behaviour.certificate_limit
        && configuration.certificates.len() >= limit
    {
        return Err(ApiError::limit_exceeded("certificate-count", limit));
    }
    if phase == Phase::Acceptance && behaviour.certificate_check == CertificateCheck::InWorkRequest {
        return Ok(false);
    }
    let bundle = Bundle::parse(body)?;
    configuration.certificates.insert(bundle.name().to_owned(), bundle);
    Ok(true)
}

/// Gives false where the rest is left to the work request.
fn delete_certificate(
    configuration: &mut Configuration,
    name: &str,
    behaviour: &Behaviour,
    phase: Phase,
) -> Result<bool, ApiError> {
    if !configuration.certificates.contains_key(name) {
        return Err(ApiError::not_found(format_args!("certificate '{name}'")));
    }
    let user = validation::certificate_users(configuration, name).next();
    match (user, behaviour.attached_certificate, phase) {
        (None, _, _) => {}
        (Some(_), AttachedCertificate::Conflict, _) => {
            return Err(ApiError::conflict(format!(
                "Certificate '{name}' is attached to one or more listeners/backendSets"
            )));
        }
        (Some(_), AttachedCertificate::WorkRequestFails, Phase::Acceptance) => return Ok(false),
        (Some((Collection::Listeners, user)), AttachedCertificate::WorkRequestFails, Phase::Completion) => {
            return Err(ApiError::invalid_parameter(format!(
                "Listener for '{user}' refers to unknown certificate '{name}'"
            )));
        }
        (Some(_), AttachedCertificate::WorkRequestFails, Phase::Completion) => {
            return Err(ApiError::invalid_parameter(format!("Certificate {name} is used by one or more backend sets")));
        }
    }
    configuration.certificates.remove(name);
    Ok(true)
}

fn delete(configuration: &mut Configuration, collection: Collection, name: &str) -> Result<(), ApiError> {
    let noun = collection.noun();
    if let Some(user) = validation::user(configuration, collection, name) {
        return Err(ApiError::invalid_parameter(format!("Can't remove {noun} '{name}' since it is used in {user}")));
    }
    if configuration.remove(collection, name) {
        return Ok(());
    }
    Err(ApiError::not_found(format_args!("{noun} '{name}'")))
}

fn create_backend(
    configuration: &mut Configuration,
    set: &str,
    body: &Object,
    behaviour: &Behaviour,
) -> Result<(), ApiError> {
    let backend = defaults::backend(&format!("backend set '{set}'"), body)?;
    let name = backend["name"].as_str().unwrap_or_default().to_owned();
    let backends = backends_mut(configuration, set)?;
    if position(backends, &name).is_ok() {
        return Err(taken("backend", &name, behaviour));
    }
    backends.push(Value::Object(backend));
    Ok(())
}

fn update_backend(configuration: &mut Configuration, set: &str, name: &str, body: &Object) -> Result<(), ApiError> {
    let owner = format!("backend set '{set}'");
    let fields = Fields::new(format!("backend '{name}' of {owner}"), body);
    fields.required_integer("weight", 1..=100)?;
    for field in ["backup", "drain", "offline"] {
        fields.required_flag(field)?;
    }
    let backends = backends_mut(configuration, set)?;
    let position = position(backends, name)?;
    let mut replacement = body.clone();
    for field in ["ipAddress", "port"] {
        replacement.insert(field.into(), backends[position][field].clone());
    }
    backends[position] = Value::Object(defaults::backend(&owner, &replacement)?);
    Ok(())
}

fn update_health_checker(configuration: &mut Configuration, set: &str, body: &Object) -> Result<(), ApiError> {
    let owner = format!("backend set '{set}'");
    let fields = Fields::new(format!("the health checker of {owner}"), body);
    for field in ["port", "returnCode", "retries", "timeoutInMillis", "intervalInMillis"] {
        fields.required_integer(field, 0..=u64::from(u32::MAX))?;
    }
    fields.required_text("responseBodyRegex")?;
    let checker = defaults::health_checker(&owner, body)?;
    let object = configuration.object_mut(Collection::BackendSets, set).ok_or_else(|| ApiError::not_found(&owner))?;
    object.insert("healthChecker".into(), Value::Object(checker));
    Ok(())
}

/// The Update… models differ from the Create… models: no name; UpdateBackendSet needs its list of backends;
/// UpdateRoutingPolicy may leave out the language's version.
fn replacement(collection: Collection, body: &Object) -> Result<Object, ApiError> {
    if body.contains_key("name") {
        return Err(ApiError::cannot_parse(format_args!(
            "Unrecognized field \"name\" in the update of a {}",
            collection.noun()
        )));
    }
    if collection == Collection::BackendSets {
        Fields::new("the update of a backend set", body).required_objects("backends")?;
    }
    let mut object = body.clone();
    if collection == Collection::RoutingPolicies {
        object.entry("conditionLanguageVersion").or_insert("V1".into());
    }
    Ok(object)
}

fn backends_mut<'a>(configuration: &'a mut Configuration, set: &str) -> Result<&'a mut Vec<Value>, ApiError> {
    configuration
        .object_mut(Collection::BackendSets, set)
        .and_then(|object| object.get_mut("backends")?.as_array_mut())
        .ok_or_else(|| ApiError::not_found(format_args!("backend set '{set}'")))
}

fn position(backends: &[Value], name: &str) -> Result<usize, ApiError> {
    backends
        .iter()
        .position(|backend| backend["name"] == name)
        .ok_or_else(|| ApiError::not_found(format_args!("backend '{name}'")))
}

fn taken(noun: &str, name: &str, behaviour: &Behaviour) -> ApiError {
    let mut message = format!("{noun} '{name}' already exists in the load balancer");
    message[..1].make_ascii_uppercase();
    ApiError::duplicate(message, behaviour.duplicate_name)
}
