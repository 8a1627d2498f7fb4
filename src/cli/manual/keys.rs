//! pushflow.toml(5): the words in `packaging/man`, and every key from the list that the reader goes by.

use super::text::{filled, plain, with_code};
use crate::config::{TableReference, reference};

pub(super) fn page() -> String {
    filled(include_str!("../../../packaging/man/pushflow.toml.5"), |word| {
        (word == "KEYS").then(|| reference().iter().map(table).collect())
    })
}

fn table(table: &TableReference) -> String {
    let mut roff = format!(".SS {}\n{}\n", plain(&table.written).replace(' ', "\\ "), with_code(table.doc));
    for key in &table.keys {
        let required = if key.required { ", required" } else { "" };
        roff.push_str(&format!(".TP\n\\fB{}\\fR ({}{required})\n", plain(key.name), plain(&key.holds)));
        roff.push_str(&format!("{}\n", with_code(key.doc)));
    }
    for (place, keys) in &table.elsewhere {
        let keys: Vec<String> = keys.iter().map(|key| format!("\\fB{}\\fR", plain(key))).collect();
        roff.push_str(&format!(".PP\nAs explained under {}: {}.\n", plain(place), keys.join(", ")));
    }
    roff
}
