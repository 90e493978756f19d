//! The GET operations.

use http::header::ETAG;
use serde_json::{Value, json};

use super::{
    super::{
        super::{
            certificates_service::{Certificate, Version, shown},
            error::ApiError,
            service::State,
        },
        Call,
        reads::{NEXT_PAGE, Query, one_page, query},
        reply::Reply,
    },
    CertificatesAction as Action,
};

pub(super) fn read(state: &State, call: &Call, action: &Action) -> Result<Reply, ApiError> {
    let query = query(call);
    let nulls = state.behaviour.nulls;
    let with_etag = |certificate: &Certificate, json: Value| Reply::json(&json).with(ETAG, &certificate.etag());
    match action {
        Action::List => list_certificates(state, &query),
        Action::ListAssociations => list_associations(state, &query),
        Action::GetAssociation(id) => {
            let found = state.certificates.associations.iter().find(|association| &association.id == id);
            let association = found.ok_or_else(|| ApiError::not_found(format_args!("association {id}")))?;
            Ok(Reply::json(&shown::association(association)))
        }
        Action::Get(id) => {
            let certificate = state.certificates.certificate(id)?;
            Ok(with_etag(certificate, shown::certificate(certificate, nulls)))
        }
        Action::ListVersions(id) => list_versions(state, id, &query),
        Action::GetVersion(id, wanted) => {
            let certificate = state.certificates.certificate(id)?;
            let version = version(certificate, number(wanted)?)?;
            Ok(with_etag(certificate, shown::version(certificate, version, nulls)))
        }
        Action::GetBundle(id) => {
            let certificate = state.certificates.certificate(id)?;
            if query.get("certificateBundleType").is_some_and(|kind| kind != "CERTIFICATE_CONTENT_PUBLIC_ONLY") {
                return Err(ApiError::not_found("a policy for private keys, which the lab grants nobody"));
            }
            let version = wanted_version(certificate, &query)?;
            Ok(with_etag(certificate, shown::public_bundle(certificate, version, nulls)))
        }
        other => Err(ApiError::not_found(format_args!("{other:?}"))),
    }
}

/// A version's number as a path or a query has it.
pub(super) fn number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| ApiError::invalid_parameter(format!("The version number '{text}' is not valid")))
}

fn list_certificates(state: &State, query: &Query) -> Result<Reply, ApiError> {
    let mut found: Vec<&Certificate> = state
        .certificates
        .certificates
        .iter()
        .filter(|certificate| {
            let lifecycle = query.get("lifecycleState").map(|wanted| wanted.to_ascii_uppercase());
            is_wanted(query, "compartmentId", &certificate.compartment_id)
                && is_wanted(query, "name", &certificate.name)
                && is_wanted(query, "certificateId", &certificate.id)
                && lifecycle.is_none_or(|wanted| wanted == certificate.lifecycle.as_str())
        })
        .collect();
    let order = query.get("sortBy").map(String::as_str);
    match order {
        Some("NAME") => found.sort_by(|one, other| one.name.cmp(&other.name)),
        Some("EXPIRATIONDATE") => found.sort_by_key(|certificate| certificate.current().content.leaf.not_after),
        // They are held in the order in which they were made.
        _ => {}
    }
    if is_descending(query, order != Some("NAME")) {
        found.reverse();
    }
    let nulls = state.behaviour.nulls;
    items(state, query, found.into_iter().map(|certificate| shown::certificate_summary(certificate, nulls)))
}

fn list_versions(state: &State, id: &str, query: &Query) -> Result<Reply, ApiError> {
    let certificate = state.certificates.certificate(id)?;
    let only = query.get("versionNumber").map(|text| number(text)).transpose()?.filter(|number| *number != 0);
    let mut found: Vec<&Version> =
        certificate.versions.iter().filter(|version| only.is_none_or(|only| only == version.number)).collect();
    if is_descending(query, false) {
        found.reverse();
    }
    let nulls = state.behaviour.nulls;
    items(state, query, found.into_iter().map(|version| shown::version(certificate, version, nulls)))
}

fn list_associations(state: &State, query: &Query) -> Result<Reply, ApiError> {
    let mut found: Vec<_> = state
        .certificates
        .associations
        .iter()
        .filter(|association| {
            is_wanted(query, "compartmentId", &association.compartment_id)
                && is_wanted(query, "certificatesResourceId", &association.certificate_id)
                && is_wanted(query, "associatedResourceId", &association.load_balancer_id)
                && is_wanted(query, "associationId", &association.id)
                && is_wanted(query, "name", &association.name)
                && is_wanted(query, "associationType", "CERTIFICATE")
        })
        .collect();
    let by_name = query.get("sortBy").is_some_and(|order| order == "NAME");
    if by_name {
        found.sort_by(|one, other| one.name.cmp(&other.name));
    }
    if is_descending(query, !by_name) {
        found.reverse();
    }
    items(state, query, found.into_iter().map(shown::association))
}

fn items(state: &State, query: &Query, items: impl Iterator<Item = Value>) -> Result<Reply, ApiError> {
    let (shown, next) = one_page(items.collect(), query, state.behaviour.certificates.page_size)?;
    let reply = Reply::json(&json!({ "items": shown }));
    Ok(match next {
        Some(next) => reply.with(NEXT_PAGE, &next),
        None => reply,
    })
}

/// The version with the number, name or stage; without either the current one.
fn wanted_version<'a>(certificate: &'a Certificate, query: &Query) -> Result<&'a Version, ApiError> {
    if let Some(text) = query.get("versionNumber").filter(|text| *text != "0") {
        return version(certificate, number(text)?);
    }
    let found = match (query.get("certificateVersionName"), query.get("stage")) {
        (Some(name), _) => certificate.versions.iter().find(|version| version.name.as_ref() == Some(name)),
        (None, Some(stage)) => {
            certificate.versions.iter().rev().find(|version| certificate.stages(version).contains(&stage.as_str()))
        }
        (None, None) => Some(certificate.current()),
    };
    found.ok_or_else(|| ApiError::not_found(format_args!("such a version of certificate {}", certificate.id)))
}

fn version(certificate: &Certificate, number: u64) -> Result<&Version, ApiError> {
    let missing = || ApiError::not_found(format_args!("version {number} of certificate {}", certificate.id));
    certificate.version(number).ok_or_else(missing)
}

fn is_wanted(query: &Query, parameter: &str, value: &str) -> bool {
    query.get(parameter).is_none_or(|wanted| wanted == value)
}

fn is_descending(query: &Query, default: bool) -> bool {
    query.get("sortOrder").map_or(default, |order| order == "DESC")
}
