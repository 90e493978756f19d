//! The controller's JSON, read where it is needed and otherwise left as it came.

use serde_json::Value;

/// A type of object, by the word that stands in paths, references and uuids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collection {
    ApplicationProfiles,
    CertificateManagementProfiles,
    Certificates,
    ControlScripts,
    PolicySets,
    Roles,
    Users,
    VirtualServices,
    VsVips,
}

impl Collection {
    /// The word in paths.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::ApplicationProfiles => "applicationprofile",
            Self::CertificateManagementProfiles => "certificatemanagementprofile",
            Self::Certificates => "sslkeyandcertificate",
            Self::ControlScripts => "alertscriptconfig",
            Self::PolicySets => "httppolicyset",
            Self::Roles => "role",
            Self::Users => "user",
            Self::VirtualServices => "virtualservice",
            Self::VsVips => "vsvip",
        }
    }

    /// All of the objects, for people.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::ApplicationProfiles => "application profiles",
            Self::CertificateManagementProfiles => "certificate management profiles",
            Self::Certificates => "SSL/TLS certificates",
            Self::ControlScripts => "ControlScripts",
            Self::PolicySets => "HTTP policy sets",
            Self::Roles => "roles",
            Self::Users => "users",
            Self::VirtualServices => "virtual services",
            Self::VsVips => "VS VIPs",
        }
    }

    /// One of them, for people.
    pub(super) fn object(self, name: &str) -> String {
        let noun = match self {
            Self::ApplicationProfiles => "application profile",
            Self::CertificateManagementProfiles => "certificate management profile",
            Self::Certificates => "bundle",
            Self::ControlScripts => "ControlScript",
            Self::PolicySets => "HTTP policy set",
            Self::Roles => "role",
            Self::Users => "user",
            Self::VirtualServices => "virtual service",
            Self::VsVips => "VS VIP",
        };
        format!("{noun} `{name}`")
    }

    /// The right that it takes, in a role's words. VS VIPs have none of their own; ControlScripts are alert scripts to
    /// the API.
    pub(super) fn permission(self) -> &'static str {
        match self {
            Self::ApplicationProfiles => "PERMISSION_APPLICATIONPROFILE",
            Self::CertificateManagementProfiles => "PERMISSION_CERTIFICATEMANAGEMENTPROFILE",
            Self::Certificates => "PERMISSION_SSLKEYANDCERTIFICATE",
            Self::ControlScripts => "PERMISSION_ALERTCONFIG",
            Self::PolicySets => "PERMISSION_HTTPPOLICYSET",
            Self::Roles => "PERMISSION_ROLE",
            Self::Users => "PERMISSION_USER",
            Self::VirtualServices | Self::VsVips => "PERMISSION_VIRTUALSERVICE",
        }
    }

    /// Whether only an administrator's login may change it, when certferry is set up.
    pub(super) fn is_for_set_up(self) -> bool {
        use Collection::{CertificateManagementProfiles, ControlScripts, Roles, Users};
        matches!(self, CertificateManagementProfiles | ControlScripts | Roles | Users)
    }

    /// The tenant that its objects are in, for certferry's `own`: accounts are those of the whole controller.
    pub(super) fn tenant(self, own: &str) -> &str {
        if matches!(self, Self::Roles | Self::Users) { ADMIN_TENANT } else { own }
    }

    /// The fields to read; `None` for the whole object. A whole virtual service holds key material (`tls_ticket_key`),
    /// which certferry has no use for.
    pub(super) fn fields(self) -> Option<&'static str> {
        match self {
            Self::ApplicationProfiles => Some("name,type,http_profile"),
            Self::CertificateManagementProfiles => Some("name,run_script_ref,script_params,tenant_ref"),
            Self::Certificates | Self::PolicySets => None,
            Self::ControlScripts => Some("name,action_script,timeout,tenant_ref"),
            Self::Roles => Some("name,privileges,tenant_ref"),
            Self::Users => Some("name,username,full_name,local,is_superuser,access"),
            Self::VirtualServices => Some(
                "name,enabled,traffic_enabled,type,vh_type,vh_parent_vs_ref,vh_domain_name,vh_matches,fqdn,dns_info,\
                 vsvip_ref,services,application_profile_ref,network_profile_ref,ssl_key_and_certificate_refs,\
                 ssl_profile_ref,http_policies,cloud_ref,se_group_ref,vrf_context_ref,tenant_ref,created_by,\
                 cloud_config_cksum",
            ),
            Self::VsVips => Some("name,vip,dns_info,vrf_context_ref,cloud_ref,tenant_ref"),
        }
    }
}

/// A text field; `None` when it is absent, null or empty.
pub(super) fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A list; empty when it is absent or null, as unset lists are.
pub(super) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list.
pub(super) fn texts<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    list(object, key).iter().filter_map(Value::as_str)
}

/// A flag, `otherwise` when it is absent: defaults may be left out of an answer.
pub(super) fn flag(object: &Value, key: &str, otherwise: bool) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(otherwise)
}

/// The uuid of the object that a reference names: the last segment of its path, without the name that may follow `#`.
/// `None` for references by name.
pub(super) fn referred(reference: &str) -> Option<&str> {
    let path = reference.split('#').next().unwrap_or_default();
    let segment = path.rsplit('/').next().unwrap_or_default();
    (!segment.is_empty() && !segment.contains('?')).then_some(segment)
}

/// The uuid in a reference field.
pub(super) fn reference<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    referred(text(object, key)?)
}

/// An object's name.
pub(super) fn name(object: &Value) -> &str {
    text(object, "name").unwrap_or_default()
}

/// An object's uuid, without which there is nothing to do with it.
pub(super) fn uuid(object: &Value) -> Option<&str> {
    text(object, "uuid").or_else(|| reference(object, "url"))
}

/// A reference to an object in the form that writes take.
pub(super) fn path_of(collection: Collection, uuid: &str) -> String {
    format!("/api/{}/{uuid}", collection.key())
}

/// Whether certferry made an object: it says so in `created_by`, which the controller keeps as it is given.
pub(super) fn is_own(object: &Value) -> bool {
    text(object, "created_by") == Some(OWNER)
}

/// The tenant that every controller has: its accounts are there, and what it shares with other tenants.
pub(super) const ADMIN_TENANT: &str = "admin";

/// Who made what certferry made.
pub(super) const OWNER: &str = "certferry";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_read_in_all_their_forms() {
        for (reference, expected) in [
            ("https://avi.some-domain.com/api/vsvip/vsvip-1", Some("vsvip-1")),
            ("https://avi.some-domain.com/api/vsvip/vsvip-1#a/b", Some("vsvip-1")),
            ("/api/tenant/admin", Some("admin")),
            ("/api/vsvip?name=shop", None),
            ("/api/vsvip/?name=shop", None),
            ("", None),
        ] {
            assert_eq!(referred(reference), expected, "{reference}");
        }
        assert_eq!(uuid(&json!({"url": "https://h/api/vsvip/vsvip-2#x"})), Some("vsvip-2"));
    }

    #[test]
    fn absent_null_and_empty_are_the_same() {
        let object = json!({"a": null, "b": "", "c": "x"});
        assert_eq!((text(&object, "a"), text(&object, "b"), text(&object, "c")), (None, None, Some("x")));
        assert!(list(&object, "a").is_empty() && flag(&object, "a", true) && !is_own(&object));
    }
}
