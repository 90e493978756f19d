//! What is taken over, and what is not and why: a pure function of certbot's folder, the config and the state.

use std::collections::BTreeSet;

use certferry_core::desired::{CertificateSpec, RenewedBy};
use certferry_core::recorded::{CertificateRecord, Version};
use certferry_core::{CertificateName, IssuerName};
use certferry_engine::{AccountTaken, HandedOver};
use certferry_providers::acme::IssuerConfig;
use jiff::Timestamp;

use super::known::Known;
use super::printed;
use crate::certbot::{Account, Folder, Lineage, NoMatch, certificate_for, server_path};
use crate::config::Config;
use crate::output::instant;

/// An issuer whose account is asked for, and which of certbot's it is to be.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) issuer: IssuerName,
    pub(super) id: Option<String>,
}

/// All that a decision depends on.
pub(super) struct Inputs<'a> {
    pub(super) config: &'a Config,
    pub(super) folder: &'a Folder,
    pub(super) known: &'a Known,
    /// The accounts that are asked for; those of all issuers when empty.
    pub(super) wishes: &'a [Wish],
    /// Also in place of what the state has.
    pub(super) replace: bool,
    pub(super) now: Timestamp,
}

/// One thing of certbot's, and what becomes of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: Kind,
    /// Where it is.
    pub(super) from: String,
    /// What it belongs to in the config.
    pub(super) to: Option<String>,
    pub(super) decision: Decision,
    /// For people.
    pub(super) why: String,
}

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    Certificate,
    File,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum Decision {
    /// It was taken over before.
    Already,
    /// The state has something else, which stays.
    Keep,
    /// The config lacks what it could belong to: the lines to add.
    Lacks(String),
    /// It is of no use.
    LeaveOut,
    TakeAccount(Box<AccountTaken>),
    TakeVersion(Box<HandedOver>),
    /// Something in it is wrong.
    Unusable,
}

impl Row {
    pub(super) fn is_to_do(&self) -> bool {
        matches!(self.decision, Decision::TakeAccount(_) | Decision::TakeVersion(_))
    }
}

