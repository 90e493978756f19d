//! What the controller refuses: objects that contradict themselves, each other, or the licence.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    certificate::{self, Family},
    error::ApiError,
    json::{Object, flag, has, number, object, objects, text, texts},
    kind::{
        APPLICATION_PROFILE, CERTIFICATE, CERTIFICATE_PROFILE, CONTROLLER_PROPERTIES, Kind, POLICY_SET,
        SYSTEM_CONFIGURATION, SYSTEM_LIMITS, VIRTUAL_SERVICE, VSVIP,
    },
    references,
    store::{Store, Stored},
};

/// Checks an object as it is to be, with references resolved and defaults filled.
pub(super) fn check(kind: &Kind, uuid: &str, tenant: &str, fields: &Object, store: &Store) -> Result<(), ApiError> {
    licence(kind, fields, store)?;
    match kind.path {
        CERTIFICATE => certificate_users(uuid, fields, store),
        CERTIFICATE_PROFILE if !has(fields, "run_script_ref") => {
            Err(ApiError::bad_request("CertificateManagementProfile: run_script_ref is required"))
        }
        CONTROLLER_PROPERTIES => warning_days(fields),
        POLICY_SET => policy_set(fields, store),
        VIRTUAL_SERVICE => virtual_service(uuid, tenant, fields, store),
        _ => Ok(()),
    }
}

/// Whether a virtual service or profile speaks HTTP.
pub(super) fn is_http(fields: &Object, store: &Store) -> bool {
    let profile = store.get(APPLICATION_PROFILE, references::uuid(text(fields, "application_profile_ref")));
    profile.is_some_and(|profile| text(&profile.fields, "type") == "APPLICATION_PROFILE_TYPE_HTTP")
}

/// First and last port of a service.
pub(super) fn ports(service: &Object) -> (u16, u16) {
    let port = |field: &str| number(service, field).and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    (port("port"), port("port_range_end").max(port("port")))
}

fn licence(kind: &Kind, fields: &Object, store: &Store) -> Result<(), ApiError> {
    let tier = store.setting(SYSTEM_CONFIGURATION, "default_license_tier").and_then(Value::as_str).unwrap_or_default();
    if matches!(tier, "ENTERPRISE" | "ENTERPRISE_WITH_CLOUD_SERVICES") {
        return Ok(());
    }
    let refused = |field: &str| {
        let text = format!("{}: {field} is not supported in license tier {tier}", kind.class);
        Err(ApiError::bad_request(text))
    };
    let fields_of_tier: &[&str] = match kind.path {
        CERTIFICATE => &["certificate_management_profile_ref", "dynamic_params"],
        CERTIFICATE_PROFILE => &["run_script_ref"],
        VSVIP => &["dns_info"],
        VIRTUAL_SERVICE => &["vh_matches"],
        _ => &[],
    };
    if let Some(field) = fields_of_tier.iter().find(|field| has(fields, field)) {
        return refused(field);
    }
    if kind.is(POLICY_SET) {
        for policy in ["http_security_policy", "http_request_policy"] {
            for rule in object(fields, policy).into_iter().flat_map(|policy| objects(policy, "rules")) {
                if flag(rule, "log") {
                    return refused("log");
                }
                if object(rule, "action").is_some_and(|action| has(action, "file")) {
                    return refused("HTTPSecurityAction file");
                }
            }
        }
    }
    Ok(())
}

/// No virtual service may end up with two certificates of one kind because one of its certificates changes its kind.
fn certificate_users(uuid: &str, fields: &Object, store: &Store) -> Result<(), ApiError> {
    for user in store.users_of(uuid).into_iter().filter(|user| user.kind.is(VIRTUAL_SERVICE)) {
        pair(&user.fields, store, &|reference| {
            if references::uuid(reference) == uuid {
                certificate::family(fields)
            } else {
                stored_family(store, reference)
            }
        })?;
    }
    Ok(())
}

fn warning_days(fields: &Object) -> Result<(), ApiError> {
    let days = fields.get("ssl_certificate_expiry_warning_days").and_then(Value::as_array);
    if days.is_none_or(|days| days.len() < 3) {
        return Err(ApiError::bad_request("ssl_certificate_expiry_warning_days: at least 3 entries are required"));
    }
    if days.into_iter().flatten().any(|day| !day.is_u64()) {
        return Err(ApiError::malformed("ssl_certificate_expiry_warning_days: not a list of days"));
    }
    Ok(())
}

