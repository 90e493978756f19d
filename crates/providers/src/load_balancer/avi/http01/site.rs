//! On which virtual services the request of a CA may arrive, and what has to be done there.

use std::net::IpAddr;

use certferry_core::observed::Obstacle;
use serde_json::Value;

use super::super::bind::{foreign_owner, is_evh, is_off, services_on};
use super::super::config::{Http01Config, Port80};
use super::super::model::{Collection, flag, list, name, reference, text, uuid};
use super::super::observe::addresses;
use super::super::tenant::Tenant;
use super::HTTP_PORT;

/// A place for a policy set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    /// The virtual service that gets the policy set; the model of one that is still to be made.
    pub(super) service: &'a Value,
    pub(super) kind: Kind,
}

/// What a site needs besides its policy set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Port 80, and the link.
    AddService,
    /// The link.
    Link,
    /// A virtual service on port 80 beside it.
    Sibling,
}

/// All sites of one virtual service.
///
/// On port 80 that is whoever covers it at the address; and where that one redirects to https before it looks at policies,
/// or only passes requests on to children, the virtual service itself too.
pub(super) fn sites<'a>(
    tenant: &'a Tenant,
    config: &Http01Config,
    service: &'a Value,
) -> Result<Vec<Site<'a>>, Obstacle> {
    let Some(root) = tenant.root(service) else {
        return Err(obstacle(service, "its parent is not visible to this user", "give the user the right to read it"));
    };
    if let Some(off) = [service, root].into_iter().find(|one| is_off(one)) {
        return Err(obstacle(off, "it is disabled, so it answers nothing", "enable it"));
    }
    let landings = on_port_80(tenant, root);
    if landings.is_empty() {
        return without_port_80(tenant, config, service, root);
    }
    let mut sites = Vec::new();
    for landing in &landings {
        check_landing(tenant, landing)?;
        sites.push(Site { service: landing, kind: Kind::Link });
    }
    let passes_on = |landing: &&Value| redirects(tenant, landing) || (is_evh(service) && same(landing, root));
    let itself_too = landings.iter().any(passes_on) && !landings.iter().any(|landing| same(landing, service));
    if itself_too && can_be_linked(tenant, service) {
        sites.push(Site { service, kind: Kind::Link });
    }
    Ok(sites)
}

impl Site<'_> {
    /// An index ahead of all other policy sets of the virtual service: lower ones are evaluated first.
    pub(super) fn first_index(&self) -> Result<i64, Obstacle> {
        let indices = list(self.service, "http_policies").iter().filter_map(|link| link.get("index")?.as_i64());
        match indices.min() {
            None => Ok(ONLY_INDEX),
            Some(first) if first > 0 => Ok(first - 1),
            Some(first) => Err(obstacle(
                self.service,
                format!("its first HTTP policy set has index {first}, and certferry's has to come before it"),
                "give its policy sets indices from 1 on",
            )),
        }
    }
}

fn without_port_80<'a>(
    tenant: &'a Tenant,
    config: &Http01Config,
    service: &'a Value,
    root: &'a Value,
) -> Result<Vec<Site<'a>>, Obstacle> {
    match config.port_80 {
        Port80::Sibling if reference(root, "vsvip_ref").is_none() => Err(obstacle(
            root,
            "it has no VS VIP that another virtual service could share",
            "choose `port-80: add-service`",
        )),
        Port80::Sibling => Ok(vec![Site { service: root, kind: Kind::Sibling }]),
        Port80::AddService => {
            check_landing(tenant, root)?;
            let mut sites = vec![Site { service: root, kind: Kind::AddService }];
            let itself_too = redirects(tenant, root) || is_evh(service);
            if itself_too && !same(root, service) && can_be_linked(tenant, service) {
                sites.push(Site { service, kind: Kind::Link });
            }
            Ok(sites)
        }
        Port80::Require => Err(obstacle(
            root,
            "nothing listens on port 80 of its address, and a CA connects to port 80",
            "choose `port-80: sibling` or `add-service`, or make a virtual service for port 80",
        )),
    }
}

/// The virtual services that cover port 80 at an address of `root`: those on the same VS VIP, and those on another one with
/// the same address in the same routing domain.
pub(in super::super) fn on_port_80<'a>(tenant: &'a Tenant, root: &Value) -> Vec<&'a Value> {
    let vs_vip = reference(root, "vsvip_ref");
    let own: Vec<IpAddr> = addresses(tenant, root);
    let vrf = |service: &Value| reference(service, "vrf_context_ref").map(str::to_owned);
    let shares = |service: &&Value| {
        same(service, root)
            || (vs_vip.is_some() && reference(service, "vsvip_ref") == vs_vip)
            || (vrf(service) == vrf(root) && addresses(tenant, service).iter().any(|address| own.contains(address)))
    };
    let is_child = |service: &&Value| text(service, "type") == Some("VS_TYPE_VH_CHILD");
    let services = tenant.virtual_services.iter().filter(|service| !is_child(service)).filter(shares);
    services.filter(|service| services_on(service, u64::from(HTTP_PORT)).next().is_some()).collect()
}

fn check_landing(tenant: &Tenant, landing: &Value) -> Result<(), Obstacle> {
    let speaks_tls = services_on(landing, u64::from(HTTP_PORT)).any(|service| flag(service, "enable_ssl", false));
    if speaks_tls {
        let what = "it speaks TLS on port 80, and a CA speaks plain HTTP there";
        return Err(obstacle(landing, what, "switch SSL off for port 80"));
    }
    if !is_http(tenant, landing) {
        let what = "its application profile is not HTTP, so it cannot answer for a path";
        return Err(obstacle(landing, what, "use an HTTP application profile for port 80"));
    }
    if is_off(landing) {
        return Err(obstacle(landing, "it has port 80 and is disabled", "enable it, or take port 80 away from it"));
    }
    if let Some(owner) = foreign_owner(landing) {
        let what = format!("{owner} writes it, and would take certferry's policy set away at its next synchronisation");
        return Err(obstacle(landing, what, "let port 80 be answered by a virtual service that nobody else writes"));
    }
    Ok(())
}

fn can_be_linked(tenant: &Tenant, service: &Value) -> bool {
    is_http(tenant, service) && foreign_owner(service).is_none()
}

/// A profile that cannot be read is taken for HTTP: the controller refuses the policy set if it is not.
fn is_http(tenant: &Tenant, service: &Value) -> bool {
    let kind = tenant.application_profile(service).and_then(|profile| text(profile, "type"));
    kind.is_none_or(|kind| kind == "APPLICATION_PROFILE_TYPE_HTTP")
}

/// Whether the application profile sends clients to https. Avi's documentation lets policies come first; reports from the
/// field say otherwise.
fn redirects(tenant: &Tenant, service: &Value) -> bool {
    let profile = tenant.application_profile(service).and_then(|profile| profile.get("http_profile"));
    profile.is_some_and(|profile| flag(profile, "http_to_https", false))
}

fn same(one: &Value, other: &Value) -> bool {
    uuid(one) == uuid(other)
}

fn obstacle(service: &Value, what: impl Into<String>, fix: &str) -> Obstacle {
    Obstacle { object: Collection::VirtualServices.object(name(service)), what: what.into(), fix: fix.to_owned() }
}

/// The index of a policy set that is the only one, as the UI gives it: with room before it.
pub(super) const ONLY_INDEX: i64 = 11;
