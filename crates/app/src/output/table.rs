//! Tables for people: columns, two spaces between them, no lines.

use comfy_table::{ContentArrangement, Table, presets};

/// A table with a head, every row on one line.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    arranged(None, head, rows)
}

/// The same with cells that wrap, so that no line is longer than `width`.
pub(crate) fn table_within<const N: usize>(
    width: u16,
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    arranged(Some(width), head, rows)
}

fn arranged<const N: usize>(
    width: Option<u16>,
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