fn policy_set(fields: &Object, store: &Store) -> Result<(), ApiError> {
    for (policy, actions) in [
        ("http_security_policy", &["action"][..]),
        ("http_request_policy", &["redirect_action", "switching_action", "rewrite_url_action", "hdr_action"]),
    ] {
        let Some(policy) = object(fields, policy) else { continue };
        let (mut names, mut indices) = (HashSet::new(), HashSet::new());
        for rule in objects(policy, "rules") {
            let name = text(rule, "name");
            let Some(index) = rule.get("index") else {
                return Err(ApiError::bad_request("HTTPPolicySet: rule index is required"));
            };
            let Some(index) = index.as_i64() else {
                return Err(ApiError::malformed(format_args!("index: {index} is not a number")));
            };
            if name.is_empty() || !rule.contains_key("enable") {
                return Err(ApiError::bad_request("HTTPPolicySet: rule name and enable are required"));
            }
            if !names.insert(name) || !indices.insert(index) {
                let text = format!("HTTPPolicySet: rule name {name} or index {index} is not unique");
                return Err(ApiError::bad_request(text));
            }
            if !actions.iter().any(|action| has(rule, action)) {
                return Err(ApiError::bad_request(format!("HTTPPolicySet: rule {name} has no action")));
            }
            actions.iter().filter_map(|action| object(rule, action)).try_for_each(action)?;
        }
        if names.len() > limit(store, "num_rules_per_http_policy") {
            return Err(ApiError::bad_request("HTTPPolicySet: too many rules"));
        }
    }
    Ok(())
}

fn action(action: &Object) -> Result<(), ApiError> {
    const ACTIONS: [&str; 8] = [
        "HTTP_SECURITY_ACTION_ALLOW",
        "HTTP_SECURITY_ACTION_CLOSE_CONN",
        "HTTP_SECURITY_ACTION_RATE_LIMIT",
        "HTTP_SECURITY_ACTION_REDIRECT_TO_HTTPS",
        "HTTP_SECURITY_ACTION_REQUEST_CHECK_ICAP",
        "HTTP_SECURITY_ACTION_SEND_RESPONSE",
        "HTTP_SWITCHING_SELECT_LOCAL",
        "HTTP_SWITCHING_SELECT_POOL",
    ];
    const STATUSES: [&str; 6] = ["200", "204", "403", "404", "429", "501"];
    let kind = text(action, "action");
    if action.contains_key("action") && !ACTIONS.contains(&kind) {
        return Err(ApiError::malformed(format_args!("action: {kind} is not known")));
    }
    let answers = matches!(kind, "HTTP_SECURITY_ACTION_SEND_RESPONSE" | "HTTP_SWITCHING_SELECT_LOCAL");
    let status = text(action, "status_code").strip_prefix("HTTP_LOCAL_RESPONSE_STATUS_CODE_");
    if answers && !status.is_some_and(|status| STATUSES.contains(&status)) {
        return Err(ApiError::malformed(format_args!("status_code: {} is not known", text(action, "status_code"))));
    }
    Ok(())
}

fn virtual_service(uuid: &str, tenant: &str, fields: &Object, store: &Store) -> Result<(), ApiError> {
    let refused = |text: &str| Err(ApiError::bad_request(text));
    let child = text(fields, "type") == "VS_TYPE_VH_CHILD";
    let enhanced = text(fields, "vh_type") == "VS_TYPE_VH_ENHANCED";
    for service in objects(fields, "services") {
        if !service.get("port").is_some_and(|port| port.as_u64().is_some_and(|port| (1..=65535).contains(&port))) {
            return Err(ApiError::malformed("services.port: not a port number"));
        }
    }
    if child {
        if has(fields, "vsvip_ref") || has(fields, "services") {
            return refused("Child virtual service must not have vsvip_ref or services");
        }
        let parent = store.get(VIRTUAL_SERVICE, references::uuid(text(fields, "vh_parent_vs_ref")));
        let Some(parent) = parent.filter(|parent| text(&parent.fields, "type") == "VS_TYPE_VH_PARENT") else {
            return refused("Child virtual service needs vh_parent_vs_ref of a parent virtual service");
        };
        if text(&parent.fields, "vh_type") != text(fields, "vh_type") {
            return refused("Parent and child virtual service must have the same vh_type");
        }
        if enhanced && has(fields, "ssl_key_and_certificate_refs") {
            return refused("Certificates of an enhanced virtual hosting child belong to its parent");
        }
        if !has(fields, if enhanced { "vh_matches" } else { "vh_domain_name" }) {
            return refused("Child virtual service needs the names that it serves");
        }
    } else if !has(fields, "vsvip_ref") {
        return refused("Virtual service needs vsvip_ref");
    } else if !has(fields, "services") {
        return refused("Virtual service needs services");
    }
    policies(tenant, fields, store)?;
    if !(enhanced && text(fields, "type") == "VS_TYPE_VH_PARENT") {
        pair(fields, store, &|reference| stored_family(store, reference))?;
    }
    port_conflict(uuid, fields, store)
}

