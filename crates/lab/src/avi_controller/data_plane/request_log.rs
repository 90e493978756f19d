//! What the data plane was asked and what it answered.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

/// One request that a virtual service answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DataPlaneRequest {
    /// By the controller's clock.
    pub at: Timestamp,
    /// The uuid of the virtual service.
    pub virtual_service: String,
    /// Its name.
    pub virtual_service_name: String,
    /// Who asked.
    pub client_ip: IpAddr,
    /// The service's port, whichever socket stands for it.
    pub port: u16,
    /// HTTP method.
    pub method: String,
    /// The name in the `Host` header.
    pub host: String,
    /// The path as it came.
    pub uri_path: String,
    /// The query as it came.
    pub uri_query: String,
    /// The status answered; 0 when the connection was closed instead.
    pub response_code: u16,
    /// The name in the TLS ClientHello; `None` without TLS.
    pub sni_hostname: Option<String>,
    /// The security rule that decided.
    pub http_security_policy_rule_name: Option<String>,
    /// The request rule that decided.
    pub http_request_policy_rule_name: Option<String>,
    /// `User-Agent`.
    pub user_agent: String,
    /// Whether the controller's logs show it: an error is significant, a hit of a rule with `log` is logged for that
    /// rule, and all else only while the virtual service logs everything.
    pub logged_as: LoggedAs,
}

/// The kinds of application logs (`adf`, `udf`, `nf` in queries).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedAs {
    /// Neither an error nor asked for: dropped.
    Dropped,
    /// All requests are logged.
    NonSignificant,
    /// An answer of 400 and above.
    Significant,
    /// A rule asked for it.
    UserDefined,
}

#[derive(Default)]
pub(super) struct RequestLog(Mutex<VecDeque<DataPlaneRequest>>);

impl RequestLog {
    pub(super) fn push(&self, request: DataPlaneRequest) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() >= LONGEST_LOG {
            log.pop_front();
        }
        log.push_back(request);
    }

    pub(super) fn all(&self) -> Vec<DataPlaneRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

const LONGEST_LOG: usize = 10_000;
