//! Avi passes the contract, with every answer that its documentation leaves open.

use certferry_lab::avi_controller::AbsentElement;

use crate::avi_fixture::Fixture;
use crate::load_balancer_contract::load_balancer_contract;

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
            behaviour.absent_patch_element = AbsentElement::Refused;
            behaviour.ended_session_status = 419;
            behaviour.in_use_status = 400;
        });
        fixture
    }
}
