//! Steps, problems, and the plan that holds them.

use crate::error::Error;
use crate::name::{BundleName, CertificateName, ListenerName, LoadBalancerName};
use crate::observed::{Http01Change, Place};
use crate::plan::issue::IssueStep;

/// What to do, in order, and what stands in the way.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The steps. Those of one certificate are done in this order; those of different certificates may overlap.
    pub steps: Vec<Step>,
    /// What no step can mend.
    pub problems: Vec<Problem>,
}

/// One step. Each can be done twice.
#[derive(Clone, Debug)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// For which certificate; `None` for the path of challenges, which certificates share.
    pub certificate: Option<CertificateName>,
    /// On which load balancer.
    pub load_balancer: Option<LoadBalancerName>,
    /// On which listener.
    pub listener: Option<ListenerName>,
    /// The object that is made, changed or removed, where its name is known already.
    pub object: Option<String>,
    /// Why, for people.
    pub why: String,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make a place refer to the new bundle.
    Bind(Place),
    /// Create a listener that serves the new bundle.
    CreateListener,
    /// Order, validate, finalize, download.
    Issue(Box<IssueStep>),
    /// Make or change a part of the challenges' path.
    PrepareHttp01(Http01Change),
    /// Remove a superseded bundle.
    Retire(BundleName),
    /// Put the version's bundle on the load balancer.
    Upload,
    /// Look from outside until every address serves the new version.
    Verify,
}

impl Action {
    /// The word that outputs and the history use.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Bind(_) => "bind",
            Self::CreateListener => "create_listener",
            Self::Issue(_) => "issue",
            Self::PrepareHttp01(_) => "prepare_http01",
            Self::Retire(_) => "retire",
            Self::Upload => "upload",
            Self::Verify => "verify",
        }
    }
}

/// Something in the way of a certificate.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What it keeps from happening.
    pub stage: Stage,
    /// The certificate.
    pub certificate: CertificateName,
    /// The load balancer.
    pub load_balancer: Option<LoadBalancerName>,
    /// The listener.
    pub listener: Option<ListenerName>,
    /// What is wrong.
    pub error: Error,
}

/// The part of the work in which something failed, in the order of the work; the exit code says the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Getting a certificate from the CA.
    Issue,
    /// Carrying it onto a load balancer.
    Deliver,
    /// Proving that it is served.
    Verify,
}
