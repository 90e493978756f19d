//! One certificate on two listeners of an OCI load balancer that has nothing on port 80.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use certferry_lab::acme_ca::AcmeCa;
use certferry_lab::oci_load_balancer::{Effect, Fault as Rule, OciLab, RequestRecord};
use serde_json::{Value, json};

use super::ground::{Call, Called, Fault, Ground, Purpose, Request, Service};
use super::program::Program;
use crate::avi::stage::differences;
use crate::killed::watch::Look;
use crate::secrets::Secret;
use crate::stage::{BY_HAND, LabCa, SERVER_NAME, Stage};

pub(crate) struct OciGround {
    stage: Stage,
    ca: LabCa,
    program: Program,
    /// The load balancer as it was before certferry came.
    untouched: Value,
}

impl OciGround {
    /// With certificate `www` on [`LISTENERS`].
    pub(crate) async fn prepare() -> Self {
        let stage = Stage::new().await;
        // How often a work request is looked at would be a matter of time.
        stage.lab.set_behaviour(|behaviour| behaviour.work_request_delay = Duration::ZERO);
        let ca = stage.lab_ca().await;
        let deploys: String = LISTENERS.map(|(listener, port)| stage.deploy(0, listener, port)).concat();
        stage.configure(&ca.issuer(), &format!("  www:\n    names: [{SERVER_NAME}]\n    deploy:\n{deploys}"));
        let api_key = std::fs::read_to_string(&stage.key_files.key).unwrap();
        let program = Program::new(stage.folder.path(), vec![Secret::of_rsa("the API key", &api_key)]);
        let untouched = stage.load_balancer();
        Self { stage, ca, program, untouched }
    }
}

impl Ground for OciGround {
    fn program(&self) -> &Program {
        &self.program
    }

    fn ca(&self) -> &AcmeCa {
        &self.ca.ca
    }

    fn clear(&self) {
        self.program.forget();
        put_back(&self.stage, &self.untouched);
    }

    fn looks(&self) -> Vec<Look> {
        looks(&self.stage)
    }

    /// Both listeners refer to the newest bundle and are the same otherwise; there is the path of the challenges, and one
    /// bundle from before.
    async fn assert_nothing_else_changed(&self, versions: usize, context: &str) {
        let bundles = self.stage.own_bundles();
        assert_eq!(bundles.len(), versions.min(2), "{context}: {bundles:?}");
        let mut now = self.stage.load_balancer();
        for (listener, _) in LISTENERS {
            let bound = now["listeners"][listener]["sslConfiguration"]["certificateName"].take();
            assert!(bundles.iter().any(|bundle| bound == *bundle), "{context}: {listener} has {bound}");
            assert_eq!(bound, self.stage.bound("https"), "{context}");
            now["listeners"][listener]["sslConfiguration"]["certificateName"] = json!(BY_HAND);
        }
        let path = ["backendSets certferry-acme", "listeners http", "pathRouteSets certferry_acme"].map(str::to_owned);
        let bundles = bundles.iter().map(|bundle| format!("certificates {bundle}"));
        let made: BTreeSet<String> = path.into_iter().chain(bundles).map(|object| format!("+ {object}")).collect();
        assert_eq!(differences(&objects(self.untouched.clone()), &objects(now)), made, "{context}");
    }

    fn called(&self) -> Vec<(Service, &dyn Called)> {
        vec![(Service::LoadBalancer, &self.stage.lab)]
    }
}

impl Called for OciLab {
    fn request_count(&self) -> usize {
        self.request_count()
    }

    fn requests_after(&self, seen: usize) -> Vec<Request> {
        self.requests_after(seen).into_iter().map(request).collect()
    }

    fn add_fault(&self, call: &Call, fault: Fault) {
        self.add_fault(rule(call, fault));
    }

    /// Nor is there more to page through than in the first case.
    fn clear_faults(&self) {
        self.clear_faults();
        self.forget_work_requests();
    }

    fn is_struck(&self) -> bool {
        self.pending_faults() == 0
    }
}

/// The load balancer as it was before certferry came.
pub(super) fn put_back(stage: &Stage, untouched: &Value) {
    let wanted = untouched.clone();
    stage.lab.edit_load_balancer(stage.id(), move |json| *json = wanted).unwrap();
    assert_eq!(stage.load_balancer(), *untouched);
}

/// [`LISTENERS`].
pub(super) fn looks(stage: &Stage) -> Vec<Look> {
    LISTENERS.map(|(_, port)| Look { address: stage.address(port), family: None }).to_vec()
}

/// A call as any of OCI's services has it.
pub(super) fn request(record: RequestRecord) -> Request {
    Request {
        purpose: if record.method == "GET" { Purpose::Read } else { Purpose::Change },
        // One look at a work request is like one at another.
        target: if record.operation == "GetWorkRequest" { String::new() } else { record.target },
        name: record.operation,
    }
}

/// The rule by which it happens.
pub(super) fn rule(call: &Call, fault: Fault) -> Rule {
    let once = |effect| Rule::new(call.name.as_str(), effect).after(call.nth);
    match fault {
        Fault::Once(effect) => once(effect.of_oci()),
        Fault::FromThenOn(effect) => Rule::new("*", effect.of_oci()).after(call.number).always(),
        Fault::Silence => once(Effect::HangAfter),
    }
}

/// Its objects by kind and name, and all else of it.
pub(super) fn objects(mut load_balancer: Value) -> BTreeMap<String, Value> {
    let mut objects = BTreeMap::new();
    for kind in KINDS {
        let Value::Object(of_kind) = load_balancer[kind].take() else { panic!("no {kind}: {load_balancer}") };
        objects.extend(of_kind.into_iter().map(|(name, object)| (format!("{kind} {name}"), object)));
    }
    objects.insert("the load balancer".to_owned(), load_balancer);
    objects
}

const KINDS: [&str; 8] = [
    "backendSets",
    "certificates",
    "hostnames",
    "listeners",
    "pathRouteSets",
    "routingPolicies",
    "ruleSets",
    "sslCipherSuites",
];

/// Where the certificate is served.
pub(super) const LISTENERS: [(&str, u16); 2] = [("https", 443), ("shop", 8443)];
