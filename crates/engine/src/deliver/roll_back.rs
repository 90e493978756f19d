//! Back to what was there before, where the new version is not served.

use certferry_core::desired::DeploySpec;
use certferry_core::observed::{Holds, Observation, Place};
use certferry_core::port::Bundle;
use certferry_core::recorded::{BundleRecord, DeploymentState, VersionId};
use certferry_core::retry::RollBack;
use certferry_core::{BundleName, Error, LoadBalancerName};

use super::Delivery;
use crate::journal::Subject;
use crate::verify::NotServed;

impl Delivery<'_> {
    /// Puts the previous bundle, or the previous content, back where this version has never been served, and gives the
    /// error to report. A version that was verified once stays: what was before it is older still.
    pub(super) async fn roll_back(
        &self,
        deploy: &DeploySpec,
        after: &Observation,
        failed: NotServed,
    ) -> Result<Error, Error> {
        let previous = self.deployment(deploy).await.previous_bundle;
        let previous = previous.filter(|previous| after.bundles.contains_key(previous) || !self.port.lists(previous));
        self.note(deploy, |deployment| deployment.served_serial = failed.served_serial).await?;
        let in_place = self.port.capabilities().replacement.is_in_place();
        let subject = |object: &BundleName| Subject {
            action: "roll_back",
            certificate: Some(self.spec.name.clone()),
            load_balancer: Some(self.name.clone()),
            listener: Some(deploy.listener.clone()),
            object: Some(object.to_string()),
        };
        const WHY: &str = "the new version is not served";
        let content_before = if in_place && !self.was_served().await { self.content_before().await } else { None };
        match (previous, content_before) {
            (Some(previous), _) => {
                let place = Place::Listener(deploy.listener.clone());
                let binding = async {
                    self.engine.mutate(self.name, self.port.bind(&place, &previous)).await?;
                    Ok(format!("bundle `{previous}` is back"))
                };
                self.engine.journal.around(&subject(&previous), WHY, binding).await?;
            }
            (None, Some(version)) => {
                self.engine.journal.around(&subject(&self.bundle), WHY, self.restore_content(version)).await?;
            }
            (None, None) if self.came_beside_others(deploy, after) && !self.was_served().await => {
                let place = Place::Listener(deploy.listener.clone());
                let unbinding = async {
                    self.engine.mutate(self.name, self.port.unbind(&place, &self.bundle)).await?;
                    Ok(format!("bundle `{}` is taken off again", self.bundle))
                };
                self.engine.journal.around(&subject(&self.bundle), WHY, unbinding).await?;
            }
            (None, None) => return Ok(failed.error),
        }
        let now = self.engine.parts.clock.now();
        self.note(deploy, |deployment| {
            deployment.state = DeploymentState::Failed;
            deployment.deployed_serial = None;
            deployment.previous_bundle = None;
            deployment.roll_back = Some(RollBack::after(&failed.error, deployment.roll_back.as_ref(), now));
        })
        .await?;
        Ok(failed.error)
    }

    /// The version whose content is put back into the object: the one that was last served out of it, however many came
    /// between and whatever this one says that it replaces. None where another object was served last.
    async fn content_before(&self) -> Option<VersionId> {
        let bundles = self.ledger.recorded().await.bundles;
        match BundleRecord::last_served(bundles.iter().filter(|record| self.is_kept_with(&record.load_balancer))) {
            Some(last) => last.served_version.filter(|_| last.name == self.bundle),
            // An older program noted only what a version replaces.
            None => match self.version.replaces {
                Some(replaced) if self.is_same_object(replaced).await => Some(replaced),
                _ => None,
            },
        }
    }

    /// Whether the version that this one replaces was in the same object, so that its content can be put back there.
    async fn is_same_object(&self, replaced: VersionId) -> bool {
        let bundles = self.ledger.recorded().await.bundles;
        let elsewhere = |record: &BundleRecord| {
            record.load_balancer == *self.name && record.version == replaced && record.name != self.bundle
        };
        !bundles.iter().any(elsewhere)
    }

    /// Whether the listener refers to this bundle and to others too, so that it serves something without this one.
    fn came_beside_others(&self, deploy: &DeploySpec, after: &Observation) -> bool {
        let listener = after.listeners.get(&deploy.listener);
        listener.is_some_and(|listener| {
            listener.holds != Holds::One && listener.refers_to(&self.bundle) && listener.bundles.len() > 1
        })
    }

    /// Whether this version was ever verified here, or out of the same object on another load balancer: putting the content
    /// before back would take it away from there.
    async fn was_served(&self) -> bool {
        let bundles = self.ledger.recorded().await.bundles;
        bundles.iter().any(|record| {
            record.name == self.bundle
                && record.version == self.version.id
                && record.served_at.is_some()
                && self.is_kept_with(&record.load_balancer)
        })
    }

    /// Whether a load balancer's bundles are the same objects as those of this one.
    fn is_kept_with(&self, name: &LoadBalancerName) -> bool {
        let is_same_keeper = |keeper: String| {
            let other = self.engine.parts.load_balancers.get(name);
            other.is_some_and(|other| other.shared_keeper().as_deref() == Some(keeper.as_str()))
        };
        name == self.name || self.port.shared_keeper().is_some_and(is_same_keeper)
    }

    /// Puts the content of an earlier version back into an object whose content is replaced in place.
    async fn restore_content(&self, version: VersionId) -> Result<String, Error> {
        let chain = self.engine.parts.store.chain(version).await?;
        let private_key = self.private_key(&self.version.spec, version).await?;
        let serial = chain.leaf().serial.clone();
        let bundle = Bundle { name: self.bundle.clone(), chain, private_key };
        self.engine.mutate(self.name, self.port.upload(&bundle)).await?;
        Ok(format!("serial {serial} is back in `{}`", self.bundle))
    }
}