impl Inputs<'_> {
    /// A row for everything that is there: accounts, then lineages, then what cannot be read.
    pub(super) fn rows(&self) -> Vec<Row> {
        let accounts = self.config.issuers.values().filter_map(|issuer| self.account(issuer));
        let lineages = self.folder.lineages.iter().map(|lineage| self.lineage(lineage));
        let unusable = self.folder.unusable.iter().map(|error| Row {
            kind: Kind::File,
            from: error.path.display().to_string(),
            to: None,
            decision: Decision::Unusable,
            why: error.what.clone(),
        });
        accounts.chain(self.foreign_accounts()).chain(lineages).chain(unusable).collect()
    }

    /// The issuer's account; none where certbot has none and none was asked for.
    fn account(&self, issuer: &IssuerConfig) -> Option<Row> {
        let wish = self.wishes.iter().find(|wish| wish.issuer == issuer.name);
        if wish.is_none() && !self.wishes.is_empty() {
            return None;
        }
        let path = server_path(&issuer.directory);
        let there: Vec<&Account> = self.folder.accounts.iter().filter(|account| account.server_path == path).collect();
        let row = |from: String, decision: Decision, why: String| Row {
            kind: Kind::Account,
            from,
            to: Some(issuer.name.to_string()),
            decision,
            why,
        };
        let account = match self.choose(issuer, &there, wish) {
            Ok(Some(account)) => account,
            Ok(None) => {
                let missing =
                    || row(format!("accounts/{path}"), Decision::Unusable, "certbot has no such account".to_owned());
                return wish.map(|_| missing());
            }
            Err(why) => return Some(row(format!("accounts/{path}"), Decision::LeaveOut, why)),
        };
        let from = account.from.clone();
        let take = || {
            Decision::TakeAccount(Box::new(AccountTaken {
                issuer: issuer.name.clone(),
                key: account.key.pem.clone(),
                url: account.url.clone(),
                from: account.from.clone(),
            }))
        };
        let key = account.key.key_type;
        Some(match self.known.accounts.get(&issuer.name) {
            None => row(from, take(), format!("account {}, key {key}", account.url)),
            Some(known) if known.key.expose() == account.key.pem.expose() => match &known.url {
                Some(url) if *url == account.url => row(from, Decision::Already, format!("account {url}")),
                _ => row(from, take(), format!("account {}, whose key is known", account.url)),
            },
            Some(known) => {
                let url = known.url.as_deref().unwrap_or("one that no CA has confirmed yet");
                if self.replace {
                    row(from, take(), format!("account {}, key {key}, in place of {url}", account.url))
                } else {
                    let why = format!("the state has another account, {url}; --replace takes this one in its place");
                    row(from, Decision::Keep, why)
                }
            }
        })
    }

    /// Which of certbot's accounts with its directory an issuer gets: the one that is asked for, else the one that the
    /// issuer's lineages are ordered with, else the only one.
    fn choose<'a>(
        &self,
        issuer: &IssuerConfig,
        there: &[&'a Account],
        wish: Option<&Wish>,
    ) -> Result<Option<&'a Account>, String> {
        if let Some(id) = wish.and_then(|wish| wish.id.as_ref()) {
            return Ok(there.iter().find(|account| account.id == *id).copied());
        }
        let used: BTreeSet<&str> = self.lineages_of(issuer).filter_map(|lineage| lineage.account.as_deref()).collect();
        let used: Vec<&&Account> = there.iter().filter(|account| used.contains(account.id.as_str())).collect();
        let ids = || there.iter().map(|account| account.id.as_str()).collect::<Vec<_>>().join(", ");
        let choice = format!("say which with --account {}=ID", issuer.name);
        match (used.as_slice(), there) {
            ([only], _) => Ok(Some(only)),
            ([], []) => Ok(None),
            ([], [only]) => {
                let path = server_path(&issuer.directory);
                let sharing =
                    self.config.issuers.values().filter(|other| server_path(&other.directory) == path).count();
                if sharing == 1 || wish.is_some() {
                    return Ok(Some(only));
                }
                Err(format!("several issuers have this directory, and no lineage is {}'s: {choice}", issuer.name))
            }
            _ => Err(format!("certbot has several accounts there ({}): {choice}", ids())),
        }
    }

    /// The lineages that are certificates of this issuer's.
    fn lineages_of(&self, issuer: &IssuerConfig) -> impl Iterator<Item = &Lineage> {
        let path = server_path(&issuer.directory);
        let name = issuer.name.clone();
        self.folder.lineages.iter().filter(move |lineage| {
            server_path(&lineage.server) == path
                && certificate_for(&self.config.desired, &lineage.pair)
                    .is_ok_and(|spec| spec.renewed_by == RenewedBy::Certferry && spec.version.issuer == name)
        })
    }

    /// Accounts with directories of which the config has no issuer, one for each directory.
    fn foreign_accounts(&self) -> Vec<Row> {
        if !self.wishes.is_empty() {
            return Vec::new();
        }
        let mut paths: BTreeSet<String> =
            self.config.issuers.values().map(|issuer| server_path(&issuer.directory)).collect();
        let mut rows = Vec::new();
        for account in &self.folder.accounts {
            let retired = RETIRED.iter().any(|host| account.server_path.starts_with(host));
            if retired || !paths.insert(account.server_path.clone()) {
                continue;
            }
            let lineage =
                self.folder.lineages.iter().find(|lineage| server_path(&lineage.server) == account.server_path);
            rows.push(Row {
                kind: Kind::Account,
                from: account.from.clone(),
                to: None,
                decision: Decision::Lacks(printed::issuer_lines(&account.server_path, lineage)),
                why: "the config has no issuer with this directory".to_owned(),
            });
        }
        rows
    }

    fn lineage(&self, lineage: &Lineage) -> Row {
        let pair = &lineage.pair;
        let row = |to: Option<&CertificateName>, decision: Decision, why: String| Row {
            kind: Kind::Certificate,
            from: pair.from.clone(),
            to: to.map(ToString::to_string),
            decision,
            why,
        };
        let leaf = pair.chain.leaf();
        if leaf.not_after <= self.now {
            return row(None, Decision::LeaveOut, format!("it ended at {}", instant(leaf.not_after)));
        }
        let spec = match certificate_for(&self.config.desired, pair) {
            Ok(spec) => spec,
            Err(NoMatch::None) => {
                let lines = printed::certificate_lines(lineage, self.config);
                return row(None, Decision::Lacks(lines), "no certificate of the config has these names".to_owned());
            }
            Err(NoMatch::Several(specs)) => {
                let names = specs.iter().map(|spec| format!("`{}`", spec.name)).collect::<Vec<_>>().join(", ");
                let why =
                    format!("{names} have these names, and not just one of them a key of type {}", pair.key.key_type);
                return row(None, Decision::Unusable, why);
            }
        };
        let to = Some(&spec.name);
        let version = match pair.version_spec(spec) {
            Ok(version) => version,
            Err(why) => return row(to, Decision::Unusable, why),
        };
        if let Some(why) = self.other_issuer(spec, lineage) {
            return row(to, Decision::LeaveOut, why);
        }
        if let Some(newer) = self.newer_lineage(spec, lineage) {
            return row(to, Decision::LeaveOut, format!("lineage {} has a newer one for these names", newer.name));
        }
        let record = self.known.recorded.certificate(&spec.name);
        let current = record.and_then(|record| record.current.as_ref());
        let is_same = |known: &Version| {
            known.leaf.as_ref().is_some_and(|known| known.sha256 == leaf.sha256) && known.spec == version
        };
        if current.is_some_and(is_same) {
            return row(to, Decision::Already, format!("serial {}", leaf.serial));
        }
        if let Some(why) = record.and_then(|record| self.kept(record, lineage)) {
            return row(to, Decision::Keep, why);
        }
        let mut why = format!("serial {}, valid until {}", leaf.serial, instant(leaf.not_after));
        if version.key != spec.version.key {
            let line = format!("`key: {}` in the config keeps it", version.key);
            why += &format!("; its key is {}: the next apply orders another one with `replaces`; {line}", version.key);
        }
        if version.profile != lineage.profile && spec.renewed_by == RenewedBy::Certferry {
            let name = |profile: &Option<String>| profile.clone().unwrap_or_else(|| "the CA's default".to_owned());
            why += &format!(
                "; its profile was {}, that of renewals is {}",
                name(&lineage.profile),
                name(&version.profile)
            );
        }
        let handed = HandedOver {
            certificate: spec.name.clone(),
            spec: version,
            chain: pair.chain.clone(),
            private_key: pair.key.pem.clone(),
            from: pair.from.clone(),
        };
        row(to, Decision::TakeVersion(Box::new(handed)), why)
    }

    /// Another issuer's certificate could not be named in a renewal, nor be revoked.
    fn other_issuer(&self, spec: &CertificateSpec, lineage: &Lineage) -> Option<String> {
        if spec.renewed_by == RenewedBy::Certbot {
            return None;
        }
        let issuer = self.config.issuers.get(&spec.version.issuer)?;
        (server_path(&issuer.directory) != server_path(&lineage.server)).then(|| {
            format!(
                "it is from {}, and the config orders certificate `{}` from issuer `{}` ({})",
                lineage.server, spec.name, issuer.name, issuer.directory
            )
        })
    }

    fn newer_lineage(&self, spec: &CertificateSpec, lineage: &Lineage) -> Option<&Lineage> {
        let start = |lineage: &Lineage| lineage.pair.chain.leaf().not_before;
        self.folder.lineages.iter().find(|other| {
            start(other) > start(lineage)
                && certificate_for(&self.config.desired, &other.pair).is_ok_and(|found| found.name == spec.name)
                && self.other_issuer(spec, other).is_none()
        })
    }

    /// Why the state's own version stays.
    fn kept(&self, record: &CertificateRecord, lineage: &Lineage) -> Option<String> {
        if self.replace {
            return None;
        }
        if record.pending.is_some() {
            return Some("an order for this certificate is under way; --replace gives it up for this one".to_owned());
        }
        let current = record.current.as_ref()?.leaf.as_ref()?;
        let leaf = lineage.pair.chain.leaf();
        let is_newer = current.sha256 != leaf.sha256 && current.not_before >= leaf.not_before;
        is_newer.then(|| {
            let since = instant(current.not_before);
            format!("the state has a newer version, valid from {since} on; --replace takes this one in its place")
        })
    }
}

/// Hosts of Let's Encrypt's first API, of which certbot keeps links.
const RETIRED: [&str; 2] = ["acme-staging.api.letsencrypt.org/", "acme-v01.api.letsencrypt.org/"];
