//! Orders and certificates (RFC 8555 §7.4), with `replaces` (RFC 9773 §5), profiles and IP addresses (RFC 8738).

use std::net::IpAddr;

use certferry_core::{Chain, Identifier};
use http::StatusCode;
use jiff::SignedDuration;
use rcgen::CertificateSigningRequestParams;
use serde_json::{Map, Value, json};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509CertificationRequest};

use super::ari;
use super::jws::{decode, text};
use super::problem::Problem;
use super::state::{Certificate, Challenge, Order, OrderStatus, State};
use crate::pki::Validity;

/// Makes an order, or finds the open one for the same names, and gives its number. The checks stand in Boulder's order:
/// `replaces`, profile, reuse.
pub(super) fn new_order(state: &mut State, account: usize, payload: &Map<String, Value>) -> Result<usize, Problem> {
    if payload.contains_key("notBefore") || payload.contains_key("notAfter") {
        return Err(Problem::malformed("notBefore and notAfter are not supported"));
    }
    let names = names(payload, state.validates(Challenge::Dns01))?;
    let replaces = match optional_text(payload, "replaces")? {
        Some(id) => Some(replaced(state, account, id, &names)?),
        None => None,
    };
    let profile_name = optional_text(payload, "profile")?;
    let profile = state.profile(profile_name).ok_or_else(|| {
        let detail = format!("profile {} is not offered", profile_name.unwrap_or_default());
        Problem::new(StatusCode::BAD_REQUEST, "invalidProfile", detail)
    })?;
    if let Some(address) = names.iter().find(|name| is_address(name) && !profile.ip_addresses) {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "rejectedIdentifier", "an identifier is refused");
        let detail = format!("profile {} is not for identifiers of type ip", profile_name.unwrap_or("(the default)"));
        return Err(problem.about(json!({ "type": "ip", "value": address }), "rejectedIdentifier", &detail));
    }
    if names.len() > profile.max_names {
        let detail = format!("{} names, at most {} are allowed", names.len(), profile.max_names);
        return Err(Problem::malformed(detail));
    }
    let reusable = |order: &Order| {
        order.account == account
            && order.names == names
            && order.profile.as_deref() == profile_name
            && matches!(state.order_status(order), OrderStatus::Pending | OrderStatus::Ready)
    };
    if let Some(id) = state.orders.iter().position(reusable) {
        return Ok(id);
    }
    let authorizations: Vec<usize> = names.iter().map(|name| state.new_authorization(account, name)).collect();
    // Not later than any authorization: one that serves a second order is older than that order.
    let expiries = authorizations.iter().map(|index| state.authorizations[*index].expires);
    let expires = expiries.min().unwrap_or_else(|| state.now());
    state.orders.push(Order {
        account,
        names,
        profile: profile_name.map(str::to_owned),
        replaces,
        authorizations,
        finalized: 0,
        processing_reads: None,
        certificate: None,
        expires,
    });
    Ok(state.orders.len() - 1)
}

/// Issues for an order that is ready.
pub(super) fn finalize(state: &mut State, id: usize, payload: &Map<String, Value>) -> Result<(), Problem> {
    let status = state.order_status(&state.orders[id]);
    if status != OrderStatus::Ready {
        let detail = format!("the order is {}", status.as_str());
        return Err(Problem::new(StatusCode::FORBIDDEN, "orderNotReady", detail));
    }
    let csr = decode(text(payload, "csr")?)?;
    check_csr(state, id, &csr)?;
    let order = &state.orders[id];
    let profile = state.profile(order.profile.as_deref()).ok_or_else(|| Problem::malformed("the profile is gone"))?;
    // To the second, as certificates have it; backdated as Let's Encrypt does.
    let not_before = state.now() - SignedDuration::from_hours(1);
    let lifetime = state.behaviour.lifetime.unwrap_or(profile.lifetime);
    let validity = Validity {
        common_name: profile.common_name.then(|| order.names.iter().find(|name| !is_address(name)).cloned()).flatten(),
        not_before,
        not_after: state.now() + lifetime,
    };
    let params = CertificateSigningRequestParams::from_der(&csr.into())
        .map_err(|error| bad_csr(format!("the CSR cannot be used: {error}")))?;
    let chain_pem = state
        .issuing
        .sign_csr(params, &validity)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "serverInternal", error.to_string()))?;
    let certificate = certificate(order, chain_pem)?;
    state.certificates.push(certificate);
    let number = state.certificates.len() - 1;
    let reads = state.behaviour.processing_reads;
    let order = &mut state.orders[id];
    order.certificate = Some(number);
    order.processing_reads = Some(reads);
    order.finalized += 1;
    Ok(())
}

fn optional_text<'a>(payload: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Problem> {
    if payload.contains_key(key) { text(payload, key).map(Some) } else { Ok(None) }
}

