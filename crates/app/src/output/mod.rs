//! What is printed: text for people, JSON for programs. Data goes to stdout, everything else to stderr.

mod adoption;
mod history;
mod inventory;
mod plan;
mod problem;
mod request_log;
mod setup;
mod status;
mod table;

use std::io::Write;

use certferry_core::Event;
use serde::Serialize;

pub(crate) use adoption::{AdoptionDocument, adoption_text};
pub(crate) use history::{EventRow, history_text};
pub(crate) use inventory::{InventoryDocument, InventoryRow, inventory_text};
pub(crate) use plan::{PlanDocument, plan_text, plan_text_within};
pub(crate) use problem::ProblemRow;
pub(crate) use request_log::{RequestsDocument, requests_text};
pub(crate) use setup::{SetupDocument, setup_text};
pub(crate) use status::{StatusDocument, status_text};
pub(crate) use table::{table, table_within};

/// Prints one line to stdout. A reader that is gone (a closed pipe) is no failure of the work.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints text as it is to stderr.
pub(crate) fn complain(text: &str) {
    let _ = write!(std::io::stderr().lock(), "{text}");
}

/// Prints a document as JSON to stdout.
pub(crate) fn json(document: &impl Serialize) {
    match serde_json::to_string_pretty(document) {
        Ok(text) => line(&text),
        Err(error) => complain(&format!("error: the answer could not be written as JSON: {error}\n")),
    }
}

/// One line of text as lines of at most `width` characters, broken at spaces, all but the first indented. A word that is
/// longer stays whole.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let letters = word.chars().count();
        if length > 0 && length + 1 + letters > width {
            lines.push_str("\n    ");
            lines.push_str(word);
            length = 4 + letters;
            continue;
        }
        if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += letters;
    }
    lines
}

/// Where an event took place: `www on front/https`.
pub(crate) fn place(event: &Event) -> String {
    let certificate = event.certificate.as_ref().map(ToString::to_string);
    let on = match (&event.load_balancer, &event.listener) {
        (Some(load_balancer), Some(listener)) => Some(format!("{load_balancer}/{listener}")),
        (Some(load_balancer), None) => Some(load_balancer.to_string()),
        (None, _) => None,
    };
    match (certificate, on) {
        (Some(certificate), Some(on)) => format!("{certificate} on {on}"),
        (Some(certificate), None) => certificate,
        (None, Some(on)) => on,
        (None, None) => "-".to_owned(),
    }
}

/// An event as one line.
pub(crate) fn event_line(event: &Event) -> String {
    format!("{}: {} {}: {}", place(event), event.action, event.outcome, event.detail)
}

/// An instant as people read it, to the second, UTC.
pub(crate) fn instant(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_at_spaces() {
        for (text, width, expected) in [
            ("", 10, ""),
            ("  kept as it is", 15, "  kept as it is"),
            ("one two three four", 9, "one two\n    three\n    four"),
            ("one two three four", 13, "one two three\n    four"),
            ("a-word-that-is-long b", 5, "a-word-that-is-long\n    b"),
            ("größer größer", 8, "größer\n    größer"),
            ("one two", usize::MAX, "one two"),
        ] {
            assert_eq!(wrapped(text, width), expected, "{text} {width}");
        }
    }
}
