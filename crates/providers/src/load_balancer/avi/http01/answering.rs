//! Which virtual services a name's requests belong to.

use certferry_core::observed::Obstacle;
use certferry_core::{Identifier, ListenerName};
use serde_json::Value;

use super::super::bind::{AMBIGUITY_HINT, ambiguity};
use super::super::config::Http01Config;
use super::super::model::{Collection, uuid};
use super::super::resolve::{Resolved, resolve};
use super::super::tenant::Tenant;

/// The virtual services that answer for a name. Where the config names several, the one to which the name itself leads;
/// all of them if it leads to none of them.
pub(in super::super) fn services<'a>(
    tenant: &'a Tenant,
    config: &Http01Config,
    name: &Identifier,
) -> Result<Vec<&'a Value>, Obstacle> {
    let configured = config.names.get(name).map_or(&[][..], Vec::as_slice);
    if configured.is_empty() {
        return by_itself(tenant, config, name);
    }
    let services = configured.iter().map(|listener| one(tenant, listener)).collect::<Result<Vec<_>, _>>()?;
    if let Resolved::One(own) = resolve(tenant, &name.to_string())
        && services.iter().any(|service| uuid(service) == uuid(own))
    {
        return Ok(vec![own]);
    }
    Ok(services)
}

/// Every name of the config with its virtual services.
pub(in super::super) fn all<'a>(
    tenant: &'a Tenant,
    config: &Http01Config,
) -> impl Iterator<Item = Result<Vec<&'a Value>, Obstacle>> {
    let otherwise = config.otherwise.iter().map(|listener| one(tenant, listener).map(|service| vec![service]));
    config.names.keys().map(|name| services(tenant, config, name)).chain(otherwise)
}

fn by_itself<'a>(tenant: &'a Tenant, config: &Http01Config, name: &Identifier) -> Result<Vec<&'a Value>, Obstacle> {
    match resolve(tenant, &name.to_string()) {
        Resolved::One(service) => Ok(vec![service]),
        Resolved::Nothing if !config.otherwise.is_empty() => {
            config.otherwise.iter().map(|listener| one(tenant, listener)).collect()
        }
        Resolved::Nothing => Err(Obstacle {
            object: format!("name {name}"),
            what: "no virtual service has it as a virtual host or FQDN, and it resolves to the address of none"
                .to_owned(),
            fix: "deploy its certificate to the virtual service that serves it, or name that one in `http01: \
                  virtual-services`"
                .to_owned(),
        }),
        Resolved::Ambiguous(several) => Err(Obstacle {
            object: format!("name {name}"),
            what: ambiguity(&several),
            fix: "deploy its certificate to the one that serves it".to_owned(),
        }),
    }
}

fn one<'a>(tenant: &'a Tenant, listener: &ListenerName) -> Result<&'a Value, Obstacle> {
    let object = Collection::VirtualServices.object(listener.as_str());
    match resolve(tenant, listener.as_str()) {
        Resolved::One(service) => Ok(service),
        Resolved::Nothing => Err(Obstacle {
            object,
            what: "it is not there, and no host name leads to it".to_owned(),
            fix: "name a virtual service that this user sees".to_owned(),
        }),
        Resolved::Ambiguous(several) => {
            Err(Obstacle { object, what: ambiguity(&several), fix: AMBIGUITY_HINT.to_owned() })
        }
    }
}
