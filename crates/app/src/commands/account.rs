//! `certferry account show|rotate-key|deactivate`: the accounts with CAs.

use std::sync::Arc;

use certferry_core::port::{CertificateAuthority, Store};
use certferry_core::{Error, IssuerName, SystemClock};
use certferry_engine::{Engine, Limits, Responder};
use serde::Serialize;

use crate::cli::{AccountCommand, GlobalOptions};
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, table};
use crate::progress::Progress;
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, command: &AccountCommand) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    match command {
        AccountCommand::Show { online } => show(global, &config, *online).await,
        AccountCommand::RotateKey { issuer } => {
            let (engine, issuer) = engine(global, &config, issuer).await?;
            let _lease = engine.lease("certferry account rotate-key").await?;
            engine.rotate_account_key(&issuer).await?;
            Ok(Exit::Healthy)
        }
        AccountCommand::Deactivate { issuer, yes } => {
            if !yes {
                let text = "an account that is deactivated does not come back, and its certificates cannot be revoked by it \
                            any more; add --yes if that is what you want";
                return Err(Failure::Usage(text.to_owned()));
            }
            let (engine, issuer) = engine(global, &config, issuer).await?;
            let _lease = engine.lease("certferry account deactivate").await?;
            engine.deactivate_account(&issuer).await?;
            Ok(Exit::Healthy)
        }
    }
}

async fn engine(global: &GlobalOptions, config: &Config, issuer: &str) -> Result<(Engine, IssuerName), Failure> {
    let name: IssuerName = issuer.parse()?;
    if !config.issuers.contains_key(&name) {
        let known = config.issuers.keys().map(IssuerName::as_str).collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("the config has no issuer `{name}`; it has: {known}")));
    }
    let store = wiring::store(config).await?;
    let notify = Arc::new(Progress::new(!global.wants_json()));
    let parts = wiring::parts(config, store, notify, Arc::new(SystemClock), Responder::default()).await?;
    Ok((Engine::new(config.desired.clone(), parts, Limits::default()), name))
}

async fn show(global: &GlobalOptions, config: &Config, online: bool) -> Result<Exit, Failure> {
    let store = wiring::store(config).await?;
    let issuers = wiring::issuers(config)?;
    let mut rows = Vec::new();
    for (name, issuer) in &issuers {
        rows.push(row(name, issuer.as_ref(), store.as_ref(), online).await?);
    }
    if global.wants_json() {
        output::json(&AccountDocument { accounts: rows });
    } else {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let cells = |row: &AccountRow| {
            [row.issuer.clone(), row.directory.clone(), text(&row.account), text(&row.key), text(&row.at_ca)]
        };
        output::line(&table(["issuer", "directory", "account", "key", "at the CA"], rows.iter().map(cells)));
    }
    Ok(Exit::Healthy)
}

async fn row(
    name: &IssuerName,
    issuer: &dyn CertificateAuthority,
    store: &dyn Store,
    online: bool,
) -> Result<AccountRow, Error> {
    let directory = issuer.directory_url();
    let record = store.account(name, directory).await?;
    let mut row = AccountRow {
        issuer: name.to_string(),
        directory: directory.to_owned(),
        account: record.as_ref().and_then(|record| record.url.clone()),
        key: record.as_ref().map(|record| issuer.describe_account_key(&record.key)).transpose()?,
        key_change_under_way: record.as_ref().is_some_and(|record| record.next_key.is_some()),
        at_ca: None,
    };
    if let Some(record) = record.filter(|_| online) {
        row.at_ca = Some(match issuer.open_account(&record.key, false).await {
            Ok(_) => "valid".to_owned(),
            Err(error) => error.to_string(),
        });
    }
    Ok(row)
}

/// `account show --output json`.
#[derive(Serialize)]
struct AccountDocument {
    accounts: Vec<AccountRow>,
}

#[derive(Serialize)]
struct AccountRow {
    issuer: String,
    directory: String,
    /// The account's URL; null before the first order.
    account: Option<String>,
    /// Kind and thumbprint.
    key: Option<String>,
    /// A new key was stored and the CA has not confirmed it yet.
    key_change_under_way: bool,
    /// What the CA says; null unless asked.
    at_ca: Option<String>,
}
