//! An inventory, printed.

use certferry_core::inventory::{HeldCertificate, HeldContent};
use certferry_core::{CertificateName, LoadBalancerName};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::{instant, table_within};

/// `inventory --output json`, sorted by name.
#[derive(Serialize)]
pub(crate) struct InventoryDocument<'a> {
    load_balancer: &'a str,
    certificates: &'a [InventoryRow<'a>],
    /// What may refer to certificates too and was not looked at; null where all was.
    not_looked_at: Option<&'a str>,
}

/// One certificate. `certificate` is the one of the config that certferry made it for; `in_config` whether the config still
/// has that one. What only a leaf has is null for everything else.
#[derive(Serialize)]
pub(crate) struct InventoryRow<'a> {
    name: &'a str,
    /// What its keeper knows it by, where that is not its name.
    id: Option<&'a str>,
    /// `leaf`, `authorities` or `other`.
    content: &'static str,
    used_by: Vec<UserRow<'a>>,
    /// Nothing seen refers to it.
    unused: bool,
    made_by_certferry: bool,
    certificate: Option<&'a str>,
    in_config: Option<bool>,
    names: Vec<&'a str>,
    serial: Option<&'a str>,
    key: Option<&'a str>,
    issuer: Option<&'a str>,
    not_before: Option<String>,
    not_after: Option<String>,
    /// Whole days; less than 0 when the end is days ago.
    days_left: Option<i64>,
    /// Why it is neither leaf nor authorities.
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct UserRow<'a> {
    kind: &'static str,
    name: &'a str,
}

impl<'a> InventoryDocument<'a> {
    /// The document for these rows.
    pub(crate) fn new(
        load_balancer: &'a LoadBalancerName,
        rows: &'a [InventoryRow<'a>],
        not_looked_at: Option<&'a str>,
    ) -> Self {
        Self { load_balancer: load_balancer.as_str(), certificates: rows, not_looked_at }
    }
}

impl<'a> InventoryRow<'a> {
    /// The row of a certificate; `own` is the certificate that certferry made it for, and whether the config has it.
    pub(crate) fn new(held: &'a HeldCertificate, own: Option<(&'a CertificateName, bool)>, now: Timestamp) -> Self {
        let (content, leaf, problem) = match &held.content {
            HeldContent::Authorities => ("authorities", None, None),
            HeldContent::Leaf(leaf) => ("leaf", Some(leaf), None),
            HeldContent::Other(why) => ("other", None, Some(why.as_str())),
        };
        let names = leaf.map(|leaf| leaf.facts.names.iter().chain(&leaf.other_names).map(String::as_str).collect());
        Self {
            name: held.name.as_str(),
            id: held.id.as_deref(),
            content,
            used_by: held.users.iter().map(|user| UserRow { kind: user.kind.as_str(), name: &user.name }).collect(),
            unused: held.users.is_empty(),
            made_by_certferry: held.is_marked || own.is_some(),
            certificate: own.map(|(name, _)| name.as_str()),
            in_config: own.map(|(_, in_config)| in_config),
            names: names.unwrap_or_default(),
            serial: leaf.map(|leaf| leaf.facts.serial.as_str()),
            key: leaf.map(|leaf| leaf.key.as_str()),
            issuer: leaf.map(|leaf| leaf.facts.issuer.as_str()),
            not_before: leaf.map(|leaf| instant(leaf.facts.not_before)),
            not_after: leaf.map(|leaf| instant(leaf.facts.not_after)),
            days_left: leaf.map(|leaf| leaf.facts.not_after.duration_since(now).as_hours() / 24),
            problem,
        }
    }

    fn cells(&self) -> [String; 6] {
        let users = self.used_by.iter().map(|user| format!("{} {}", user.kind.replace('_', " "), user.name));
        let users: Vec<String> = users.collect();
        let maker = match (self.made_by_certferry, self.certificate, self.in_config) {
            (_, Some(name), Some(false)) => format!("certferry, for {name}\n(not in the config)"),
            (_, Some(name), _) => format!("certferry, for {name}"),
            (true, None, _) => "certferry".to_owned(),
            (false, None, _) => "-".to_owned(),
        };
        let names = match self.content {
            "authorities" => "(CA certificates)".to_owned(),
            "leaf" => some(&self.names),
            _ => format!("({})", self.problem.unwrap_or_default()),
        };
        let key = [self.key, self.issuer].into_iter().flatten().collect::<Vec<_>>().join("\n");
        let end = match (&self.not_after, self.days_left) {
            (Some(end), Some(days)) => format!("{}\n{}", end.split('T').next().unwrap_or_default(), left(days)),
            _ => String::new(),
        };
        let id = self.id.filter(|id| *id != self.name);
        let name = [Some(self.name), id, self.serial].into_iter().flatten().collect::<Vec<_>>().join("\n");
        let users = if users.is_empty() { "-".to_owned() } else { some(&users) };
        [name, users, names, key, end, maker].map(|cell| harmless(&cell))
    }
}

