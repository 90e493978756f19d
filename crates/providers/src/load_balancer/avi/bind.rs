//! Which virtual service serves which certificates: the change of one reference, and everything that is checked before.

use certferry_core::observed::{Place, Unfit};
use certferry_core::{ErrorKind, Identifier};
use serde_json::{Value, json};

use super::certificate::{family, is_for_virtual_services, leaf};
use super::change::{Change, Decision, Problem, element};
use super::model::{Collection, flag, is_own, list, name, path_of, referred, text, texts, uuid};
use super::resolve::{Resolved, resolve, terminates_tls};
use super::tenant::Tenant;

/// PATCH of the virtual service so that it serves the bundle instead of the one of the same kind of key; certificates of the
/// other kind, and of other names where there is a list, stay. `None` when it is there already.
pub(super) fn bind(tenant: &Tenant, place: &Place, bundle: &str) -> Decision {
    let problem = |kind, said: String, hint: String| Problem {
        kind,
        operation: format!("PATCH {}", Collection::VirtualServices.key()),
        object: place.to_string(),
        said,
        hint,
    };
    let listener = match place {
        Place::BackendSet(_) => {
            return Err(problem(
                ErrorKind::NotOffered,
                "Avi has no backend sets that serve certificates".to_owned(),
                "name a virtual service".to_owned(),
            ));
        }
        Place::Listener(listener) => listener.as_str(),
    };
    let service = match resolve(tenant, listener) {
        Resolved::One(service) => service,
        Resolved::Nothing => {
            let known: Vec<&str> = tenant.virtual_services.iter().map(name).take(NAMES_IN_HINT).collect();
            let hint = if known.is_empty() {
                "this user sees no virtual service in the tenant".to_owned()
            } else {
                format!("there are: {}; or write a host name that leads to one", known.join(", "))
            };
            return Err(problem(ErrorKind::NotFound, "there is no such virtual service".to_owned(), hint));
        }
        Resolved::Ambiguous(several) => {
            return Err(problem(ErrorKind::Invalid, ambiguity(&several), AMBIGUITY_HINT.to_owned()));
        }
    };
    if let Some(Unfit { what, fix }) = unfit(tenant, service) {
        return Err(problem(ErrorKind::Invalid, what, fix));
    }
    if !terminates_tls(tenant, service) {
        return Err(problem(
            ErrorKind::Invalid,
            "none of its ports speaks TLS".to_owned(),
            "name one that terminates TLS, or switch SSL on for a port of it".to_owned(),
        ));
    }
    let Some((certificate, id)) = certificate_named(tenant, bundle).and_then(|one| Some((one, uuid(one)?))) else {
        return Err(problem(
            ErrorKind::NotFound,
            format!("bundle `{bundle}` is not on the controller"),
            "it is uploaded again at the next attempt; did somebody delete it?".to_owned(),
        ));
    };
    let holder = holder(tenant, service);
    let Some(holder_id) = uuid(holder) else { return Ok(None) };
    let refs: Vec<&str> = texts(holder, REFS).collect();
    if refs.iter().any(|one| referred(one) == Some(id)) {
        return Ok(None);
    }
    let own_path = path_of(Collection::Certificates, id);
    let replaced = replaced(tenant, holder, certificate);
    let body = if replaced.is_empty() {
        element("add", REFS, json!(own_path))
    } else {
        let mut kept: Vec<String> = Vec::new();
        for one in &refs {
            match referred(one) {
                Some(old) if replaced.contains(&old) => {
                    if !kept.contains(&own_path) {
                        kept.push(own_path.clone());
                    }
                }
                Some(other) => kept.push(path_of(Collection::Certificates, other)),
                None => kept.push((*one).to_owned()),
            }
        }
        json!({"replace": {REFS: kept}})
    };
    Ok(Some(Change::patch(Collection::VirtualServices, holder_id, name(holder), &body)))
}

