//! One certificate: its life, its versions and which of them is in use.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{
    super::{error::ApiError, options::DuplicateName},
    content::Content,
};

/// A certificate as the service holds it.
#[derive(Clone, Debug)]
pub(in super::super) struct Certificate {
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    pub(in super::super) compartment_id: String,
    /// Description, tags and rules as they were sent.
    pub(in super::super) properties: Map<String, Value>,
    pub(in super::super) created: Timestamp,
    pub(in super::super) lifecycle: Lifecycle,
    /// What a cancelled deletion leads back to.
    before_deletion: Lifecycle,
    pub(in super::super) lifecycle_details: Option<String>,
    pub(in super::super) time_of_deletion: Option<Timestamp>,
    /// Oldest first; there is always a first one.
    pub(in super::super) versions: Vec<Version>,
    pub(super) current: u64,
    pub(super) previous: Option<u64>,
    pub(super) pending: Option<u64>,
    /// No number is given twice.
    last_number: u64,
    /// Goes up with every change, so that the ETag does too.
    change: u64,
}

/// One imported leaf with its chain and key.
#[derive(Clone, Debug)]
pub(in super::super) struct Version {
    pub(in super::super) number: u64,
    pub(in super::super) name: Option<String>,
    pub(in super::super) content: Content,
    pub(in super::super) created: Timestamp,
    pub(in super::super) time_of_deletion: Option<Timestamp>,
    state: VersionState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VersionState {
    /// Its update has not taken effect.
    Arriving,
    Failed,
    /// Its place follows from the certificate's current, previous and pending.
    Settled,
}

/// `lifecycleState`, as far as the lab passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Lifecycle {
    Active,
    CancellingDeletion,
    Creating,
    Failed,
    PendingDeletion,
    SchedulingDeletion,
    Updating,
}

/// What a change comes to when it takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Settlement {
    /// It is ACTIVE with its new properties.
    Activate,
    /// The certificate is there.
    Create,
    /// The certificate could not be made.
    FailCreation(String),
    /// The update to this version failed, for this reason; the others stay in use.
    FailVersion(u64, String),
    /// The deletion is scheduled.
    PendDeletion,
    /// This version becomes CURRENT.
    Promote(u64),
    /// The deletion is cancelled.
    Restore,
    /// This version becomes PENDING.
    Stage(u64),
}

/// The `stage` of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Current,
    Pending,
}

impl Certificate {
    /// CREATING, with its first version.
    pub(super) fn new(
        (id, name, compartment_id): (String, String, String),
        properties: Map<String, Value>,
        (version_name, content): (Option<String>, Content),
        now: Timestamp,
    ) -> Self {
        let first = Version {
            number: 1,
            name: version_name,
            content,
            created: now,
            time_of_deletion: None,
            state: VersionState::Settled,
        };
        Self {
            id,
            name,
            compartment_id,
            properties,
            created: now,
            lifecycle: Lifecycle::Creating,
            before_deletion: Lifecycle::Active,
            lifecycle_details: None,
            time_of_deletion: None,
            versions: vec![first],
            current: 1,
            previous: None,
            pending: None,
            last_number: 1,
            change: 1,
        }
    }

    pub(in super::super) fn etag(&self) -> String {
        let tail = &self.id[self.id.len().saturating_sub(6)..];
        format!("{tail}-{:08x}", self.change)
    }

    /// Something about it is not as it was.
    pub(super) fn changed(&mut self) {
        self.change += 1;
    }

    /// The version in use: there from creation on, as only deprecated ones are deleted.
    pub(in super::super) fn current(&self) -> &Version {
        self.version(self.current).unwrap_or(&self.versions[0])
    }

