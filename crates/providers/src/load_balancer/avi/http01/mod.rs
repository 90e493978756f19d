//! How a CA's http-01 requests are answered by the tenant's own virtual services: a policy set of certferry's own on each
//! virtual service that such a request may reach, a rule for each token, and a port 80 where there is none.
//!
//! Nothing is remembered but on the controller: every object is found by its name and by who made it, so that what a killed
//! run left is used by the next one, and removed with its last token.

pub(super) mod answering;
mod policy_set;
mod site;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use certferry_core::observed::{Http01Change, Http01Observation, Obstacle};
use certferry_core::port::Http01Challenge;
use certferry_core::{ErrorKind, Identifier};
use serde_json::{Value, json};

use super::change::{Change, Decision, Problem};
use super::config::Http01Config;
use super::model::{Collection, OWNER, is_own, list, name, path_of, reference, text, uuid};
use super::observe::addresses;
use super::tenant::{Tenant, links_to};
pub(super) use policy_set::PREFIX as POLICY_SET_PREFIX;
pub(super) use site::on_port_80;
use site::{Kind, Site, sites};

/// Where a CA connects to (RFC 8555 §8.3).
const HTTP_PORT: u16 = 80;

/// The path as it stands. What is made for an order is made and removed with it, so nothing is missing before; only what
/// is to be kept is listed.
pub(super) fn observation(tenant: &Tenant, config: &Http01Config) -> Http01Observation {
    let mut observation = Http01Observation { probe: probe(tenant, config), ..Http01Observation::default() };
    if config.names.is_empty() && config.otherwise.is_empty() {
        observation.obstacle = Some(Obstacle {
            object: "http01".to_owned(),
            what: "no certificate's names are validated through it".to_owned(),
            fix: "deploy a certificate to one of its virtual services, or name it in `http01` of one".to_owned(),
        });
    }
    for services in answering::all(tenant, config) {
        match services.and_then(|services| missing_for(tenant, config, &services)) {
            Ok(changes) if config.keep => {
                for change in changes {
                    if !observation.changes.contains(&change) {
                        observation.changes.push(change);
                    }
                }
            }
            Ok(_) => {}
            Err(obstacle) => observation.obstacle = observation.obstacle.or(Some(obstacle)),
        }
    }
    observation
}

/// The next change until every virtual service that the CA may reach for `name` answers for the challenge.
pub(super) fn present(
    tenant: &Tenant,
    config: &Http01Config,
    name: &Identifier,
    challenge: &Http01Challenge,
) -> Decision {
    let services = answering::services(tenant, config, name).map_err(problem)?;
    ensure(tenant, config, &services, Some(challenge))
}

/// Where the response for `name` is found once it is presented.
pub(super) fn presented_at(tenant: &Tenant, config: &Http01Config, name: &Identifier) -> Vec<SocketAddr> {
    if !config.probe.is_empty() {
        return config.probe.clone();
    }
    answering::services(tenant, config, name).map_or_else(|_| Vec::new(), |services| sockets(tenant, &services))
}

/// The next change until all that is kept between orders is there.
pub(super) fn prepare(tenant: &Tenant, config: &Http01Config) -> Decision {
    let mut all = Vec::new();
    for services in answering::all(tenant, config) {
        all.extend(services.map_err(problem)?);
    }
    ensure(tenant, config, &all, None)
}

/// The next change until the token is gone, and with the last token everything that was made for it, unless it is kept.
pub(super) fn withdraw(tenant: &Tenant, keep: bool, token: &str) -> Decision {
    for set in tenant.policy_sets.iter().filter(|set| is_own(set)) {
        let Some(id) = uuid(set) else { continue };
        let has_token = policy_set::rules(set).any(|rule| name(rule) == token);
        let has_others = policy_set::rules(set).any(|rule| name(rule) != token);
        if has_token && (keep || has_others) {
            let body = policy_set::without_rule(set, token);
            return Ok(Some(Change::replace(Collection::PolicySets, id, name(set), &body)));
        }
        if keep || has_others {
            continue;
        }
        let user = tenant.users_of(id).find_map(|user| Some((user, uuid(user)?)));
        return Ok(Some(match user {
            Some((user, user_id)) => detach(set, id, user, user_id),
            None => Change::delete(Collection::PolicySets, id, name(set)),
        }));
    }
    let is_stray =
        |service: &&Value| is_sibling(service) && !tenant.policy_sets.iter().any(|set| answers(service, set));
    let stray = tenant.virtual_services.iter().filter(|_| !keep).find(is_stray);
    Ok(stray.and_then(|stray| Some(Change::delete(Collection::VirtualServices, uuid(stray)?, name(stray)))))
}