/// PATCH of the virtual service so that it no longer refers to the bundle. `None` when it does not; refused for its only one.
pub(super) fn unbind(tenant: &Tenant, place: &Place, bundle: &str) -> Decision {
    let Place::Listener(listener) = place else { return Ok(None) };
    let Resolved::One(service) = resolve(tenant, listener.as_str()) else { return Ok(None) };
    let holder = holder(tenant, service);
    let id = certificate_named(tenant, bundle).and_then(uuid);
    let (Some(holder_id), Some(id)) = (uuid(holder), id) else { return Ok(None) };
    let refs: Vec<&str> = texts(holder, REFS).collect();
    if !refs.iter().any(|one| referred(one) == Some(id)) {
        return Ok(None);
    }
    if refs.len() == 1 {
        return Err(Problem {
            kind: ErrorKind::Invalid,
            operation: format!("PATCH {}", Collection::VirtualServices.key()),
            object: place.to_string(),
            said: format!("bundle `{bundle}` is the only one that it serves"),
            hint: "bind another one there first".to_owned(),
        });
    }
    let body = element("delete", REFS, json!(path_of(Collection::Certificates, id)));
    Ok(Some(Change::patch(Collection::VirtualServices, holder_id, name(holder), &body)))
}

/// The virtual service that holds the references: of an EVH child's certificates that is the parent.
pub(super) fn holder<'a>(tenant: &'a Tenant, service: &'a Value) -> &'a Value {
    match tenant.root(service) {
        Some(parent) if is_evh(parent) || is_evh(service) => parent,
        _ => service,
    }
}

/// Whether it is part of enhanced virtual hosting, where the parent has a list of certificates, chosen by their names.
pub(super) fn is_evh(service: &Value) -> bool {
    text(service, "vh_type") == Some("VS_TYPE_VH_ENHANCED")
}

/// The certificates that a virtual service refers to, in its order, as far as this user sees them.
pub(super) fn bound<'a>(tenant: &'a Tenant, holder: &'a Value) -> impl Iterator<Item = &'a Value> {
    texts(holder, REFS).filter_map(|one| tenant.certificate(referred(one)?))
}

/// The certificate that a bundle's name means: a name that several have is written as the uuid.
pub(super) fn certificate_named<'a>(tenant: &'a Tenant, bundle: &str) -> Option<&'a Value> {
    let mut named = tenant.certificates.iter().filter(|one| is_for_virtual_services(one) && name(one) == bundle);
    match (named.next(), named.next()) {
        (Some(one), None) => Some(one),
        _ => tenant.certificate(bundle),
    }
}

/// Why certferry sets no certificate there; `None` when it does.
pub(super) fn unfit(tenant: &Tenant, service: &Value) -> Option<Unfit> {
    let because = |what: String, fix: &str| Some(Unfit { what, fix: fix.to_owned() });
    let Some(root) = tenant.root(service) else {
        return because("its parent is not visible to this user".to_owned(), "give the user the right to read it");
    };
    let holder = holder(tenant, service);
    if let Some(owner) = [service, holder].into_iter().find_map(foreign_owner) {
        let what = format!("{owner} writes it, and would take the certificate away at its next synchronisation");
        return because(what, "change the certificate there, or name a virtual service that nobody else writes");
    }
    if let Some(off) = [service, root].into_iter().find(|one| is_off(one)) {
        return because(format!("virtual service `{}` is disabled", name(off)), "enable it, or name another one");
    }
    if is_layer_4(tenant, service) {
        let what = "it is a layer-4 virtual service, which serves no certificate".to_owned();
        return because(what, "name the virtual service that terminates TLS");
    }
    None
}

/// Who else writes the whole object, if somebody does: AKO puts its own view of it there at each synchronisation.
pub(super) fn foreign_owner(service: &Value) -> Option<String> {
    match text(service, "created_by") {
        Some(owner) if owner.starts_with("ako-") => Some(format!("AKO (`{owner}`)")),
        owner => text(service, "cloud_config_cksum").map(|_| match owner {
            Some(owner) => format!("the cloud connector (`{owner}`)"),
            None => "the cloud connector".to_owned(),
        }),
    }
}

/// Whether it serves nothing.
pub(super) fn is_off(service: &Value) -> bool {
    !flag(service, "enabled", true) || !flag(service, "traffic_enabled", true)
}

/// Whether it passes TCP or UDP on without looking into it.
pub(super) fn is_layer_4(tenant: &Tenant, service: &Value) -> bool {
    let profile = tenant.application_profile(service);
    profile.and_then(|profile| text(profile, "type")) == Some("APPLICATION_PROFILE_TYPE_L4")
}

