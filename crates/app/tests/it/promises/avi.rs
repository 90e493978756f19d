//! One certificate on a virtual service of an Avi controller, where nothing listens on port 80.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use certferry_core::KeyFamily;
use certferry_core::observed::ServedChain;
use certferry_lab::acme_ca::AcmeCa;
use certferry_lab::avi_controller::{AviLab, Effect, Fault as Rule, RequestRecord};
use serde_json::Value;

use super::ground::{Call, Called, Fault, Ground, Purpose, Request, Service};
use super::program::Program;
use crate::avi::stage::{AviStage, BY_HAND, SHOP, differences};
use crate::killed::watch::{Look, served_now};
use crate::secrets::Secret;
use crate::stage::LabCa;

/// What certferry's certificate object is called for certificate `www`.
const OWN: &str = "cf-www";

pub(crate) struct AviGround {
    stage: AviStage,
    ca: LabCa,
    program: Program,
    /// Every object as it was before certferry came.
    untouched: BTreeMap<String, Value>,
    /// What is served with an RSA key.
    other_kind: ServedChain,
}

impl AviGround {
    /// With certificate `www` on [`SHOP`], and nothing on port 80, for which `port_80` is chosen.
    pub(crate) async fn prepare(port_80: &str) -> Self {
        let stage = AviStage::new().await;
        let ca = stage.lab_ca().await;
        let text = stage.config(&ca.issuer(), stage.www()).http01(&format!("port-80: {port_80}"));
        stage.configure(&text).await;
        let password = std::fs::read_to_string(stage.path("password")).unwrap();
        let program = Program::new(stage.folder.path(), vec![Secret::text("the password", &password)]);
        let untouched = stage.objects();
        let other_kind = served_now(Look { address: stage.address(443), family: Some(KeyFamily::Rsa) }).await;
        Self { stage, ca, program, untouched, other_kind }
    }

    fn look(&self, family: KeyFamily) -> Look {
        Look { address: self.stage.address(443), family: Some(family) }
    }
}

impl Ground for AviGround {
    fn program(&self) -> &Program {
        &self.program
    }

    fn ca(&self) -> &AcmeCa {
        &self.ca.ca
    }

    fn clear(&self) {
        self.program.forget();
        let refs = self.untouched[&format!("virtualservice {SHOP}")][REFS].clone();
        self.stage.lab.edit("virtualservice", SHOP, move |shop| shop[REFS] = refs).unwrap();
        let made: BTreeSet<String> = self.stage.objects().into_keys().collect();
        let made = made.iter().filter(|label| !self.untouched.contains_key(*label));
        // The leaf refers to its authority's object.
        let (own, others): (Vec<&String>, Vec<&String>) = made.partition(|label| label.ends_with(OWN));
        for label in own.into_iter().chain(others) {
            let (kind, name) = label.split_once(' ').unwrap();
            self.stage.lab.delete(kind, name).unwrap();
        }
        assert_eq!(differences(&self.untouched, &self.stage.objects()), BTreeSet::new());
    }

    /// With the kind of key that certferry's certificate has.
    fn looks(&self) -> Vec<Look> {
        vec![self.look(KeyFamily::Ecdsa)]
    }

    /// The certificate and its authority's are new, and [`SHOP`] refers to it instead of the other one of its kind. No policy
    /// set, link, port or virtual service is left.
    async fn assert_nothing_else_changed(&self, _versions: usize, context: &str) {
        let other = served_now(self.look(KeyFamily::Rsa)).await;
        assert_eq!(other, self.other_kind, "{context}: the other kind of key is nobody's business");
        let changed = differences(&self.untouched, &self.stage.objects());
        let (made, edited): (BTreeSet<&String>, BTreeSet<&String>) =
            changed.iter().partition(|change| change.starts_with("+ sslkeyandcertificate "));
        assert_eq!(edited, BTreeSet::from([&format!("virtualservice {SHOP}: {REFS}")]), "{context}");
        assert!(made.contains(&format!("+ sslkeyandcertificate {OWN}")) && made.len() == 2, "{context}: {made:?}");
        assert_eq!(self.stage.bound(SHOP), [OWN, BY_HAND[1]], "{context}");
    }

    fn called(&self) -> Vec<(Service, &dyn Called)> {
        vec![(Service::LoadBalancer, &self.stage.lab)]
    }
}

impl Called for AviLab {
    fn request_count(&self) -> usize {
        self.request_count()
    }

    fn requests_after(&self, seen: usize) -> Vec<Request> {
        let requests = self.requests_after(seen).into_iter();
        let request = |request: RequestRecord| Request {
            purpose: purpose_of(&request),
            name: request.operation,
            target: request.target,
        };
        requests.map(request).collect()
    }

    fn add_fault(&self, call: &Call, fault: Fault) {
        let once = |effect| Rule::new(call.name.as_str(), effect).after(call.nth);
        self.add_fault(match fault {
            Fault::Once(effect) => once(effect.of_avi()),
            Fault::FromThenOn(effect) => Rule::new("*", effect.of_avi()).after(call.number).always(),
            Fault::Silence => once(Effect::Delay(FOREVER)),
        });
    }

    fn clear_faults(&self) {
        self.clear_faults();
    }

    fn is_struck(&self) -> bool {
        self.pending_faults() == 0
    }
}

/// The attempts by which rights are found out are answered 404.
fn purpose_of(request: &RequestRecord) -> Purpose {
    match request.operation.as_str() {
        "POST login" | "POST logout" => Purpose::Access,
        _ if request.method == "GET" => Purpose::Read,
        _ if request.status == Some(404) => Purpose::Access,
        _ => Purpose::Change,
    }
}

/// Longer than it is waited for.
const FOREVER: Duration = Duration::from_secs(3600);

const REFS: &str = "ssl_key_and_certificate_refs";
