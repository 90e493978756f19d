//! Which load balancer uses which certificate.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::CertificatesService;

/// One per pair, however many listeners and backend sets of the load balancer refer to the certificate.
#[derive(Clone, Debug)]
pub(in super::super) struct Association {
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    pub(in super::super) certificate_id: String,
    pub(in super::super) load_balancer_id: String,
    /// The certificate's.
    pub(in super::super) compartment_id: String,
    pub(in super::super) created: Timestamp,
}

impl CertificatesService {
    /// Makes the associations of a load balancer those with `wanted`. A certificate whose associations change is
    /// changed: its ETag is another.
    pub(super) fn change_associations(&mut self, load_balancer: &str, wanted: &BTreeSet<String>, now: Timestamp) {
        let of_this = |association: &Association| association.load_balancer_id == load_balancer;
        let held: BTreeSet<String> =
            self.associations.iter().filter(|one| of_this(one)).map(|one| one.certificate_id.clone()).collect();
        self.associations.retain(|association| !of_this(association) || wanted.contains(&association.certificate_id));
        for id in wanted.difference(&held) {
            let Ok(compartment_id) = self.certificate(id).map(|certificate| certificate.compartment_id.clone()) else {
                continue;
            };
            self.made += 1;
            let number = format!("{:06}{:06}", self.port, self.made);
            self.associations.push(Association {
                id: format!("ocid1.certificateassociation.oc1.iad.aaaaaaaalab{number}"),
                name: format!("certificate-loadbalancer-{number}"),
                certificate_id: id.clone(),
                load_balancer_id: load_balancer.to_owned(),
                compartment_id,
                created: now,
            });
        }
        for id in wanted.symmetric_difference(&held) {
            if let Ok(certificate) = self.certificate_mut(id) {
                certificate.changed();
            }
        }
    }
}
