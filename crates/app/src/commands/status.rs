//! `certferry status`: how the certificates stand, from the store alone.

use certferry_core::{Clock, SystemClock};

use crate::cli::GlobalOptions;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, StatusDocument, status_text};
use crate::{status, wiring};

pub(crate) async fn run(global: &GlobalOptions) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let recorded = wiring::store_to_read(&config).await?.recorded().await?;
    let certificates = status::status(&config.desired, &recorded, SystemClock.now());
    if global.wants_json() {
        output::json(&StatusDocument::new(&certificates));
    } else {
        output::line(&status_text(&certificates));
    }
    Ok(Exit::Healthy)
}