/// Several virtual services that a name leads to, for people.
pub(super) fn ambiguity(several: &[String]) -> String {
    format!("the name leads to more than one virtual service: {}", several.join(", "))
}

/// The names that a certificate is for, as far as one could order them.
pub(super) fn names(certificate: &Value) -> Vec<Identifier> {
    let names = leaf(certificate).map(|leaf| leaf.names).unwrap_or_default();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// The uuids of the certificates that `certificate` replaces. A virtual service has one of each kind of key. In an EVH
/// parent's list it replaces those whose names it has all, so that the others keep being served.
fn replaced<'a>(tenant: &'a Tenant, holder: &'a Value, certificate: &Value) -> Vec<&'a str> {
    let Some(kind) = family(certificate) else { return Vec::new() };
    let same_kind = bound(tenant, holder).filter(|other| family(other) == Some(kind));
    if !is_evh(holder) {
        return same_kind.filter_map(uuid).take(1).collect();
    }
    let new = names(certificate);
    let goes = |other: &&Value| {
        let old = names(other);
        // Putting back what was there before certferry came: its own goes, even with more names.
        let taken_back = is_own(other) && !is_own(certificate) && old.iter().any(|name| new.contains(name));
        is_covered(&old, &new) || taken_back
    };
    same_kind.filter(goes).filter_map(uuid).collect()
}

fn is_covered(old: &[Identifier], new: &[Identifier]) -> bool {
    !old.is_empty() && old.iter().all(|name| new.iter().any(|other| other.covers(name)))
}

/// Whether a service of the virtual service covers a port.
pub(super) fn covers(service: &Value, port: u64) -> bool {
    let first = service.get("port").and_then(Value::as_u64).unwrap_or_default();
    let last = service.get("port_range_end").and_then(Value::as_u64).unwrap_or_default().max(first);
    (first..=last).contains(&port)
}

/// The services of a virtual service that cover a port.
pub(super) fn services_on(virtual_service: &Value, port: u64) -> impl Iterator<Item = &Value> {
    list(virtual_service, "services").iter().filter(move |service| covers(service, port))
}

pub(super) const AMBIGUITY_HINT: &str = "write a name that only one of them has, or the tenant in which only one is";

const REFS: &str = "ssl_key_and_certificate_refs";
const NAMES_IN_HINT: usize = 20;

#[cfg(test)]
mod tests {
    use certferry_lab::pki::{Pki, PkiKey};

    use super::*;

    fn certificate(id: &str, created_by: &str, names: &[&str], key: PkiKey) -> Value {
        let issued = Pki::new().unwrap().issue_with(names, 90, key).unwrap();
        json!({"uuid": id, "name": id, "created_by": created_by, "certificate": {"certificate": issued.chain_pem}})
    }

    fn reference(id: &str) -> String {
        format!("https://avi.some-domain.com/api/sslkeyandcertificate/{id}#{id}")
    }

    fn tenant(refs: &[&str]) -> Tenant {
        let refs: Vec<String> = refs.iter().map(|id| reference(id)).collect();
        let (www, all) = (&["www.some-domain.com"], &["www.some-domain.com", "other.some-domain.com"]);
        Tenant {
            certificates: vec![
                certificate("ec", "", www, PkiKey::Ecdsa),
                certificate("rsa", "", www, PkiKey::Rsa),
                certificate("many", "", all, PkiKey::Ecdsa),
                certificate("cf-www", "certferry", www, PkiKey::Ecdsa),
            ].into(),
            virtual_services: vec![
                json!({"uuid": "vs", "name": "shop", "ssl_key_and_certificate_refs": refs,
                    "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "evh", "name": "evh", "type": "VS_TYPE_VH_PARENT", "vh_type": "VS_TYPE_VH_ENHANCED",
                    "ssl_key_and_certificate_refs": refs, "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "child", "name": "child", "type": "VS_TYPE_VH_CHILD", "vh_type": "VS_TYPE_VH_ENHANCED",
                    "vh_parent_vs_ref": "/api/virtualservice/evh"}),
                json!({"uuid": "l4", "name": "l4", "application_profile_ref": "/api/applicationprofile/l4",
                    "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "ako", "name": "ako", "created_by": "ako-one", "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "off", "name": "off", "enabled": false, "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "plain", "name": "plain", "services": [{"port": 80}]}),
            ].into(),
            application_profiles: vec![json!({"uuid": "l4", "type": "APPLICATION_PROFILE_TYPE_L4"})].into(),
            ..Tenant::default()
        }
    }

    /// The uuids after a binding; `None` when nothing is to be done.
    fn after(refs: &[&str], listener: &str, bundle: &str) -> Option<(String, Vec<String>)> {
        let tenant = tenant(refs);
        let change = bind(&tenant, &Place::Listener(listener.parse().unwrap()), bundle).unwrap()?;
        let body: Value = serde_json::from_slice(&change.body.unwrap()).unwrap();
        let mut uuids: Vec<String> = refs.iter().map(|id| (*id).to_owned()).collect();
        let given = |operation: &str| -> Vec<String> {
            texts(&body[operation], REFS).filter_map(referred).map(str::to_owned).collect()
        };
        match body.get("add") {
            Some(_) => uuids.extend(given("add")),
            None => uuids = given("replace"),
        }
        Some((change.uuid.unwrap(), uuids))
    }

    #[test]
    fn only_the_reference_of_the_same_kind_changes() {
        for (before, bundle, expected) in [
            (&[][..], "cf-www", &["cf-www"][..]),
            (&["ec"], "cf-www", &["cf-www"]),
            (&["rsa"], "cf-www", &["rsa", "cf-www"]),
            (&["rsa", "ec"], "cf-www", &["rsa", "cf-www"]),
            (&["ec", "rsa"], "cf-www", &["cf-www", "rsa"]),
            (&["cf-www", "rsa"], "ec", &["ec", "rsa"]),
            (&["not-visible", "ec"], "cf-www", &["not-visible", "cf-www"]),
            (&["ec", "ec", "rsa"], "cf-www", &["cf-www", "rsa"]),
        ] {
            let (holder, after) = after(before, "shop", bundle).unwrap();
            assert_eq!(
                (holder.as_str(), after),
                ("vs", expected.iter().map(|id| (*id).to_owned()).collect()),
                "{before:?}"
            );
        }
        assert_eq!(after(&["rsa", "cf-www"], "shop", "cf-www"), None);
    }

    #[test]
    fn in_an_evh_list_certificates_of_other_names_stay() {
        for (before, bundle, expected) in [
            (&["many"][..], "cf-www", &["many", "cf-www"][..]),
            (&["ec", "many"], "cf-www", &["cf-www", "many"]),
            (&["rsa", "ec"], "cf-www", &["rsa", "cf-www"]),
            (&["rsa", "cf-www"], "many", &["rsa", "many"]),
        ] {
            let (holder, after) = after(before, "child", bundle).unwrap();
            assert_eq!(
                (holder.as_str(), after),
                ("evh", expected.iter().map(|id| (*id).to_owned()).collect()),
                "{before:?}"
            );
        }
    }

    #[test]
    fn a_place_without_certificates_says_why() {
        for (listener, bundle, kind, part) in [
            ("nowhere", "ec", ErrorKind::NotFound, "no such virtual service"),
            ("shop", "gone", ErrorKind::NotFound, "bundle `gone`"),
            ("l4", "ec", ErrorKind::Invalid, "layer-4"),
            ("ako", "ec", ErrorKind::Invalid, "AKO (`ako-one`)"),
            ("off", "ec", ErrorKind::Invalid, "disabled"),
            ("plain", "ec", ErrorKind::Invalid, "TLS"),
        ] {
            let problem = bind(&tenant(&[]), &Place::Listener(listener.parse().unwrap()), bundle).err().unwrap();
            assert_eq!(problem.kind, kind, "{problem:?}");
            assert!(problem.said.contains(part) && problem.object == format!("listener `{listener}`"), "{problem:?}");
        }
    }

    #[test]
    fn a_range_covers_its_ports() {
        for (service, expected) in [
            (json!({"port": 80}), true),
            (json!({"port": 80, "port_range_end": 0}), true),
            (json!({"port": 79, "port_range_end": 81}), true),
            (json!({"port": 79, "port_range_end": 79}), false),
            (json!({"port": 443, "port_range_end": 80}), false),
        ] {
            assert_eq!(covers(&service, 80), expected, "{service}");
        }
    }
}
