//! `pushflow check`: says what is wrong with workflow files, and where, and what this host lacks for them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::{self, Severity, Style};
use crate::graph::{Kind, Workflow};
use crate::text;

/// The arguments of `pushflow check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pushflow check integrate.toml

Exit status: 0 if every file is good, 2 if one is not, 3 if one is not there.")]
pub struct CheckArgs {
    /// Workflow files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Checked {
    /// Every file is good; there may be warnings.
    Valid,
    /// At least one file is not.
    Invalid,
    /// At least one file is not there, and the others are good.
    Missing,
}

/// Checks each file: one line on `out` for a good one, and what is wrong on `err`.
///
/// # Errors
/// Where the output cannot be written.
pub fn run(
    args: &CheckArgs,
    defaults: Option<&Path>,
    style: Style,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Checked> {
    let mut checked = Checked::Valid;
    for file in &args.files {
        match config::check(file, defaults) {
            Ok(loaded) => {
                write!(err, "{}", config::render(&loaded.warnings, style))?;
                let mut counts = counts(&loaded.workflow);
                if !loaded.warnings.is_empty() {
                    counts.push(count(loaded.warnings.len(), "warning"));
                }
                writeln!(out, "{}: ok ({})", text::line(&file.to_string_lossy()), counts.join(", "))?;
            }
            Err(errors) => {
                checked = match checked {
                    Checked::Valid | Checked::Missing if errors.is_missing_file() => Checked::Missing,
                    _ => Checked::Invalid,
                };
                let of = |severity| errors.diagnostics().iter().filter(|found| found.severity == severity).count();
                let mut counts = vec![count(of(Severity::Error), "error")];
                if of(Severity::Warning) > 0 {
                    counts.push(count(of(Severity::Warning), "warning"));
                }
                let name = file.to_string_lossy();
                writeln!(err, "{}\n{}: {}", errors.render(style), text::line(&name), counts.join(", "))?;
            }
        }
    }
    Ok(checked)
}

fn counts(workflow: &Workflow) -> Vec<String> {
    let actors =
        workflow.actors.iter().filter(|actor| !matches!(actor.kind, Kind::Start | Kind::Stop | Kind::Boundary));
    let links = workflow.actors.iter().map(|actor| {
        let routed = match &actor.kind {
            Kind::Router(router) => {
                let routes = router.routes.iter().map(|route| route.links.len()).sum::<usize>();
                routes + router.other.as_ref().map_or(0, Vec::len)
            }
            _ => 0,
        };
        actor.links.len() + actor.on_error.len() + routed
    });
    vec![count(actors.count(), "actor"), count(links.sum(), "link"), count(workflow.pools.len(), "pool")]
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(text: &str) -> (Checked, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hello.toml");
        std::fs::write(&file, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = CheckArgs { files: vec![file] };
        let checked = run(&args, None, Style::Plain, &mut out, &mut err).unwrap();
        let plain = |bytes| String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.path().display()), "");
        (checked, plain(out), plain(err))
    }

    #[test]
    fn a_good_file_is_one_line() {
        let (checked, out, err) =
            check("links = [{ from = 'start', to = 'a' }, { from = 'a', to = 'stop' }]\nactors.a.kind = 'fork'");
        assert_eq!(checked, Checked::Valid);
        assert_eq!(out, "hello.toml: ok (1 actor, 2 links, 1 pool)\n");
        assert_eq!(err, "");
    }

    #[test]
    fn a_bad_file_is_shown_and_counted() {
        let (checked, out, err) = check("links = [{ from = 'start', to = 'stpo' }]");
        assert_eq!(checked, Checked::Invalid);
        assert_eq!(out, "");
        assert!(err.contains("did you mean `stop`?"), "{err}");
        assert!(err.contains("[hello.toml:1:33]"), "{err}");
        assert!(err.ends_with("\nhello.toml: 1 error\n"), "{err}");
    }

    #[test]
    fn a_warning_does_not_make_a_file_bad() {
        let (checked, out, err) = check(
            "actors.r = { kind = 'router', item = 'x' }
            links = [{ from = 'start', to = 'r' }, { from = 'r', to = 'stop', port = true }]",
        );
        assert_eq!(checked, Checked::Valid);
        assert_eq!(out, "hello.toml: ok (1 actor, 2 links, 1 pool, 1 warning)\n");
        assert!(err.contains("has no link for other values"), "{err}");
    }
}
