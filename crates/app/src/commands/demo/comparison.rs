//! The end of the story against its beginning: what each listener served, what became of the bundles, and what else is
//! different.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::commands::demo::outcome::Outcome;
use crate::commands::demo::seen::{BundleKind, Seen};
use crate::output::{table, wrapped};

/// The story's end against its beginning.
#[derive(Serialize)]
pub(super) struct Comparison<'a> {
    listeners: Vec<ListenerRow<'a>>,
    bundles: Vec<BundleRow<'a>>,
    others: Vec<OthersRow<'a>>,
}

#[derive(Serialize)]
struct ListenerRow<'a> {
    load_balancer: &'a str,
    listener: &'a str,
    serial_before: &'a str,
    serial_after: &'a str,
    chain_length: usize,
    other_fields_unchanged: bool,
}

#[derive(Serialize)]
struct BundleRow<'a> {
    load_balancer: &'a str,
    bundle: &'a str,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    Changed,
    Issuer,
    Kept,
    LeftAlone,
    Removed,
    Renewed,
    Served,
}

/// What is there besides listeners and bundles.
#[derive(Serialize)]
struct OthersRow<'a> {
    load_balancer: &'a str,
    /// Objects that were not there before.
    made: Vec<&'a str>,
    /// Objects that are different, or gone.
    changed: Vec<&'a str>,
    /// Objects that were there for a while, with how many requests for challenges they answered.
    came_and_went: &'a BTreeMap<String, usize>,
}

impl<'a> Comparison<'a> {
    /// `first` is the look after the first apply.
    pub(super) fn new(before: &'a Outcome, first: &'a Outcome, after: &'a Outcome) -> Self {
        let listeners =
            before.listeners().zip(after.listeners()).map(|((old, _, had), (new, listener, has))| ListenerRow {
                load_balancer: new.load_balancer,
                listener: listener.name,
                serial_before: &had.serial,
                serial_after: &has.serial,
                chain_length: has.chain_length,
                other_fields_unchanged: old.others.get(&listener.object) == new.others.get(&listener.object),
            });
        let looks = before.load_balancers.iter().zip(&first.load_balancers).zip(&after.load_balancers);
        let looks = looks.map(|((before, first), after)| (&before.seen, &first.seen, &after.seen));
        Self {
            listeners: listeners.collect(),
            bundles: looks.clone().flat_map(|(before, first, after)| bundles(before, first, after)).collect(),
            others: looks.map(|(before, _, after)| others(before, after)).collect(),
        }
    }

    /// The table at the end, in lines of at most `width` characters.
    pub(super) fn text(&self, width: usize) -> String {
        let rows = self.listeners.iter().map(|row| {
            [
                format!("{}/{}", row.load_balancer, row.listener),
                row.serial_before.to_owned(),
                row.serial_after.to_owned(),
                format!("of {}", row.chain_length),
                if row.other_fields_unchanged { "unchanged" } else { "CHANGED" }.to_owned(),
            ]
        });
        let served = table(["listener", "serial before", "serial after", "chain", "the rest"], rows);
        let rows = self
            .bundles
            .iter()
            .map(|row| [format!("{}: {}", row.load_balancer, row.bundle), row.fate.words().to_owned()]);
        let bundles = table(["bundle", "fate"], rows);
        let others = self.others.iter().map(|row| wrapped(&row.words(), width)).collect::<Vec<_>>().join("\n");
        format!("{served}\n\n{bundles}\n\n{others}")
    }

    /// Whether the story ended as the README says: every listener serves something new, with all else as it was; side by
    /// side, the first bundle of certferry's own is gone, and in place there is one object; what others made is as they
    /// made it; what is new was `planned`, or has come and gone.
    pub(super) fn is_as_promised(&self, planned: &BTreeSet<String>) -> bool {
        let fates = |fate: Fate| self.bundles.iter().filter(|row| row.fate == fate).count();
        !self.listeners.is_empty()
            && self.listeners.iter().all(|row| row.serial_before != row.serial_after && row.other_fields_unchanged)
            && fates(Fate::Changed) == 0
            && [Fate::Kept, Fate::Removed, Fate::Renewed, Fate::Served].map(fates) == [1; 4]
            && self.others.iter().all(|row| row.changed.is_empty())
            && self.others.iter().flat_map(|row| &row.made).all(|made| planned.contains(*made))
            && self.others.iter().any(|row| !row.came_and_went.is_empty())
    }
}

