//! What is said of an import: a table, the lines that the config lacks, and the same as JSON.

use certferry_core::{CertificateName, Identifier, KeyType};
use serde::Serialize;

use super::decide::{Decision, Kind, Row};
use crate::certbot::{Lineage, server_path};
use crate::config::Config;
use crate::output::table;

/// For people; `done` says how many were taken over.
pub(super) fn text(rows: &[Row], done: usize) -> String {
    if rows.is_empty() {
        return "nothing to take over: there is neither an account nor a lineage".to_owned();
    }
    let cells = |row: &Row| {
        let to = row.to.clone().unwrap_or_else(|| "-".to_owned());
        [row.kind.as_str().to_owned(), row.from.clone(), to, row.decision.word(done).to_owned(), row.why.clone()]
    };
    let mut text = table(["what", "certbot's", "to", "", "why"], rows.iter().map(cells));
    let lines: Vec<&str> = rows.iter().filter_map(|row| row.decision.lines()).collect();
    if !lines.is_empty() {
        text += &format!("\n\nFor what the config lacks, add to it what you want of this:\n\n{}", lines.join("\n"));
    }
    let take = rows.iter().filter(|row| row.is_to_do()).count();
    text + &match (done, take) {
        (0, 0) => "\n\nnothing to do".to_owned(),
        (0, take) => format!("\n\n{take} to take over"),
        (done, _) => format!(
            "\n\n{done} taken over\nNow run `certferry apply`: it delivers and verifies. Then end certbot's own renewals \
             (`systemctl disable --now certbot.timer`) where certferry renews"
        ),
    }
}

/// `import certbot --output json`.
#[derive(Serialize)]
pub(super) struct ImportDocument<'a> {
    done: usize,
    items: Vec<ItemRow<'a>>,
}

#[derive(Serialize)]
struct ItemRow<'a> {
    kind: &'a str,
    from: &'a str,
    to: Option<&'a str>,
    action: &'a str,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    add_to_config: Option<&'a str>,
}

impl<'a> ImportDocument<'a> {
    pub(super) fn new(rows: &'a [Row], done: usize) -> Self {
        let item = |row: &'a Row| ItemRow {
            kind: row.kind.as_str(),
            from: &row.from,
            to: row.to.as_deref(),
            action: row.decision.action(),
            why: &row.why,
            add_to_config: row.decision.lines(),
        };
        Self { done, items: rows.iter().map(item).collect() }
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Certificate => "certificate",
            Self::File => "file",
        }
    }
}

impl Decision {
    /// For programs.
    fn action(&self) -> &'static str {
        match self {
            Self::Already => "already",
            Self::Keep => "keep",
            Self::Lacks(_) => "lacks",
            Self::LeaveOut => "leave_out",
            Self::TakeAccount(_) | Self::TakeVersion(_) => "take_over",
            Self::Unusable => "unusable",
        }
    }

    fn word(&self, done: usize) -> &'static str {
        match self {
            Self::Already => "is taken over",
            Self::Keep => "stays as it is",
            Self::Lacks(_) => "not in the config",
            Self::LeaveOut => "left out",
            Self::TakeAccount(_) | Self::TakeVersion(_) if done > 0 => "taken over",
            Self::TakeAccount(_) | Self::TakeVersion(_) => "take over",
            Self::Unusable => "cannot be used",
        }
    }

    fn lines(&self) -> Option<&str> {
        match self {
            Self::Lacks(lines) => Some(lines),
            _ => None,
        }
    }
}

/// The YAML of an issuer for certbot's server.
pub(super) fn issuer_lines(server_path: &str, lineage: Option<&Lineage>) -> String {
    let known = KNOWN_SERVERS.iter().find(|(path, _)| *path == server_path).map(|(_, name)| *name);
    let directory = match (known, lineage) {
        (Some(name), _) => name.to_owned(),
        (None, Some(lineage)) => quoted(lineage.server.as_str()),
        (None, None) => quoted(&format!("https://{server_path}")),
    };
    let host = server_path.split(['/', ':']).next().unwrap_or(server_path);
    let mut lines = format!("issuers:\n  {}:\n    directory: {directory}\n", known.unwrap_or(host));
    if let Some(chain) = lineage.and_then(|lineage| lineage.preferred_chain.as_ref()) {
        lines += &format!("    preferred-chain: {}\n", quoted(chain));
    }
    if let Some(profile) = lineage.and_then(|lineage| lineage.profile.as_ref()) {
        lines += &format!("    profile: {}\n", quoted(profile));
    }
    lines
}

/// The YAML of a certificate for a lineage.
pub(super) fn certificate_lines(lineage: &Lineage, config: &Config) -> String {
    let wanted: Option<CertificateName> = lineage.name.parse().ok();
    let taken = |name: &CertificateName| config.desired.certificates.iter().any(|spec| spec.name == *name);
    let name = match wanted {
        Some(name) if !taken(&name) => name.to_string(),
        _ => "NAME".to_owned(),
    };
    let names = lineage.pair.names.iter().map(written_name).collect::<Vec<_>>().join(", ");
    let mut lines = format!("certificates:\n  {name}:\n    names: [{names}]\n");
    let path = server_path(&lineage.server);
    let issuer = config.issuers.values().find(|issuer| server_path(&issuer.directory) == path);
    match issuer {
        Some(issuer) if config.issuers.len() > 1 => lines += &format!("    issuer: {}\n", issuer.name),
        Some(_) => {}
        None => lines += &format!("    issuer: …  # one with the directory {}\n", lineage.server),
    }
    if lineage.pair.key.key_type != KeyType::default() {
        lines += &format!("    key: {}\n", lineage.pair.key.key_type);
    }
    if let Some(authenticator) = &lineage.authenticator {
        lines += &format!("    # certbot validates these names by {}\n", printable(authenticator));
    }
    let load_balancer = config.load_balancers.keys().next().map_or("…", |name| name.as_str());
    lines + &format!("    deploy:\n      - {{ load-balancer: {load_balancer}, listener: … }}\n")
}

fn written_name(name: &Identifier) -> String {
    let is_plain = name.dns().is_some_and(|name| !name.is_wildcard());
    if is_plain { name.to_string() } else { quoted(&name.to_string()) }
}

/// YAML's double-quoted form, which JSON's is a part of.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// Servers that the config has a short name for.
const KNOWN_SERVERS: [(&str, &str); 2] = [
    ("acme-staging-v02.api.letsencrypt.org/directory", "letsencrypt-staging"),
    ("acme-v02.api.letsencrypt.org/directory", "letsencrypt"),
];