    pub(in super::super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The rotation states of a version
    /// (<https://docs.oracle.com/iaas/Content/certificates/rotation-states.htm>).
    pub(in super::super) fn stages(&self, version: &Version) -> Vec<&'static str> {
        let number = version.number;
        let latest = self.last_number == number;
        let place = match version.state {
            VersionState::Failed => Some("FAILED"),
            VersionState::Arriving => None,
            VersionState::Settled if number == self.current => Some("CURRENT"),
            VersionState::Settled if self.previous == Some(number) => Some("PREVIOUS"),
            VersionState::Settled if self.pending == Some(number) => Some("PENDING"),
            VersionState::Settled => Some("DEPRECATED"),
        };
        place.into_iter().chain(latest.then_some("LATEST")).collect()
    }

    /// Only one change at a time, and none of what is on its way out.
    pub(super) fn check_state(&self, allowed: &[Lifecycle]) -> Result<(), ApiError> {
        if allowed.contains(&self.lifecycle) {
            return Ok(());
        }
        let words: Vec<&str> = allowed.iter().map(|state| state.as_str()).collect();
        Err(ApiError::incorrect_state(format!(
            "The certificate {} is in state {}, and must be in state {}",
            self.id,
            self.lifecycle.as_str(),
            words.join(" or ")
        )))
    }

    /// Takes a new version in; it is in effect when the settlement is carried out.
    pub(super) fn add_version(
        &mut self,
        name: Option<String>,
        content: Content,
        stage: Stage,
        duplicate: DuplicateName,
        now: Timestamp,
    ) -> Result<Settlement, ApiError> {
        if let Some(name) = &name
            && self.versions.iter().any(|version| version.name.as_ref() == Some(name))
        {
            let message = format!("The certificate {} already has a version with the name '{name}'", self.id);
            return Err(ApiError::duplicate(message, duplicate));
        }
        let earlier = &self.current().content;
        if earlier.extended_key_usages != content.extended_key_usages {
            return Err(ApiError::invalid_parameter(
                "The certificate's new extended key usages do not match the existing extended key usages.",
            ));
        }
        // https://docs.oracle.com/iaas/Content/certificates/updating-certificate-PEM.htm
        let same_common_name = earlier.leaf.common_name == content.leaf.common_name;
        self.last_number += 1;
        let number = self.last_number;
        self.versions.push(Version {
            number,
            name,
            content,
            created: now,
            time_of_deletion: None,
            state: VersionState::Arriving,
        });
        Ok(match stage {
            _ if !same_common_name => Settlement::FailVersion(
                number,
                "The common name of the certificate must be the same as that of its earlier versions".into(),
            ),
            Stage::Current => Settlement::Promote(number),
            Stage::Pending => Settlement::Stage(number),
        })
    }

    pub(super) fn schedule_deletion(&mut self, time: Timestamp) -> Result<(), ApiError> {
        self.check_state(&[Lifecycle::Active, Lifecycle::Failed])?;
        self.time_of_deletion = Some(time);
        self.before_deletion = self.lifecycle;
        self.lifecycle = Lifecycle::SchedulingDeletion;
        self.changed();
        Ok(())
    }

    pub(super) fn cancel_deletion(&mut self) -> Result<Settlement, ApiError> {
        self.check_state(&[Lifecycle::PendingDeletion])?;
        self.time_of_deletion = None;
        self.lifecycle = Lifecycle::CancellingDeletion;
        self.changed();
        Ok(Settlement::Restore)
    }

    /// What `currentVersionNumber` asks for.
    pub(super) fn promotion(&self, number: u64) -> Result<Settlement, ApiError> {
        let version = self.version(number).ok_or_else(|| {
            ApiError::invalid_parameter(format!("The certificate {} has no version {number}", self.id))
        })?;
        if version.state == VersionState::Settled && version.time_of_deletion.is_none() {
            return Ok(Settlement::Promote(number));
        }
        Err(ApiError::incorrect_state(format!(
            "Version {number} of the certificate {} has failed or is scheduled for deletion, and cannot become current",
            self.id
        )))
    }