/// Nothing is made before all of it can be.
fn ensure(
    tenant: &Tenant,
    config: &Http01Config,
    services: &[&Value],
    challenge: Option<&Http01Challenge>,
) -> Decision {
    let mut all = Vec::new();
    for service in services {
        for site in sites(tenant, config, service).map_err(problem)? {
            missing(tenant, &site).map_err(problem)?;
            all.push(site);
        }
    }
    for site in all {
        if let Some(change) = ensure_at(tenant, &site, challenge).map_err(problem)? {
            return Ok(Some(change));
        }
    }
    Ok(None)
}

fn ensure_at(
    tenant: &Tenant,
    site: &Site<'_>,
    challenge: Option<&Http01Challenge>,
) -> Result<Option<Change>, Obstacle> {
    let rule_kind = policy_set::RuleKind::of(tenant);
    let Some(set) = set_of(tenant, site)? else {
        let name = policy_set::new_name(site);
        let body = policy_set::new(&name, challenge, rule_kind);
        return Ok(Some(Change::create(Collection::PolicySets, &name, &body)));
    };
    let Some(id) = uuid(set) else { return Ok(None) };
    if let Some(body) = challenge.and_then(|challenge| policy_set::with_rule(set, challenge, rule_kind)) {
        return Ok(Some(Change::replace(Collection::PolicySets, id, name(set), &body)));
    }
    attach(site, id)
}

/// Links the policy set where it is not linked, ahead of all others.
fn attach(site: &Site<'_>, set: &str) -> Result<Option<Change>, Obstacle> {
    let service = site.service;
    let Some(id) = uuid(service) else { return Ok(None) };
    let set_path = path_of(Collection::PolicySets, set);
    let added = match site.kind {
        Kind::Link if links_to(service, set) => return Ok(None),
        Kind::Link => json!({"http_policies": [{"index": site.first_index()?, "http_policy_set_ref": set_path}]}),
        Kind::AddService => json!({
            "services": [{"port": HTTP_PORT, "port_range_end": HTTP_PORT, "enable_ssl": false, "enable_http2": false}],
            "http_policies": [{"index": site.first_index()?, "http_policy_set_ref": set_path}],
        }),
        Kind::Sibling => {
            let name = sibling_name(service);
            return Ok(Some(Change::create(Collection::VirtualServices, &name, &sibling(service, &name, &set_path))));
        }
    };
    Ok(Some(Change::patch(Collection::VirtualServices, id, name(service), &json!({"add": added}))))
}

/// Takes a policy set off a virtual service; the port 80 that came with it goes in the same change. A virtual service of
/// certferry's own goes as a whole.
fn detach(set: &Value, set_id: &str, service: &Value, id: &str) -> Change {
    if is_sibling(service) {
        return Change::delete(Collection::VirtualServices, id, name(service));
    }
    let ours = |link: &&Value| reference(link, "http_policy_set_ref") == Some(set_id);
    let links: Vec<Value> = list(service, "http_policies")
        .iter()
        .filter(ours)
        .map(|link| json!({"index": link.get("index"), "http_policy_set_ref": path_of(Collection::PolicySets, set_id)}))
        .collect();
    let mut removed = json!({"http_policies": links});
    if policy_set::came_with_port_80(set, service) {
        let added: Vec<&Value> = list(service, "services").iter().filter(|one| is_added_service(one)).collect();
        if !added.is_empty() {
            removed["services"] = json!(added);
        }
    }
    Change::patch(Collection::VirtualServices, id, name(service), &json!({"delete": removed}))
}

fn missing_for(tenant: &Tenant, config: &Http01Config, services: &[&Value]) -> Result<Vec<Http01Change>, Obstacle> {
    let mut changes = Vec::new();
    for service in services {
        for site in sites(tenant, config, service)? {
            changes.extend(missing(tenant, &site)?);
        }
    }
    Ok(changes)
}

