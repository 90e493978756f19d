//! What a controller has before anybody configures it, and the values of fields that nobody sets.

use serde_json::{Value, json};

use super::{
    json::{Object, map, objects_mut},
    kind::{
        ADMIN, APPLICATION_PROFILE, CERTIFICATE, CONTROLLER_PROPERTIES, Kind, POLICY_SET, ROLE, SYSTEM_CONFIGURATION,
        SYSTEM_LIMITS, TENANT, USER, VIRTUAL_SERVICE, VSVIP,
    },
    store::Store,
};

/// The objects of a new controller; `now` is in microseconds.
pub(super) fn seed(store: &mut Store, version: &str, admin_password: &str, now: i64) {
    let mut add = |path: &str, uuid: &str, fields: Value| {
        let Some(kind) = Kind::of(path) else { return };
        let mut fields = map(fields);
        fill(kind, &mut fields);
        store.put(kind, uuid, ADMIN, fields, now);
    };
    add(TENANT, ADMIN, json!({"name": "admin", "local": true}));
    add("cloud", "cloud-lab-default", json!({"name": "Default-Cloud", "vtype": "CLOUD_NONE"}));
    add("vrfcontext", "vrfcontext-lab-global", json!({"name": "global", "cloud_ref": "/api/cloud/cloud-lab-default"}));
    add(
        "serviceenginegroup",
        "serviceenginegroup-lab-default",
        json!({"name": "Default-Group", "cloud_ref": "/api/cloud/cloud-lab-default"}),
    );
    add("analyticsprofile", "analyticsprofile-lab", json!({"name": "System-Analytics-Profile"}));
    add("sslprofile", "sslprofile-lab-standard", json!({"name": "System-Standard"}));
    for (name, kind) in [("System-TCP-Proxy", "TCP_PROXY"), ("System-TCP-Fast-Path", "TCP_FAST_PATH")] {
        let profile = json!({"name": name, "profile": {"type": format!("PROTOCOL_TYPE_{kind}")}});
        add("networkprofile", &format!("networkprofile-lab-{}", name.to_lowercase()), profile);
    }
    for (name, kind, redirects) in [
        ("System-HTTP", "HTTP", Some(false)),
        ("System-Secure-HTTP", "HTTP", Some(true)),
        ("System-L4-Application", "L4", None),
        ("System-SSL-Application", "SSL", None),
    ] {
        let mut profile = json!({"name": name, "type": format!("APPLICATION_PROFILE_TYPE_{kind}")});
        if let Some(redirects) = redirects {
            profile["http_profile"] = json!({"http_to_https": redirects, "x_forwarded_proto_enabled": redirects});
        }
        add(APPLICATION_PROFILE, &format!("applicationprofile-lab-{}", name.to_lowercase()), profile);
    }
    add(
        CONTROLLER_PROPERTIES,
        "global",
        json!({
            "api_idle_timeout": 15, "ssl_certificate_expiry_warning_days": [30, 7, 1], "shared_ssl_certificates": false,
            "portal_request_rate_limit": 0, "portal_request_burst_limit": 0, "default_minimum_api_timeout": 60,
        }),
    );
    add(
        SYSTEM_CONFIGURATION,
        "default",
        json!({
            "default_license_tier": "ENTERPRISE", "portal_configuration": {
                "allow_basic_authentication": false, "api_force_timeout": 24, "enable_https": true,
            },
        }),
    );
    add(
        SYSTEM_LIMITS,
        "systemlimits",
        json!({
            "controller_limits": {"l7_limits": {"num_rules_per_http_policy": 512, "http_policies_per_vs": 16}},
            "version": version,
        }),
    );
    add(ROLE, "role-lab-system-admin", json!({"name": "System-Admin", "privileges": []}));
    add(
        USER,
        "user-lab-admin",
        json!({
            "name": "admin", "username": "admin", "full_name": "System Administrator", "local": true,
            "is_superuser": true, "password": admin_password, "default_tenant_ref": "/api/tenant/admin",
            "access": [{"role_ref": "/api/role/role-lab-system-admin", "all_tenants": true}],
        }),
    );
}

/// Sets what is not set and has a default.
pub(super) fn fill(kind: &Kind, fields: &mut Object) {
    let default = |fields: &mut Object, name: &str, value: Value| {
        fields.entry(name).or_insert(value);
    };
    match kind.path {
        CERTIFICATE => {
            default(fields, "type", json!("SSL_CERTIFICATE_TYPE_VIRTUALSERVICE"));
            default(fields, "format", json!("SSL_PEM"));
            default(fields, "enable_ocsp_stapling", json!(false));
            default(fields, "ocsp_error_status", json!("OCSP_ERR_CERTSTATUS_DISABLED"));
        }
        POLICY_SET => {
            default(fields, "is_internal_policy", json!(false));
            for policy in ["http_security_policy", "http_request_policy"] {
                let Some(Value::Object(policy)) = fields.get_mut(policy) else { continue };
                for rule in objects_mut(policy, "rules") {
                    default(rule, "log", json!(false));
                    let Some(Value::Object(matches)) = rule.get_mut("match") else { continue };
                    for part in ["path", "host_hdr"] {
                        if let Some(Value::Object(part)) = matches.get_mut(part) {
                            default(part, "match_case", json!("INSENSITIVE"));
                        }
                    }
                }
            }
        }
        USER => {
            let username = fields.get("username").cloned().unwrap_or_default();
            fields.insert("name".into(), username);
            default(fields, "local", json!(true));
            default(fields, "is_superuser", json!(false));
            default(fields, "default_tenant_ref", json!("/api/tenant/admin"));
        }
        VIRTUAL_SERVICE => virtual_service(fields),
        VSVIP => {
            default(fields, "cloud_ref", json!("/api/cloud/cloud-lab-default"));
            default(fields, "vrf_context_ref", json!("/api/vrfcontext/vrfcontext-lab-global"));
            default(fields, "east_west_placement", json!(false));
            for (number, vip) in objects_mut(fields, "vip").enumerate() {
                default(vip, "vip_id", json!(number.to_string()));
                default(vip, "enabled", json!(true));
            }
        }
        _ => {}
    }
}

fn virtual_service(fields: &mut Object) {
    for (name, value) in [
        ("enabled", json!(true)),
        ("traffic_enabled", json!(true)),
        ("type", json!("VS_TYPE_NORMAL")),
        ("weight", json!(1)),
        ("close_client_conn_on_config_update", json!(false)),
        ("cloud_ref", json!("/api/cloud/cloud-lab-default")),
        ("vrf_context_ref", json!("/api/vrfcontext/vrfcontext-lab-global")),
        ("se_group_ref", json!("/api/serviceenginegroup/serviceenginegroup-lab-default")),
        ("application_profile_ref", json!("/api/applicationprofile/applicationprofile-lab-system-http")),
        ("network_profile_ref", json!("/api/networkprofile/networkprofile-lab-system-tcp-proxy")),
        ("analytics_policy", json!({"full_client_logs": {"enabled": false, "duration": 30, "throttle": 10}})),
    ] {
        fields.entry(name).or_insert(value);
    }
    if fields.get("type") != Some(&json!("VS_TYPE_NORMAL")) {
        fields.entry("vh_type").or_insert(json!("VS_TYPE_VH_SNI"));
    }
    for service in objects_mut(fields, "services") {
        let port = service.get("port").cloned().unwrap_or_default();
        service.entry("port_range_end").or_insert(port);
        service.entry("enable_ssl").or_insert(json!(false));
        service.entry("enable_http2").or_insert(json!(false));
    }
}
