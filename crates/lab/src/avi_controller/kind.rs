//! The object types of the API that the lab holds.

/// An object type.
#[derive(Debug)]
pub(super) struct Kind {
    /// As it stands in paths: `virtualservice`.
    pub(super) path: &'static str,
    /// As it stands in messages: `VirtualService`.
    pub(super) class: &'static str,
    /// The resource whose permission a role needs.
    pub(super) permission: &'static str,
    /// The uuid of the only object there is.
    pub(super) singleton: Option<&'static str>,
    /// Whether every tenant may refer to the objects of tenant admin.
    pub(super) shared: bool,
}

impl Kind {
    /// The type with this word in its path.
    pub(super) fn of(path: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.path == path)
    }

    pub(super) fn is(&self, path: &str) -> bool {
        self.path == path
    }
}

pub(super) const ADMIN: &str = "admin";
pub(super) const APPLICATION_PROFILE: &str = "applicationprofile";
pub(super) const CERTIFICATE: &str = "sslkeyandcertificate";
pub(super) const CERTIFICATE_PROFILE: &str = "certificatemanagementprofile";
pub(super) const CONTROLLER_PROPERTIES: &str = "controllerproperties";
pub(super) const POLICY_SET: &str = "httppolicyset";
pub(super) const POOL: &str = "pool";
pub(super) const ROLE: &str = "role";
pub(super) const SCRIPT: &str = "alertscriptconfig";
pub(super) const SYSTEM_CONFIGURATION: &str = "systemconfiguration";
pub(super) const SYSTEM_LIMITS: &str = "systemlimits";
pub(super) const TENANT: &str = "tenant";
pub(super) const USER: &str = "user";
pub(super) const VIRTUAL_SERVICE: &str = "virtualservice";
pub(super) const VSVIP: &str = "vsvip";

const fn kind(path: &'static str, class: &'static str, permission: &'static str) -> Kind {
    Kind { path, class, permission, singleton: None, shared: false }
}

const fn shared(path: &'static str, class: &'static str, permission: &'static str) -> Kind {
    Kind { path, class, permission, singleton: None, shared: true }
}

const fn singleton(path: &'static str, class: &'static str, uuid: &'static str) -> Kind {
    Kind { path, class, permission: "PERMISSION_CONTROLLER", singleton: Some(uuid), shared: true }
}

/// Which permission guards alert scripts, controller properties and VIPs is not documented: these are guesses that
/// keep a limited role from everything that it does not name.
static KINDS: [Kind; 24] = [
    kind("alert", "Alert", "PERMISSION_ALERT"),
    kind(SCRIPT, "AlertScriptConfig", "PERMISSION_ALERTCONFIG"),
    shared("analyticsprofile", "AnalyticsProfile", "PERMISSION_ANALYTICSPROFILE"),
    shared(APPLICATION_PROFILE, "ApplicationProfile", "PERMISSION_APPLICATIONPROFILE"),
    kind(CERTIFICATE, "SSLKeyAndCertificate", "PERMISSION_SSLKEYANDCERTIFICATE"),
    shared(CERTIFICATE_PROFILE, "CertificateManagementProfile", "PERMISSION_CERTIFICATEMANAGEMENTPROFILE"),
    shared("cloud", "Cloud", "PERMISSION_CLOUD"),
    singleton(CONTROLLER_PROPERTIES, "ControllerProperties", "global"),
    kind("gslbservice", "GslbService", "PERMISSION_GSLBSERVICE"),
    shared("healthmonitor", "HealthMonitor", "PERMISSION_HEALTHMONITOR"),
    kind(POLICY_SET, "HTTPPolicySet", "PERMISSION_HTTPPOLICYSET"),
    shared("networkprofile", "NetworkProfile", "PERMISSION_NETWORKPROFILE"),
    kind(POOL, "Pool", "PERMISSION_POOL"),
    kind("poolgroup", "PoolGroup", "PERMISSION_POOLGROUP"),
    kind(ROLE, "Role", "PERMISSION_ROLE"),
    shared("serviceenginegroup", "ServiceEngineGroup", "PERMISSION_SERVICEENGINEGROUP"),
    shared("sslprofile", "SSLProfile", "PERMISSION_SSLPROFILE"),
    singleton(SYSTEM_CONFIGURATION, "SystemConfiguration", "default"),
    singleton(SYSTEM_LIMITS, "SystemLimits", "systemlimits"),
    shared(TENANT, "Tenant", "PERMISSION_TENANT"),
    kind(USER, "User", "PERMISSION_USER"),
    kind(VIRTUAL_SERVICE, "VirtualService", "PERMISSION_VIRTUALSERVICE"),
    shared("vrfcontext", "VrfContext", "PERMISSION_VRFCONTEXT"),
    kind(VSVIP, "VsVip", "PERMISSION_VIRTUALSERVICE"),
];
