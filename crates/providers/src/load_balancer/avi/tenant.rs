//! The tenant's objects, as they were read for one decision.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use certferry_core::{Error, ErrorKind};
use serde_json::Value;

use super::client::Api;
use super::http01::POLICY_SET_PREFIX;
use super::model::{Collection, list, name, reference, text};
use super::objects::Objects;

/// The objects of the types that were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenant {
    pub(super) application_profiles: Objects,
    pub(super) certificate_management_profiles: Objects,
    pub(super) certificates: Objects,
    pub(super) control_scripts: Objects,
    /// Those whose names begin as certferry's do.
    pub(super) policy_sets: Objects,
    pub(super) roles: Objects,
    pub(super) users: Objects,
    pub(super) virtual_services: Objects,
    pub(super) vs_vips: Objects,
    /// The addresses of host names that were looked up.
    pub(super) looked_up: BTreeMap<String, Vec<IpAddr>>,
    /// Whether the licence lets only request rules answer, not security rules.
    pub(super) answers_by_request_rules: bool,
}

impl Tenant {
    /// The virtual service with a uuid.
    pub(super) fn virtual_service(&self, id: &str) -> Option<&Value> {
        self.virtual_services.find(id)
    }

    /// The virtual service that holds addresses and ports: the parent of a child, otherwise itself. `None` for a child
    /// whose parent this user does not see.
    pub(super) fn root<'a>(&'a self, virtual_service: &'a Value) -> Option<&'a Value> {
        match text(virtual_service, "type") {
            Some("VS_TYPE_VH_CHILD") => self.virtual_service(reference(virtual_service, "vh_parent_vs_ref")?),
            _ => Some(virtual_service),
        }
    }

    /// The VS VIP of a virtual service that has one.
    pub(super) fn vs_vip(&self, virtual_service: &Value) -> Option<&Value> {
        self.vs_vips.find(reference(virtual_service, "vsvip_ref")?)
    }

    /// The certificate with a uuid.
    pub(super) fn certificate(&self, id: &str) -> Option<&Value> {
        self.certificates.find(id)
    }

    /// The application profile of a virtual service; `None` when it cannot be read.
    pub(super) fn application_profile(&self, virtual_service: &Value) -> Option<&Value> {
        self.application_profiles.find(reference(virtual_service, "application_profile_ref")?)
    }

    /// The virtual services that link to a policy set.
    pub(super) fn users_of(&self, policy_set: &str) -> impl Iterator<Item = &Value> {
        self.virtual_services.iter().filter(move |service| links_to(service, policy_set))
    }
}

/// Whether a virtual service links to a policy set.
pub(super) fn links_to(virtual_service: &Value, policy_set: &str) -> bool {
    list(virtual_service, "http_policies").iter().any(|link| reference(link, "http_policy_set_ref") == Some(policy_set))
}

impl Api {
    /// Reads the objects of these types.
    pub(super) async fn tenant(&self, collections: &[Collection]) -> Result<Tenant, Error> {
        let mut tenant = Tenant::default();
        for collection in collections {
            let query = match collection {
                Collection::PolicySets => vec![("name.contains", POLICY_SET_PREFIX.to_owned())],
                // References that carry names tell which tenant is meant.
                collection if collection.is_for_set_up() => vec![("include_name", true.to_string())],
                _ => Vec::new(),
            };
            let objects = match self.list(*collection, &query).await {
                // A right that is missing for this list must not stop what it is only a check for.
                Err(error) if error.kind() == ErrorKind::Denied && *collection == Collection::ApplicationProfiles => {
                    tracing::warn!(load_balancer = %self.name(), %error, "application profiles are not checked");
                    Vec::new()
                }
                objects => objects?,
            };
            match collection {
                Collection::ApplicationProfiles => tenant.application_profiles = objects.into(),
                Collection::CertificateManagementProfiles => tenant.certificate_management_profiles = objects.into(),
                Collection::Certificates => tenant.certificates = objects.into(),
                Collection::ControlScripts => tenant.control_scripts = objects.into(),
                Collection::PolicySets => {
                    let own = objects.into_iter().filter(|set| name(set).starts_with(POLICY_SET_PREFIX));
                    tenant.policy_sets = own.collect::<Vec<_>>().into();
                }
                Collection::Roles => tenant.roles = objects.into(),
                Collection::Users => tenant.users = objects.into(),
                Collection::VirtualServices => tenant.virtual_services = objects.into(),
                Collection::VsVips => tenant.vs_vips = objects.into(),
            }
        }
        self.look_up_hosts(&mut tenant).await;
        let tier = self.tier().await?;
        tenant.answers_by_request_rules = matches!(tier.as_deref(), Some("BASIC" | "ESSENTIALS"))
            || self.security_answers_refused.load(Ordering::Relaxed);
        Ok(tenant)
    }
}