fn policies(tenant: &str, fields: &Object, store: &Store) -> Result<(), ApiError> {
    let mut indices = HashSet::new();
    for link in objects(fields, "http_policies") {
        if !is_http(fields, store) {
            return Err(ApiError::bad_request("Layer-4 virtual service should not refer to any HTTP policyset"));
        }
        let Some(index) = link.get("index").and_then(Value::as_i64) else {
            return Err(ApiError::malformed("http_policies.index: not a number"));
        };
        if !indices.insert(index) {
            return Err(ApiError::bad_request(format!("http_policies: index {index} is not unique")));
        }
        let set = store.get(POLICY_SET, references::uuid(text(link, "http_policy_set_ref")));
        if set.is_none_or(|set| set.tenant != tenant) {
            return Err(ApiError::bad_request("http_policies: no such HTTPPolicySet in the tenant"));
        }
    }
    if indices.len() > limit(store, "http_policies_per_vs") {
        return Err(ApiError::bad_request("http_policies: too many"));
    }
    Ok(())
}

/// At most one RSA and one EC certificate.
fn pair(fields: &Object, store: &Store, family: &dyn Fn(&str) -> Option<Family>) -> Result<(), ApiError> {
    let enhanced = text(fields, "vh_type") == "VS_TYPE_VH_ENHANCED";
    if enhanced && text(fields, "type") == "VS_TYPE_VH_PARENT" {
        return Ok(());
    }
    let mut seen = Vec::new();
    for reference in texts(fields, "ssl_key_and_certificate_refs") {
        let certificate = store.get(CERTIFICATE, references::uuid(reference));
        let is_authority = |object: &Stored| text(&object.fields, "type") == "SSL_CERTIFICATE_TYPE_CA";
        if certificate.is_none_or(is_authority) {
            return Err(ApiError::bad_request("ssl_key_and_certificate_refs: not a server certificate"));
        }
        let family = family(reference);
        if seen.contains(&family) {
            let text = "ssl_key_and_certificate_refs: at most one RSA and one EC certificate";
            return Err(ApiError::bad_request(text));
        }
        seen.push(family);
    }
    Ok(())
}

fn stored_family(store: &Store, reference: &str) -> Option<Family> {
    certificate::family(&store.get(CERTIFICATE, references::uuid(reference))?.fields)
}

/// Two virtual services of one VIP cannot share a port.
fn port_conflict(uuid: &str, fields: &Object, store: &Store) -> Result<(), ApiError> {
    let vip = text(fields, "vsvip_ref");
    let own: Vec<(u16, u16)> = objects(fields, "services").map(ports).collect();
    let overlap = |one: &(u16, u16), other: &(u16, u16)| one.0 <= other.1 && other.0 <= one.1;
    for (position, service) in own.iter().enumerate() {
        if own[..position].iter().any(|other| overlap(service, other)) {
            return Err(ApiError::bad_request(format!("services: port {} is given twice", service.0)));
        }
    }
    for other in store.of_kind(VIRTUAL_SERVICE).filter(|other| other.uuid != uuid && !vip.is_empty()) {
        if text(&other.fields, "vsvip_ref") != vip {
            continue;
        }
        let theirs: Vec<(u16, u16)> = objects(&other.fields, "services").map(ports).collect();
        if let Some((port, _)) = own.iter().find(|own| theirs.iter().any(|theirs| overlap(own, theirs))) {
            let text = format!("Port {port} of the VIP is in use by VirtualService {}", other.name());
            return Err(ApiError::bad_request(text));
        }
    }
    Ok(())
}

fn limit(store: &Store, name: &str) -> usize {
    let limits = store.setting(SYSTEM_LIMITS, "controller_limits");
    let limit = limits.and_then(|limits| limits["l7_limits"][name].as_u64());
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}
