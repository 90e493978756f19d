//! One certificate for a name and its wildcard, validated by dns-01 through OCI DNS, held by OCI's Certificates service, and
//! served on two listeners of a load balancer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use certferry_lab::acme_ca::AcmeCa;
use certferry_lab::oci_dns::OciDnsLab;
use serde_json::{Value, json};

use super::ground::{Call, Called, Fault, Ground, Request, Service};
use super::oci::{LISTENERS, looks, objects, put_back, request, rule};
use super::program::Program;
use crate::avi::stage::differences;
use crate::certificates_service::versions_of;
use crate::killed::watch::Look;
use crate::secrets::Secret;
use crate::stage::{LabCa, Stage};

pub(crate) struct Dns01Ground {
    stage: Stage,
    dns: OciDnsLab,
    ca: LabCa,
    program: Program,
    /// The load balancer as it was before certferry came.
    untouched: Value,
    /// The zone as it was, with a value of somebody else's at the name of the challenges.
    zone: BTreeMap<String, (u32, Vec<String>)>,
}

impl Dns01Ground {
    /// With certificate `www` on [`LISTENERS`].
    pub(crate) async fn prepare() -> Self {
        let (stage, dns) = (Stage::new().await, OciDnsLab::start().await.unwrap());
        // How often what takes time is looked at would be a matter of time.
        stage.lab.set_behaviour(|behaviour| {
            behaviour.work_request_delay = Duration::ZERO;
            behaviour.certificates.change_delay = Duration::ZERO;
            behaviour.certificates.pick_up_delay = Duration::ZERO;
        });
        dns.add_zone(ZONE, "ocid1.compartment.oc1..dns", &["ns1.lab.test"]);
        dns.set_txt(ZONE, RECORD, 3600, "somebody-elses");
        dns.set(ZONE, ZONE, "A", 300, &["192.0.2.1"]);
        let ca = stage.lab_ca().await;
        ca.ca.resolve_challenges_at(dns.name_server());
        let dns_files = stage.new_dns_key(&dns);
        let entry = format!(
            "  www:\n    names: [{ZONE}, '*.{ZONE}']\n    dns01: zone\n    deploy:\n{deploys}dns:\n  zone:\n    oci:\n      auth: {{ \
             api-key: {{ config-file: {config} }} }}\n      endpoint: {endpoint}\n    servers: [{server}]\nresolvers: \
             [{server}]\n",
            deploys = LISTENERS.map(|(listener, port)| stage.deploy(0, listener, port)).concat(),
            config = dns_files.config.display(),
            endpoint = dns.endpoint(),
            server = dns.name_server(),
        );
        stage.configure_with(&ca.issuer(), "      hold: certificates-service\n    verify-within: 20s\n", &entry);
        let [api_key, dns_key] =
            [&stage.key_files, &dns_files].map(|files| std::fs::read_to_string(&files.key).unwrap());
        let secrets = vec![Secret::of_rsa("the API key", &api_key), Secret::of_rsa("the API key for DNS", &dns_key)];
        let program = Program::new(stage.folder.path(), secrets);
        let (untouched, zone) = (stage.load_balancer(), dns.record_sets(ZONE));
        Self { stage, dns, ca, program, untouched, zone }
    }
}

impl Ground for Dns01Ground {
    fn program(&self) -> &Program {
        &self.program
    }

    fn ca(&self) -> &AcmeCa {
        &self.ca.ca
    }

    fn clear(&self) {
        self.program.forget();
        put_back(&self.stage, &self.untouched);
        self.stage.lab.forget_certificates();
        assert_eq!(self.dns.record_sets(ZONE), self.zone);
    }

    fn looks(&self) -> Vec<Look> {
        looks(&self.stage)
    }

    /// Both listeners refer to the one certificate in the service and are the same otherwise. It has a version for each order:
    /// the newest is in use, the one before is kept, those before that are scheduled for deletion, by the next renewal where
    /// it was refused. There is nothing else on the load balancer, no way for http-01, and the zone is as it was.
    async fn assert_nothing_else_changed(&self, versions: usize, context: &str) {
        let mut now = self.stage.load_balancer();
        let id = now["listeners"]["https"]["sslConfiguration"]["certificateIds"][0].clone();
        for (listener, _) in LISTENERS {
            let ssl = &mut now["listeners"][listener]["sslConfiguration"];
            let bound = (ssl["certificateName"].take(), ssl["certificateIds"].take());
            assert_eq!(bound, (Value::Null, json!([id])), "{context}: {listener}");
            let before = &self.untouched["listeners"][listener]["sslConfiguration"];
            for field in ["certificateName", "certificateIds"] {
                ssl[field] = before[field].clone();
            }
        }
        assert_eq!(differences(&objects(self.untouched.clone()), &objects(now)), BTreeSet::new(), "{context}");
        let names = self.stage.lab.certificate_names();
        assert!(names.len() == 1 && names[0].starts_with("cf-www-"), "{context}: {names:?}");
        let id = id.as_str().unwrap();
        if versions_of(&self.stage, id).iter().any(|stages| stages == "DEPRECATED") {
            self.program.make_due(self.ca()).await;
            self.program.run().await;
        }
        let issued = self.ca().orders().iter().filter(|order| order.finalized > 0).count();
        let kept = ["PREVIOUS", "CURRENT LATEST"];
        let expected = match versions {
            1 => vec!["CURRENT LATEST"],
            _ => [&vec!["+DEPRECATED"; issued - kept.len()], &kept[..]].concat(),
        };
        assert_eq!(versions_of(&self.stage, id), expected, "{context}");
        assert_eq!(self.dns.record_sets(ZONE), self.zone, "{context}");
    }

    fn called(&self) -> Vec<(Service, &dyn Called)> {
        vec![(Service::Dns, &self.dns), (Service::LoadBalancer, &self.stage.lab)]
    }
}

impl Called for OciDnsLab {
    fn request_count(&self) -> usize {
        self.request_count()
    }

    fn requests_after(&self, seen: usize) -> Vec<Request> {
        self.requests_after(seen).into_iter().map(request).collect()
    }

    fn add_fault(&self, call: &Call, fault: Fault) {
        self.add_fault(rule(call, fault));
    }

    fn clear_faults(&self) {
        self.clear_faults();
    }

    fn is_struck(&self) -> bool {
        self.pending_faults() == 0
    }
}

/// What is above `SERVER_NAME`, which the wildcard is for.
const ZONE: &str = "some-domain.test";

const RECORD: &str = "_acme-challenge.some-domain.test";