impl Fate {
    fn words(self) -> &'static str {
        match self {
            Self::Changed => "CHANGED, though certferry did not make it",
            Self::Issuer => "the issuer, which completes the chain",
            Self::Kept => "kept for rollback until the next renewal",
            Self::LeftAlone => "left alone: certferry did not make it",
            Self::Removed => "removed: superseded twice, and nothing referred to it",
            Self::Renewed => "served: still the same object, renewed in place",
            Self::Served => "served",
        }
    }
}

impl OthersRow<'_> {
    fn words(&self) -> String {
        let mut parts = Vec::new();
        if !self.changed.is_empty() {
            parts.push(format!("CHANGED: {}", self.changed.join(", ")));
        }
        if !self.made.is_empty() {
            parts.push(format!("made for the CA's requests, and stays: {}", self.made.join(", ")));
        }
        for (object, answered) in self.came_and_went {
            parts.push(format!("made for each order, and gone: {object}, which answered {answered} requests"));
        }
        parts.push("nothing else is different".to_owned());
        format!("{}: {}", self.load_balancer, parts.join("; "))
    }
}

/// What became of every bundle that is there, was there before, or was there after the first apply.
fn bundles<'a>(before: &'a Seen, first: &'a Seen, after: &'a Seen) -> Vec<BundleRow<'a>> {
    let names: BTreeSet<&String> = [before, first, after].into_iter().flat_map(|seen| seen.bundles.keys()).collect();
    let row = |bundle: &'a String| BundleRow {
        load_balancer: after.load_balancer,
        bundle,
        fate: fate(bundle, before, first, after),
    };
    names.into_iter().map(row).collect()
}

fn fate(bundle: &str, before: &Seen, first: &Seen, after: &Seen) -> Fate {
    let (was, now) = (before.bundles.get(bundle), after.bundles.get(bundle));
    if was.is_some() {
        return if was == now { Fate::LeftAlone } else { Fate::Changed };
    }
    let Some(now) = now else { return Fate::Removed };
    if now.kind == BundleKind::Issuer {
        return Fate::Issuer;
    }
    if !after.listeners.iter().any(|listener| listener.bundle == bundle) {
        return Fate::Kept;
    }
    let same_object = first.bundles.get(bundle).is_some_and(|first| first.id == now.id);
    if same_object { Fate::Renewed } else { Fate::Served }
}

