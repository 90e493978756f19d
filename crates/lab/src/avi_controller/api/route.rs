//! Paths and methods.

use http::{Method, StatusCode};

use super::super::{error::ApiError, kind::Kind};

/// What a call asks for.
#[derive(Debug)]
pub(super) enum Route {
    ClusterStatus,
    ClusterVersion,
    InitialData,
    Login,
    Logout,
    Logs,
    Object { kind: &'static Kind, uuid: String },
    Objects { kind: &'static Kind },
    OwnAccount,
    Renew { kind: &'static Kind, uuid: String },
}

impl Route {
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let allowed = |route: Self, methods: &[Method]| {
            if methods.contains(method) { Ok(route) } else { Err(not_allowed(method)) }
        };
        match parts.as_slice() {
            ["login"] => allowed(Self::Login, &[Method::POST]),
            ["logout"] => allowed(Self::Logout, &[Method::POST]),
            ["api", "analytics", "logs"] => allowed(Self::Logs, &[Method::GET]),
            ["api", "cluster", "status"] => allowed(Self::ClusterStatus, &[Method::GET]),
            ["api", "cluster", "version"] => allowed(Self::ClusterVersion, &[Method::GET]),
            ["api", "initial-data"] => allowed(Self::InitialData, &[Method::GET]),
            ["api", "useraccount"] => allowed(Self::OwnAccount, &[Method::GET]),
            ["api", word] => {
                let kind = Kind::of(word).ok_or_else(|| ApiError::not_found(word))?;
                match kind.singleton {
                    Some(uuid) => {
                        let route = Self::Object { kind, uuid: uuid.to_owned() };
                        allowed(route, &[Method::GET, Method::PUT, Method::PATCH])
                    }
                    None => allowed(Self::Objects { kind }, &[Method::GET, Method::POST]),
                }
            }
            ["api", word, uuid] => {
                let kind = Kind::of(word).ok_or_else(|| ApiError::not_found(word))?;
                let route = Self::Object { kind, uuid: (*uuid).to_owned() };
                allowed(route, &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE])
            }
            ["api", "sslkeyandcertificate", uuid, "renew"] => {
                let kind = Kind::of("sslkeyandcertificate").ok_or_else(|| ApiError::not_found("renew"))?;
                allowed(Self::Renew { kind, uuid: (*uuid).to_owned() }, &[Method::POST])
            }
            _ => Err(ApiError::not_found(path)),
        }
    }

    /// As fault rules and the log name it, with its method.
    pub(super) fn operation(&self, method: &Method) -> String {
        let what = match self {
            Self::ClusterStatus => "cluster/status",
            Self::ClusterVersion => "cluster/version",
            Self::InitialData => "initial-data",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Logs => "analytics/logs",
            Self::Object { kind, .. } | Self::Objects { kind } => kind.path,
            Self::OwnAccount => "useraccount",
            Self::Renew { .. } => "sslkeyandcertificate/renew",
        };
        format!("{method} {what}")
    }

    pub(super) fn uuid(&self) -> Option<&str> {
        match self {
            Self::Object { uuid, .. } | Self::Renew { uuid, .. } => Some(uuid),
            _ => None,
        }
    }
}

fn not_allowed(method: &Method) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{method}\" not allowed."))
}
