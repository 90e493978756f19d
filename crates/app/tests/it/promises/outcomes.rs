//! What came of the cases, as docs/reliability.md tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use super::effect::Effect;
use super::ground::{Call, Fault, Service};

/// How a case ended; it cannot end otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The run stopped with an error, and the next one converged.
    NextRun,
    /// The run converged.
    SameRun,
}

/// The outcomes of one enumeration.
pub(crate) struct Outcomes {
    /// In the order in which the calls were made.
    calls: Vec<Call>,
    /// By service, call, and what happened to it.
    ended: BTreeMap<(Service, String, Column), BTreeSet<Outcome>>,
    cases: BTreeMap<Service, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Once(Effect),
    FromThenOn,
}

impl Outcomes {
    pub(crate) fn new(calls: impl Iterator<Item = Call>) -> Self {
        Self { calls: calls.collect(), ended: BTreeMap::new(), cases: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, call: &Call, fault: Fault, outcome: Outcome) {
        let column = match fault {
            Fault::Once(effect) => Column::Once(effect),
            Fault::FromThenOn(_) => Column::FromThenOn,
            Fault::Silence => panic!("silence ends in a kill"),
        };
        self.ended.entry((call.service, call.name.clone(), column)).or_default().insert(outcome);
        *self.cases.entry(call.service).or_default() += 1;
    }

    /// A row for each call of the service by its name, a column for each effect.
    pub(crate) fn table(&self, service: Service) -> String {
        let calls = self.calls.iter().filter(|call| call.service == service);
        let count = calls.clone().count();
        let mut names: Vec<&str> = Vec::new();
        for call in calls {
            if !names.contains(&call.name.as_str()) {
                names.push(&call.name);
            }
        }
        let columns: Vec<Column> = Effect::ALL.into_iter().map(Column::Once).chain([Column::FromThenOn]).collect();
        let heads: Vec<&str> = columns.iter().map(|column| column.heading()).collect();
        let cases = self.cases.get(&service).copied().unwrap_or_default();
        let mut table = format!("{count} calls, {cases} cases.\n\n| call | {} |\n", heads.join(" | "));
        table.push_str(&format!("|---|{}\n", "---|".repeat(columns.len())));
        for name in names {
            let cells = columns.iter().map(|column| {
                let ended = self.ended.get(&(service, name.to_owned(), *column));
                ended.map_or(String::new(), |ended| cell(ended).to_owned())
            });
            table.push_str(&format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        }
        table
    }
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Once(effect) => effect.heading(),
            Self::FromThenOn => "from then on",
        }
    }
}

fn cell(ended: &BTreeSet<Outcome>) -> &'static str {
    match (ended.contains(&Outcome::SameRun), ended.contains(&Outcome::NextRun)) {
        (true, true) => "same or next run",
        (true, false) => "same run",
        (false, true) => "next run",
        (false, false) => "",
    }
}

/// Compares a section of docs/reliability.md with what a test found; with UPDATE_GOLDEN, writes it.
#[track_caller]
pub(crate) fn compare(section: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reliability.md");
    let _turn = TURN.lock().unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- generated: {section} -->\n\n"), "\n<!-- end -->\n");
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("docs/reliability.md has no {begin}"));
    let (written, after) = rest.split_once(end).unwrap();
    if written != found && std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(&path, format!("{before}{begin}{found}{end}{after}")).unwrap();
    }
    assert!(
        written == found,
        "section {section} of docs/reliability.md is not what this run found: look why, and run with UPDATE_GOLDEN=1 to \
         write it. Written:\n{written}\nFound:\n{found}",
    );
}

/// Tests of one process write the same page.
static TURN: Mutex<()> = Mutex::new(());