/// The inventory for people: two lines or more for each certificate.
pub(crate) fn inventory_text(
    load_balancer: &LoadBalancerName,
    rows: &[InventoryRow<'_>],
    not_looked_at: Option<&str>,
) -> String {
    if rows.is_empty() {
        return format!("load balancer `{load_balancer}` holds no certificates");
    }
    let head = ["certificate, serial", "used by", "names", "key, issuer", "ends", "made by"];
    let mut text = table_within(WIDTH, head, rows.iter().map(InventoryRow::cells));
    let unused: Vec<&str> = rows.iter().filter(|row| row.unused).map(|row| row.name).collect();
    if !unused.is_empty() {
        let list = harmless(&unused.join(", "));
        text.push_str(&format!("\n\nnothing seen refers to {} of {}: {list}", unused.len(), rows.len()));
        text.push_str(
            "\ncandidates for removal by hand, but for what certferry made: it keeps one version to roll back to, and \
             removes the others",
        );
        if let Some(what) = not_looked_at {
            text.push_str(&format!("\n{what}"));
        }
    }
    text
}

fn left(days: i64) -> String {
    match days {
        ..=-1 => format!("{} days ago", -days),
        1 => "1 day left".to_owned(),
        _ => format!("{days} days left"),
    }
}

/// The first few, one to a line.
fn some(texts: &[impl AsRef<str>]) -> String {
    let mut lines: Vec<String> = texts.iter().take(SHOWN).map(|text| text.as_ref().to_owned()).collect();
    if texts.len() > SHOWN {
        lines.push(format!("and {} more", texts.len() - SHOWN));
    }
    lines.join("\n")
}

/// What stands on a load balancer may be anybody's.
fn harmless(text: &str) -> String {
    text.replace(|letter: char| letter.is_control() && letter != '\n', " ")
}

const SHOWN: usize = 4;

/// So that it fits beside another window; cells wrap.
const WIDTH: u16 = 132;

#[cfg(test)]
mod tests {
    use certferry_core::inventory::{CertificateUser, HeldLeaf, UserKind};
    use certferry_core::{BundleName, LeafFacts, Sha256};

    use super::*;

    fn held(name: &str, users: &[&str], names: usize, end: &str) -> HeldCertificate {
        let mut facts = LeafFacts::for_tests("2026-01-01T00:00:00Z", end, Sha256::of(name.as_bytes()));
        facts.names = (0..names).map(|number| format!("n{number}.some-domain.com")).collect();
        let user = |name: &&str| CertificateUser { kind: UserKind::Listener, name: (*name).to_owned() };
        HeldCertificate {
            name: BundleName::observed(name),
            id: None,
            content: HeldContent::Leaf(Box::new(HeldLeaf {
                facts,
                key: "rsa-2048".to_owned(),
                other_names: Vec::new(),
            })),
            users: users.iter().map(user).collect(),
            is_marked: false,
        }
    }

    #[test]
    fn lines_fit_and_what_is_unused_is_named() {
        let now = "2026-02-01T00:00:00Z".parse().unwrap();
        let long = "x".repeat(200);
        let certificates = [
            held(&long, &["a", "b", "c", "d", "e"], 100, "2026-02-03T00:00:00Z"),
            held("old\u{1b}[31m", &[], 1, "2026-01-30T00:00:00Z"),
        ];
        let www: CertificateName = "www".parse().unwrap();
        let rows = [
            InventoryRow::new(&certificates[0], Some((&www, false)), now),
            InventoryRow::new(&certificates[1], None, now),
        ];
        let front = "front".parse().unwrap();
        let text = inventory_text(&front, &rows, Some("pools"));
        for piece in
            ["and 96 more", "and 1 more", "2 days left", "2 days ago", "(not in the config)", "rsa-2048", "pools"]
        {
            assert!(text.contains(piece), "`{piece}` is missing:\n{text}");
        }
        assert!(text.contains("nothing seen refers to 1 of 2"), "{text}");
        assert!(!text.contains('\u{1b}'), "what others wrote does not steer the terminal");
        let (table, _) = text.split_once("\n\n").unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= usize::from(WIDTH)), "{text}");
        let json = serde_json::to_value(InventoryDocument::new(&front, &rows, None)).unwrap();
        let row = &json["certificates"][1];
        assert_eq!(
            (&row["days_left"], &row["unused"], &row["made_by_certferry"]),
            (&(-2).into(), &true.into(), &false.into())
        );
        assert_eq!(json["certificates"][0]["in_config"], false);
        assert_eq!(json["certificates"][0]["used_by"][4], serde_json::json!({"kind": "listener", "name": "e"}));
    }
}
