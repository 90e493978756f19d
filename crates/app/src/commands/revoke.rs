//! `certferry revoke`: the current version of a certificate.

use std::sync::Arc;

use certferry_core::desired::{CertificateSpec, RenewedBy};
use certferry_core::port::RevocationReason;
use certferry_core::{CertificateName, SystemClock};
use certferry_engine::{Engine, Limits, Responder, Revocation};
use serde::Serialize;

use crate::cli::{GlobalOptions, Reason, Revoke};
use crate::commands::known_certificate;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, EventRow};
use crate::progress::Progress;
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, asked: &Revoke) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let certificate: CertificateName = asked.name.parse()?;
    known_certificate(&certificate, &config.desired)?;
    let by_certbot = |spec: &CertificateSpec| spec.name == certificate && spec.renewed_by == RenewedBy::Certbot;
    if config.desired.certificates.iter().any(by_certbot) {
        let text =
            format!("certbot orders certificate `{certificate}`, so it is certbot that revokes it: `certbot revoke`");
        return Err(Failure::Usage(text));
    }
    if !asked.yes {
        let text =
            "clients may refuse a certificate from the moment that it is revoked; add --yes if that is what you want";
        return Err(Failure::Usage(text.to_owned()));
    }
    let store = wiring::store(&config).await?;
    let progress = Arc::new(Progress::new(!global.wants_json()));
    let parts = wiring::parts(&config, store, progress.clone(), Arc::new(SystemClock), Responder::default()).await?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let _lease = engine.lease("certferry revoke").await?;
    let reason = asked.reason.map(|reason| match reason {
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::Superseded => RevocationReason::Superseded,
    });
    let revoked = engine.revoke(&Revocation { certificate: certificate.clone(), reason, by_key: asked.by_key }).await?;
    if global.wants_json() {
        let events = progress.events();
        output::json(&RevokeDocument {
            certificate: certificate.as_str(),
            serial: revoked.leaf.as_ref().map(|leaf| leaf.serial.as_str()),
            events: events.iter().map(EventRow::from).collect(),
        });
    } else {
        output::line(&format!("run `certferry apply --only {certificate}` to put a new one in its place"));
    }
    Ok(Exit::Healthy)
}

/// `revoke --output json`.
#[derive(Serialize)]
struct RevokeDocument<'a> {
    certificate: &'a str,
    serial: Option<&'a str>,
    /// What was done, as in `history`.
    events: Vec<EventRow>,
}
