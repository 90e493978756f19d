//! The set-up inside an Avi controller, against the lab's: the objects that an administrator's login makes, and the script
//! that the controller runs, against an API that stands in for certferry's.

mod api;
mod run;
mod set_up;

use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_providers::load_balancer::avi::{
    AviConfig, AviTenant, ControlScriptSetup, Credential, Http01Config, Port80, SetupUser,
};
use serde_json::Value;

use crate::avi_fixture::{self, tenant};

pub(super) const TOKEN: &str = "sesame-0123456789-token";
pub(super) const PASSWORD: &str = "hunter2&-certferry";

/// A controller that nobody has set up yet, and an administrator's login.
pub(super) struct World {
    pub(super) lab: AviLab,
    pub(super) config: AviConfig,
    pub(super) administrator: AviTenant,
    pub(super) setup: ControlScriptSetup,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::with(AviOptions::default(), |_| {}).await
    }

    pub(super) async fn with(options: AviOptions, adjust: impl FnOnce(&mut AviConfig)) -> Self {
        let password = options.admin_password.clone();
        let lab = AviLab::start(options).await.unwrap();
        let mut config = AviConfig {
            username: "admin".to_owned(),
            credential: Credential::Password(password.into()),
            listeners: Default::default(),
            lookup: Default::default(),
            http01: Some(Http01Config {
                names: Default::default(),
                otherwise: Vec::new(),
                port_80: Port80::Sibling,
                keep: false,
                probe: Vec::new(),
            }),
            ..avi_fixture::config(&lab)
        };
        adjust(&mut config);
        let mut setup = ControlScriptSetup::new(
            "https://127.0.0.1:8443".parse().unwrap(),
            "edge".parse().unwrap(),
            TOKEN.to_owned().into(),
        );
        setup.user = Some(SetupUser { username: "certferry".to_owned(), password: PASSWORD.to_owned().into() });
        Self { administrator: tenant(&config), config, lab, setup }
    }

    /// The same tenant with another login.
    pub(super) fn login(&self, username: &str, password: &str) -> AviTenant {
        let credential = Credential::Password(password.to_owned().into());
        tenant(&AviConfig { username: username.to_owned(), credential, ..self.config.clone() })
    }

    /// What an object really is, secrets and all.
    pub(super) fn stored(&self, kind: &str, name: &str) -> Value {
        self.lab.stored(kind, name).unwrap()
    }

    /// The value of a parameter of the profile, secret or not.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let profile = self.stored("certificatemanagementprofile", "certferry");
        let parameters = profile["script_params"].as_array().unwrap();
        let found = parameters.iter().find(|parameter| parameter["name"] == name)?;
        Some(found["value"].as_str().unwrap().to_owned())
    }

    /// How many calls there were that change something.
    pub(super) fn writes(&self) -> usize {
        let calls = self.lab.requests();
        calls.iter().filter(|call| call.method != "GET" && !call.operation.ends_with("login")).count()
    }
}
