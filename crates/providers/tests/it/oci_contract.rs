//! OCI passes the contract, with every answer that its documentation leaves open.

use certferry_lab::oci_load_balancer::{AttachedCertificate, CertificateCheck, DuplicateName, Nulls, OpenWorkRequest};

use crate::load_balancer_contract::load_balancer_contract;
use crate::oci_fixture::Fixture;

mod as_documented {
    use super::*;

    load_balancer_contract!(Fixture::start());
}

mod otherwise {
    use super::*;

    load_balancer_contract!(the_other_way());

    async fn the_other_way() -> Fixture {
        let fixture = Fixture::start().await;
        fixture.lab.set_behaviour(|behaviour| {
            behaviour.attached_certificate = AttachedCertificate::WorkRequestFails;
            behaviour.certificate_check = CertificateCheck::InWorkRequest;
            behaviour.duplicate_name = DuplicateName::InvalidParameter;
            behaviour.nulls = Nulls::Omitted;
            behaviour.open_work_request = OpenWorkRequest::Conflict;
            behaviour.work_request_delay = std::time::Duration::from_millis(40);
        });
        fixture
    }
}