fn others<'a>(before: &'a Seen, after: &'a Seen) -> OthersRow<'a> {
    let made = after.others.keys().filter(|object| !before.others.contains_key(*object));
    let changed = before.others.iter().filter(|(object, content)| after.others.get(*object) != Some(content));
    OthersRow {
        load_balancer: after.load_balancer,
        made: made.map(String::as_str).collect(),
        changed: changed.map(|(object, _)| object.as_str()).collect(),
        came_and_went: &after.passing,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::demo::outcome::{LoadBalancer, Served};
    use crate::commands::demo::seen::{Bundle, SeenListener};

    /// A load balancer whose only listener serves `bundle`; bundles are given with their ids.
    fn load_balancer(name: &'static str, bundle: &str, bundles: &[(&str, &str)]) -> LoadBalancer {
        let mut seen = Seen::new(name, "www.some-domain.com".parse().unwrap());
        let address = ([127, 0, 0, 1], 443).into();
        let object = "listener `https`".to_owned();
        seen.others.insert(object.clone(), json!({"idle": 60}));
        seen.listeners.push(SeenListener { name: "https", address, bundle: bundle.to_owned(), object });
        let bundle = |(name, id): &(&str, &str)| {
            let bundle =
                Bundle { id: (*id).to_owned(), certificate: format!("{id} of {name}"), kind: BundleKind::WithKey };
            ((*name).to_owned(), bundle)
        };
        seen.bundles = bundles.iter().map(bundle).collect();
        let served = Served { serial: "01".to_owned(), ends: String::new(), issuer: String::new(), chain_length: 2 };
        LoadBalancer { seen, served: vec![served] }
    }

    /// The looks before, after the first apply and at the end, of a story that ends well.
    fn story() -> [Outcome; 3] {
        let by_hand = ("by-hand", "by-hand");
        let look = |front: LoadBalancer, edge: LoadBalancer, serial: &str| {
            let mut load_balancers = vec![front, edge];
            load_balancers.iter_mut().for_each(|one| one.served[0].serial = serial.to_owned());
            Outcome { load_balancers }
        };
        let edge = || load_balancer("edge", "cf-www", &[by_hand, ("cf-www", "uuid")]);
        let before =
            look(load_balancer("front", "by-hand", &[by_hand]), load_balancer("edge", "by-hand", &[by_hand]), "01");
        let first = look(load_balancer("front", "cf-1", &[by_hand, ("cf-1", "cf-1")]), edge(), "02");
        let front = load_balancer("front", "cf-3", &[by_hand, ("cf-2", "cf-2"), ("cf-3", "cf-3")]);
        let mut after = look(front, edge(), "03");
        after.load_balancers[0].seen.others.insert("listener `http`".to_owned(), json!({}));
        after.load_balancers[1].seen.passing.insert("virtual service `sibling`".to_owned(), 9);
        [before, first, after]
    }

    fn is_as_promised([before, first, after]: &[Outcome; 3]) -> bool {
        Comparison::new(before, first, after).is_as_promised(&["listener `http`".to_owned()].into())
    }

    #[test]
    fn a_story_that_ends_well_is_as_promised_and_says_so() {
        let [before, first, after] = story();
        let text = Comparison::new(&before, &first, &after).text(100);
        for line in [
            "front: by-hand  left alone: certferry did not make it",
            "front: cf-1     removed: superseded twice, and nothing referred to it",
            "front: cf-2     kept for rollback until the next renewal",
            "front: cf-3     served",
            "edge: cf-www    served: still the same object, renewed in place",
            "front: made for the CA's requests, and stays: listener `http`; nothing else is different",
        ] {
            assert!(text.lines().any(|shown| shown == line), "`{line}` in:\n{text}");
        }
        assert!(is_as_promised(&[before, first, after]));
    }

    #[test]
    fn whatever_else_is_different_breaks_the_promise() {
        type Change = fn(&mut Outcome);
        let changes: [(&str, Change); 9] = [
            ("not renewed", |after| after.load_balancers[1].served[0].serial = "01".to_owned()),
            ("a field", |after| drop(after.load_balancers[0].seen.others.insert("listener `https`".into(), json!(1)))),
            ("not planned", |after| drop(after.load_balancers[1].seen.others.insert("pool `p`".into(), json!({})))),
            ("gone", |after| drop(after.load_balancers[1].seen.others.remove("listener `https`"))),
            ("overwritten", |after| {
                after.load_balancers[0].seen.bundles.get_mut("by-hand").unwrap().certificate.clear()
            }),
            ("removed", |after| drop(after.load_balancers[1].seen.bundles.remove("by-hand"))),
            ("not cleaned up", |after| {
                let old = Bundle { id: "cf-1".into(), certificate: "cf-1".into(), kind: BundleKind::WithKey };
                after.load_balancers[0].seen.bundles.insert("cf-1".into(), old);
            }),
            ("another object", |after| after.load_balancers[1].seen.bundles.get_mut("cf-www").unwrap().id.clear()),
            ("no sibling", |after| after.load_balancers[1].seen.passing.clear()),
        ];
        for (what, change) in changes {
            let mut story = story();
            change(&mut story[2]);
            assert!(!is_as_promised(&story), "{what}");
        }
    }
}
