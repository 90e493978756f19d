//! Events: written to the history first, then told to whoever listens.

use std::sync::Arc;

use certferry_core::plan::Step;
use certferry_core::port::{Notify, Store};
use certferry_core::recorded::VersionId;
use certferry_core::{CertificateName, Clock, Error, Event, ListenerName, LoadBalancerName, Outcome};
use jiff::SignedDuration;

/// The one way in which the engine says what it does.
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    notify: Arc<dyn Notify>,
    clock: Arc<dyn Clock>,
}

/// What an event is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    pub(crate) action: &'static str,
    pub(crate) certificate: Option<CertificateName>,
    pub(crate) load_balancer: Option<LoadBalancerName>,
    pub(crate) listener: Option<ListenerName>,
    pub(crate) object: Option<String>,
}

impl Subject {
    pub(crate) fn of(step: &Step) -> Self {
        Self {
            action: step.action.as_str(),
            certificate: step.certificate.clone(),
            load_balancer: step.load_balancer.clone(),
            listener: step.listener.clone(),
            object: step.object.clone(),
        }
    }
}

impl Journal {
    pub(crate) fn new(store: Arc<dyn Store>, notify: Arc<dyn Notify>, clock: Arc<dyn Clock>) -> Self {
        Self { store, notify, clock }
    }

    /// Runs `work` between a `started` and a `done` or `failed` event. `work` gives the detail of `done`.
    pub(crate) async fn around(
        &self,
        subject: &Subject,
        why: &str,
        work: impl Future<Output = Result<String, Error>>,
    ) -> Result<(), Error> {
        self.record(subject, Outcome::Started, why).await?;
        match work.await {
            Ok(detail) => self.record(subject, Outcome::Done, &detail).await,
            Err(error) => {
                self.record(subject, Outcome::Failed, &error.to_string()).await?;
                Err(error)
            }
        }
    }

    /// Something that takes time; told, but not kept.
    pub(crate) fn waiting(&self, subject: &Subject, detail: impl Into<String>) {
        self.notify.notify(&self.event(subject, Outcome::Waiting, detail.into()));
    }

    pub(crate) async fn record(&self, subject: &Subject, outcome: Outcome, detail: &str) -> Result<(), Error> {
        let event = self.event(subject, outcome, detail.to_owned());
        self.store.append_history(&event).await?;
        self.notify.notify(&event);
        Ok(())
    }

    /// Warns that a version ends, unless that was done before for this threshold: by this process or an earlier one.
    pub(crate) async fn warn_once(
        &self,
        subject: &Subject,
        version: VersionId,
        threshold: SignedDuration,
        detail: &str,
    ) -> Result<(), Error> {
        let event = self.event(subject, Outcome::Warned, detail.to_owned());
        if self.store.append_warning(version, threshold, &event).await? {
            self.notify.notify(&event);
        }
        Ok(())
    }

    fn event(&self, subject: &Subject, outcome: Outcome, detail: String) -> Event {
        let Subject { action, certificate, load_balancer, listener, object } = subject.clone();
        let at = self.clock.now();
        Event { at, action: action.to_owned(), certificate, load_balancer, listener, object, outcome, detail }
    }
}
