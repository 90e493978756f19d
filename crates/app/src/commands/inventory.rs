//! `certferry inventory LB`: every certificate on a load balancer, managed or not. Changes nothing.

use std::collections::BTreeMap;

use certferry_core::recorded::BundleRecord;
use certferry_core::{BundleName, Clock, SystemClock};

use crate::cli::GlobalOptions;
use crate::commands::known_load_balancer;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, InventoryDocument, InventoryRow, inventory_text};
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, name: &str) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let (name, configured) = known_load_balancer(name, &config)?;
    let recorded = wiring::store_to_read(&config).await?.recorded().await?;
    let load_balancer = wiring::load_balancer(name, &configured.provider)?;
    let inventory = load_balancer.inventory().await;
    load_balancer.close().await;
    let inventory = inventory?;
    let own: BTreeMap<&BundleName, &BundleRecord> = recorded
        .bundles
        .iter()
        .filter(|bundle| bundle.load_balancer == *name)
        .map(|bundle| (&bundle.name, bundle))
        .collect();
    let in_config = |bundle: &BundleRecord| {
        config.desired.certificates.iter().any(|certificate| certificate.name == bundle.certificate)
    };
    let now = SystemClock.now();
    let rows: Vec<InventoryRow<'_>> = inventory
        .certificates
        .iter()
        .map(|held| {
            let record = own.get(&held.name).copied();
            InventoryRow::new(held, record.map(|record| (&record.certificate, in_config(record))), now)
        })
        .collect();
    if global.wants_json() {
        output::json(&InventoryDocument::new(name, &rows, inventory.unseen_users));
    } else {
        output::line(&inventory_text(name, &rows, inventory.unseen_users));
    }
    Ok(Exit::Healthy)
}
