//! How the lab is set up, and the answers that the vendor's documentation leaves open.

use std::{path::PathBuf, time::Duration};

pub use crate::loopback_port::Ports;

/// Fixed when the lab starts.
#[derive(Clone, Debug)]
pub struct AviOptions {
    /// What the controller says its version is; a newer `X-Avi-Version` is refused.
    pub version: String,
    /// An older `X-Avi-Version` is refused.
    pub oldest_version: String,
    /// The password of the user `admin`, who may do everything.
    pub admin_password: String,
    /// Where the addresses of VIPs are served. With [`Ports::Exact`] each must be in 127.0.0.0/8.
    pub ports: Ports,
    /// The Python that runs control scripts; what they import must be installed for it.
    pub python: PathBuf,
    /// The behaviour to start with; changed later by [`AviLab::set_behaviour`](super::AviLab::set_behaviour).
    pub behaviour: Behaviour,
}

impl Default for AviOptions {
    fn default() -> Self {
        Self {
            version: "30.2.1".into(),
            oldest_version: "20.1.1".into(),
            admin_password: "lab-admin-password".into(),
            ports: Ports::Mapped,
            python: "python3".into(),
            behaviour: Behaviour::default(),
        }
    }
}

/// What may be changed while the lab runs. The documentation leaves several of these open: a client has to work with
/// each.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What a PATCH `delete` of a list element that is not there does.
    pub absent_patch_element: AbsentElement,
    /// From a change of the configuration until the data plane does what was configured.
    pub data_plane_delay: Duration,
    /// How a session that has ended is answered: 401 or 419.
    pub ended_session_status: u16,
    /// How the deletion of an object in use is refused: 403 or 400.
    pub in_use_status: u16,
    /// So many wrong passwords in a row lock a user for half an hour.
    pub lockout_after: u32,
    /// What comes first in the data plane: a profile's redirect to HTTPS, or policy rules.
    pub redirect_order: RedirectOrder,
    /// Whether every change of the configuration is refused, as during an upgrade.
    pub upgrading: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            absent_patch_element: AbsentElement::Ignored,
            data_plane_delay: Duration::ZERO,
            ended_session_status: 401,
            in_use_status: 403,
            lockout_after: 20,
            redirect_order: RedirectOrder::PolicyFirst,
            upgrading: false,
        }
    }
}

/// A PATCH `delete` of an element that is not in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentElement {
    /// Nothing happens.
    Ignored,
    /// 400.
    Refused,
}

/// The vendor's documentation and reports from the field disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectOrder {
    /// Policy rules are looked at before the application profile's `http_to_https`.
    PolicyFirst,
    /// The application profile's `http_to_https` answers before policy rules are looked at.
    ProfileFirst,
}