    /// A change takes effect.
    pub(super) fn settle(&mut self, settlement: Settlement) {
        self.changed();
        self.lifecycle_details = None;
        self.lifecycle = Lifecycle::Active;
        match settlement {
            Settlement::Activate | Settlement::Create => {}
            Settlement::FailCreation(reason) => {
                self.lifecycle = Lifecycle::Failed;
                self.lifecycle_details = Some(reason);
            }
            Settlement::FailVersion(number, reason) => {
                // A version that was there before is none the worse.
                if self.version(number).is_some_and(|version| version.state == VersionState::Arriving) {
                    self.set_state(number, VersionState::Failed);
                }
                self.lifecycle_details = Some(format!("Version {number} failed: {reason}"));
            }
            Settlement::PendDeletion => self.lifecycle = Lifecycle::PendingDeletion,
            Settlement::Promote(number) => {
                self.set_state(number, VersionState::Settled);
                if number != self.current {
                    self.previous = Some(std::mem::replace(&mut self.current, number));
                }
                self.pending = self.pending.filter(|pending| *pending != number);
            }
            Settlement::Restore => self.lifecycle = self.before_deletion,
            Settlement::Stage(number) => {
                self.set_state(number, VersionState::Settled);
                self.pending = Some(number);
            }
        }
    }

    /// Sets or takes back the end of a version; only a deprecated one may have one.
    pub(super) fn schedule_version(&mut self, number: u64, time: Option<Timestamp>) -> Result<(), ApiError> {
        let id = self.id.clone();
        let Some(version) = self.version(number) else {
            return Err(ApiError::not_found(format_args!("version {number} of certificate {id}")));
        };
        let stages = self.stages(version);
        if !stages.contains(&"DEPRECATED") {
            return Err(ApiError::incorrect_state(format!(
                "Version {number} of the certificate {id} has the stages {}: only deprecated versions can be deleted",
                stages.join(", ")
            )));
        }
        if version.time_of_deletion.is_some() == time.is_some() {
            let state = if time.is_some() { "already" } else { "not" };
            return Err(ApiError::incorrect_state(format!(
                "Version {number} of the certificate {id} is {state} scheduled for deletion"
            )));
        }
        if let Some(version) = self.versions.iter_mut().find(|version| version.number == number) {
            version.time_of_deletion = time;
        }
        self.changed();
        Ok(())
    }

    /// Drops the versions whose time has come.
    pub(super) fn drop_versions(&mut self, now: Timestamp) {
        let before = self.versions.len();
        self.versions.retain(|version| version.time_of_deletion.is_none_or(|time| time > now));
        if self.versions.len() != before {
            self.changed();
        }
    }

    fn set_state(&mut self, number: u64, state: VersionState) {
        if let Some(version) = self.versions.iter_mut().find(|version| version.number == number) {
            version.state = state;
        }
    }
}

impl Settlement {
    /// What it comes to when it fails. Only imports can fail.
    pub(in super::super) fn failed(self, reason: String) -> Self {
        match self {
            Self::Create => Self::FailCreation(reason),
            Self::Promote(number) | Self::Stage(number) => Self::FailVersion(number, reason),
            other => other,
        }
    }
}

impl Lifecycle {
    /// The API's word.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::CancellingDeletion => "CANCELLING_DELETION",
            Self::Creating => "CREATING",
            Self::Failed => "FAILED",
            Self::PendingDeletion => "PENDING_DELETION",
            Self::SchedulingDeletion => "SCHEDULING_DELETION",
            Self::Updating => "UPDATING",
        }
    }
}

/// When something whose deletion is asked for goes: after 30 days, or at the time given, a day from now or later.
pub(in super::super) fn time_of_deletion(given: Option<&str>, now: Timestamp) -> Result<Timestamp, ApiError> {
    let after = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
    let Some(given) = given else {
        return Ok(after(30));
    };
    let time: Timestamp = given.parse().map_err(|_| {
        ApiError::invalid_parameter(format!("timeOfDeletion '{given}' is not a time in RFC 3339 format"))
    })?;
    if time < after(1) {
        return Err(ApiError::invalid_parameter(format!(
            "timeOfDeletion '{given}' is too early: at least one day must pass before the deletion"
        )));
    }
    Ok(time)
}