/// What is not there yet, for people.
fn missing(tenant: &Tenant, site: &Site<'_>) -> Result<Vec<Http01Change>, Obstacle> {
    let mut changes = Vec::new();
    let set = set_of(tenant, site)?;
    if set.is_none() {
        let object = Collection::PolicySets.object(&policy_set::new_name(site));
        changes.push(Http01Change { object, why: "created, empty of tokens".to_owned() });
    }
    let service = site.service;
    let (object, why) = match site.kind {
        Kind::Link if set.and_then(uuid).is_some_and(|set| links_to(service, set)) => return Ok(changes),
        Kind::Link => (name(service).to_owned(), "the policy set linked, ahead of all others".to_owned()),
        Kind::AddService => (name(service).to_owned(), "port 80 added, and the policy set linked".to_owned()),
        Kind::Sibling => {
            let why = format!("created: nothing listens on port 80 of the address of `{}`", name(service));
            (sibling_name(service), why)
        }
    };
    if site.kind != Kind::Sibling {
        site.first_index()?;
    }
    changes.push(Http01Change { object: Collection::VirtualServices.object(&object), why });
    Ok(changes)
}

/// The policy set of a site, if it is there already.
fn set_of<'a>(tenant: &'a Tenant, site: &Site<'_>) -> Result<Option<&'a Value>, Obstacle> {
    let names = policy_set::names(site);
    let linked = |set: &Value| site.kind == Kind::Link && is_own(set) && answers(site.service, set);
    let found = tenant.policy_sets.iter().find(|set| linked(set) || names.iter().any(|one| one == name(set)));
    match found {
        Some(foreign) if !is_own(foreign) => Err(Obstacle {
            object: Collection::PolicySets.object(name(foreign)),
            what: format!(
                "certferry did not make it (created_by is not `{OWNER}`), and it has the name of one of its own"
            ),
            fix: "rename it, or remove it if nothing needs it".to_owned(),
        }),
        found => Ok(found),
    }
}

fn answers(service: &Value, set: &Value) -> bool {
    uuid(set).is_some_and(|set| links_to(service, set))
}

/// A virtual service that answers challenges at the address of another and does nothing else.
fn sibling(service: &Value, name: &str, set_path: &str) -> Value {
    let mut body = json!({"name": name, "created_by": OWNER, "type": "VS_TYPE_NORMAL", "enabled": true,
        "application_profile_ref": "/api/applicationprofile?name=System-HTTP",
        "services": [{"port": HTTP_PORT, "port_range_end": HTTP_PORT, "enable_ssl": false}],
        "http_policies": [{"index": site::ONLY_INDEX, "http_policy_set_ref": set_path}]});
    // Those that share an address share the place where it is served.
    for field in ["cloud_ref", "se_group_ref", "vrf_context_ref", "vsvip_ref", "tenant_ref", "network_profile_ref"] {
        if let Some(path) = text(service, field).and_then(|reference| reference.split('#').next()) {
            body[field] = json!(path);
        }
    }
    body
}

fn sibling_name(service: &Value) -> String {
    format!("{}{SIBLING_SUFFIX}", name(service))
}

fn is_sibling(service: &Value) -> bool {
    is_own(service) && name(service).ends_with(SIBLING_SUFFIX)
}

/// Whether a service is as certferry adds it.
fn is_added_service(service: &Value) -> bool {
    let number = |key: &str| service.get(key).and_then(Value::as_u64).unwrap_or_default();
    let ends = [0, u64::from(HTTP_PORT)].contains(&number("port_range_end"));
    number("port") == u64::from(HTTP_PORT) && ends && !super::model::flag(service, "enable_ssl", false)
}

fn probe(tenant: &Tenant, config: &Http01Config) -> Vec<SocketAddr> {
    if !config.probe.is_empty() {
        return config.probe.clone();
    }
    let services: Vec<&Value> = answering::all(tenant, config).flatten().flatten().collect();
    sockets(tenant, &services)
}

fn sockets(tenant: &Tenant, services: &[&Value]) -> Vec<SocketAddr> {
    let addresses = services.iter().flat_map(|service| addresses(tenant, service));
    let mut sockets: Vec<SocketAddr> = addresses.map(|address| SocketAddr::new(address, HTTP_PORT)).collect();
    sockets.sort_unstable();
    sockets.dedup();
    sockets
}

fn problem(obstacle: Obstacle) -> Problem {
    Problem {
        kind: ErrorKind::Invalid,
        operation: "answering http-01".to_owned(),
        object: obstacle.object,
        said: obstacle.what,
        hint: obstacle.fix,
    }
}

const SIBLING_SUFFIX: &str = "-certferry-acme";
