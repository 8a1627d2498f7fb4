//! Tables with numbered notes.

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;

use crate::text;

/// A table and its numbered notes.
pub(super) struct Notes {
    table: Table,
    notes: Vec<String>,
}

impl Notes {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(header);
        Notes { table, notes: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.table.add_row(cells.iter().map(|cell| text::short(cell, text::CELL)));
    }

    /// A word with the number of its note. Equal notes share a number.
    pub(super) fn noted(&mut self, word: &str, why: &str) -> String {
        let known = self.notes.iter().position(|note| note == why);
        let at = known.unwrap_or_else(|| {
            self.notes.push(why.to_owned());
            self.notes.len() - 1
        });
        format!("{word} ({})", at + 1)
    }

    pub(super) fn text(&self) -> String {
        let mut all = format!("{}\n", self.table);
        for (at, note) in self.notes.iter().enumerate() {
            all.push_str(&format!("({}) {}\n", at + 1, text::short(note, text::LINE)));
        }
        all
    }
}
