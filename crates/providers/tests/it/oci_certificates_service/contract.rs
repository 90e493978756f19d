//! The contract of all load balancers, with every answer that the service's documentation leaves open.

use certferry_lab::oci_load_balancer::{DuplicateName, Nulls, UnknownCertificate};

use crate::load_balancer_contract::load_balancer_contract;
use crate::oci_fixture::Fixture;

mod as_documented {
    use super::*;

    load_balancer_contract!(Fixture::with_certificates_service(|_| {}));
}

mod otherwise {
    use super::*;

    load_balancer_contract!(the_other_way());

    async fn the_other_way() -> Fixture {
        let fixture = Fixture::with_certificates_service(|_| {}).await;
        fixture.lab.set_behaviour(|behaviour| {
            behaviour.duplicate_name = DuplicateName::InvalidParameter;
            behaviour.nulls = Nulls::Omitted;
            behaviour.certificates.change_delay = std::time::Duration::from_millis(60);
            behaviour.certificates.page_size = 1;
            behaviour.certificates.unknown_certificate = UnknownCertificate::InvalidParameter;
        });
        fixture
    }
}
