//! `certferry history`: what was done, when, to what.

use certferry_core::port::HistoryFilter;
use serde::Serialize;

use crate::cli::GlobalOptions;
use crate::commands::known_certificate;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, EventRow, history_text};
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, certificate: Option<&str>, limit: u32) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let certificate = certificate.map(str::parse).transpose()?;
    if let Some(name) = &certificate {
        known_certificate(name, &config.desired)?;
    }
    let filter = HistoryFilter { certificate, limit: Some(limit) };
    let events = wiring::store_to_read(&config).await?.history(&filter).await?;
    if global.wants_json() {
        output::json(&HistoryDocument { events: events.iter().map(EventRow::from).collect() });
    } else {
        output::line(&history_text(&events));
    }
    Ok(Exit::Healthy)
}

/// `history --output json`: newest first.
#[derive(Serialize)]
struct HistoryDocument {
    events: Vec<EventRow>,
}