/// The names of a payload, checked. A wildcard needs dns-01 (RFC 8555 §8.3).
fn names(payload: &Map<String, Value>, has_wildcards: bool) -> Result<Vec<String>, Problem> {
    let identifiers = payload.get("identifiers").and_then(Value::as_array);
    let identifiers = identifiers.ok_or_else(|| Problem::malformed("`identifiers` is missing"))?;
    let mut names = Vec::new();
    for identifier in identifiers {
        let identifier = identifier.as_object().ok_or_else(|| Problem::malformed("an identifier is no object"))?;
        let (kind, value) = (text(identifier, "type")?, text(identifier, "value")?);
        if !["dns", "ip"].contains(&kind) {
            let detail = format!("identifiers of type {kind} are not supported");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unsupportedIdentifier", detail));
        }
        let fits = value.parse::<Identifier>().is_ok_and(|name| name.ip().is_some() == (kind == "ip"));
        if (value.starts_with("*.") && !has_wildcards) || !fits {
            let problem = Problem::new(StatusCode::BAD_REQUEST, "rejectedIdentifier", "a name is refused");
            let detail = "the lab issues for host names as type dns and for IP addresses as type ip only, for wildcards where \
                          it has a DNS server to ask";
            return Err(problem.about(json!({ "type": kind, "value": value }), "rejectedIdentifier", detail));
        }
        // RFC 8738 §3 wants RFC 5952's form of IPv6, as Boulder does.
        let is_canonical = match value.parse::<IpAddr>() {
            Ok(address) => address.to_string() == value,
            Err(_) => !value.chars().any(|letter| letter.is_ascii_uppercase()),
        };
        if !is_canonical || names.iter().any(|name| name == value) {
            return Err(Problem::malformed(format!("{value} is not in its canonical form, or there twice")));
        }
        names.push(value.to_owned());
    }
    if names.is_empty() {
        return Err(Problem::malformed("no identifiers"));
    }
    names.sort();
    Ok(names)
}

/// RFC 9773 §5: the certificate must be this account's, share a name, and not be replaced already.
fn replaced(state: &State, account: usize, id: &str, names: &[String]) -> Result<String, Problem> {
    if !ari::is_well_formed(id) {
        return Err(Problem::malformed("`replaces` is no certificate id"));
    }
    let certificate = ari::find(state, id).ok_or_else(|| Problem::not_found("certificate to replace"))?;
    if certificate.account != account {
        return Err(Problem::unauthorized("the certificate to replace is another account's"));
    }
    if !certificate.names.iter().any(|name| names.contains(name)) {
        return Err(Problem::malformed("the certificate to replace shares no name with the order"));
    }
    let mut others = state.orders.iter().filter(|order| order.replaces.as_deref() == Some(id));
    if others.any(|order| state.order_status(order) != OrderStatus::Invalid) {
        let detail = "an order replaces that certificate already";
        return Err(Problem::new(StatusCode::CONFLICT, "alreadyReplaced", detail));
    }
    Ok(id.to_owned())
}

/// The CSR must be signed by its key, be for exactly the order's names, and not hold the account's key.
fn check_csr(state: &State, id: usize, der: &[u8]) -> Result<(), Problem> {
    let (rest, csr) =
        X509CertificationRequest::from_der(der).map_err(|error| bad_csr(format!("the CSR does not parse: {error}")))?;
    if !rest.is_empty() {
        return Err(bad_csr("bytes after the CSR"));
    }
    csr.verify_signature().map_err(|error| bad_csr(format!("the CSR's signature: {error}")))?;
    let info = &csr.certification_request_info;
    let extensions = csr.requested_extensions().into_iter().flatten();
    let mut names: Vec<String> = Vec::new();
    for extension in extensions {
        let ParsedExtension::SubjectAlternativeName(alternative) = extension else { continue };
        for name in &alternative.general_names {
            names.push(match name {
                GeneralName::DNSName(name) if !is_address(name) => name.to_ascii_lowercase(),
                GeneralName::IPAddress(octets) => address(octets).ok_or_else(|| bad_csr("an address of no length"))?,
                _ => return Err(bad_csr("a name that is neither a DNS name nor an IP address")),
            });
        }
    }
    names.sort();
    let order = &state.orders[id];
    if names != order.names {
        return Err(bad_csr(format!("the CSR is for {names:?}, the order for {:?}", order.names)));
    }
    let common_names = info.subject.iter_common_name().filter_map(|name| name.as_str().ok());
    for common_name in common_names {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(common_name)) {
            return Err(bad_csr("the common name is not among the names"));
        }
    }
    if state.accounts.iter().any(|account| account.key.is_of(&info.subject_pki)) {
        return Err(bad_csr("the CSR holds an account's key"));
    }
    Ok(())
}

fn certificate(order: &Order, chain_pem: String) -> Result<Certificate, Problem> {
    let internal = |detail: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "serverInternal", detail);
    let chain = Chain::parse(&chain_pem).map_err(|error| internal(error.to_string()))?;
    let (_, leaf) = X509Certificate::from_der(chain.leaf_der()).map_err(|error| internal(error.to_string()))?;
    let authority_key = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref().map(|key| key.0),
        _ => None,
    });
    let authority_key = authority_key.ok_or_else(|| internal("the leaf has no authority key identifier".to_owned()))?;
    Ok(Certificate {
        account: order.account,
        serial: chain.leaf().serial.to_string(),
        ari_id: ari::id(authority_key, leaf.raw_serial()),
        names: order.names.clone(),
        not_before: chain.leaf().not_before,
        not_after: chain.leaf().not_after,
        chain_pem,
    })
}

/// An iPAddress: four or sixteen octets (RFC 5280 §4.2.1.6).
fn address(octets: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}

/// Whether an order's name is an IP address, its type being `ip`.
pub(super) fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

fn bad_csr(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "badCSR", detail)
}
