//! `pushflow schema`: prints the JSON Schema of workflow files.

use std::io::{self, Write};

use crate::config;

/// The text below the options in `--help`.
pub(super) const AFTER_HELP: &str = "\
Editors with TOML support (taplo, Even Better TOML) use the schema that the first line of a workflow file names:
  #:schema ./workflow.schema.json
The packages install it as /usr/share/pushflow/workflow.schema.json; `pushflow new` writes that line.

Example:
  pushflow schema > workflow.schema.json";

/// Prints the schema.
///
/// # Errors
/// If the output cannot be written.
pub fn run(out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &config::json_schema())?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn the_schema_is_printed_as_json() {
        let mut out = Vec::new();
        super::run(&mut out).unwrap();
        let schema: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}
