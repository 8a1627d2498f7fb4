//! `pushflow check`: checks workflow files, and that this host has the programs and scripts that they name.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Exit, Failure, locate};
use crate::config::{self, Severity, Style};
use crate::graph::{Kind, Workflow};
use crate::text;

/// The arguments of `pushflow check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pushflow check integrate.toml
  pushflow check hello

Exit status: 0 if all files are valid, 2 if one is invalid, 3 if one does not exist.")]
pub struct CheckArgs {
    /// Workflow files, or names of installed workflows
    #[arg(required = true, value_name = "FILE|NAME", value_hint = clap::ValueHint::FilePath)]
    pub workflows: Vec<String>,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Checked {
    /// All files are valid. There may be warnings.
    Valid,
    /// At least one file is invalid.
    Invalid,
    /// At least one file does not exist, and the others are valid.
    Missing,
}

/// Checks each file. Writes a line to `out` for a valid one, and errors and warnings to `err`.
///
/// # Errors
/// If the output cannot be written.
pub fn run(
    args: &CheckArgs,
    defaults: Option<&Path>,
    style: Style,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Checked> {
    let mut checked = Checked::Valid;
    for workflow in &args.workflows {
        let file = match file_of(workflow) {
            Ok(file) => file,
            Err(failure) => {
                checked = checked.worse(match failure {
                    Failure::Said(Exit::NotFound) | Failure::Because(Exit::NotFound, _) => Checked::Missing,
                    _ => Checked::Invalid,
                });
                if let Failure::Because(_, error) = failure {
                    writeln!(err, "pushflow: {}", text::line(&format!("{error:#}")))?;
                }
                continue;
            }
        };
        match config::check(&file, defaults) {
            Ok(loaded) => {
                write!(err, "{}", config::render(&loaded.warnings, style))?;
                let mut counts = counts(&loaded.workflow);
                if !loaded.warnings.is_empty() {
                    counts.push(count(loaded.warnings.len(), "warning"));
                }
                writeln!(out, "{}: ok ({})", text::line(&file.to_string_lossy()), counts.join(", "))?;
            }
            Err(errors) => {
                checked = checked.worse(if errors.is_missing_file() { Checked::Missing } else { Checked::Invalid });
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

/// The file of `FILE|NAME`. A path need not exist: then the check reports it.
fn file_of(workflow: &str) -> Result<PathBuf, Failure> {
    if locate::is_path(workflow) { Ok(workflow.into()) } else { locate::workflow_file(workflow) }
}

impl Checked {
    /// The worse of two results.
    fn worse(self, other: Checked) -> Checked {
        match (self, other) {
            (Checked::Invalid, _) | (_, Checked::Invalid) => Checked::Invalid,
            (Checked::Missing, _) | (_, Checked::Missing) => Checked::Missing,
            (Checked::Valid, Checked::Valid) => Checked::Valid,
        }
    }
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
        let args = CheckArgs { workflows: vec![file.to_str().unwrap().to_owned()] };
        let checked = run(&args, None, Style::Plain, &mut out, &mut err).unwrap();
        let plain = |bytes| String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.path().display()), "");
        (checked, plain(out), plain(err))
    }

    #[test]
    fn a_valid_file_is_one_line() {
        let (checked, out, err) =
            check("links = [{ from = 'start', to = 'a' }, { from = 'a', to = 'stop' }]\nactors.a.kind = 'fork'");
        assert_eq!(checked, Checked::Valid);
        assert_eq!(out, "hello.toml: ok (1 actor, 2 links, 1 pool)\n");
        assert_eq!(err, "");
    }

    #[test]
    fn errors_of_a_file_are_shown_and_counted() {
        let (checked, out, err) = check("links = [{ from = 'start', to = 'stpo' }]");
        assert_eq!(checked, Checked::Invalid);
        assert_eq!(out, "");
        assert!(err.contains("did you mean `stop`?"), "{err}");
        assert!(err.contains("[hello.toml:1:33]"), "{err}");
        assert!(err.ends_with("\nhello.toml: 1 error\n"), "{err}");
    }

    #[test]
    fn a_name_is_that_of_an_installed_workflow() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = CheckArgs { workflows: vec!["no-such-workflow".to_owned()] };
        let checked = run(&args, None, Style::Plain, &mut out, &mut err).unwrap();
        assert_eq!((checked, out.len()), (Checked::Missing, 0));
        let err = String::from_utf8(err).unwrap();
        assert!(
            err.starts_with("pushflow: there is no workflow no-such-workflow: looked for no-such-workflow.toml in "),
            "{err}"
        );
    }

    #[test]
    fn a_file_with_warnings_is_valid() {
        let (checked, out, err) = check(
            "actors.r = { kind = 'router', item = 'x' }
            links = [{ from = 'start', to = 'r' }, { from = 'r', to = 'stop', port = true }]",
        );
        assert_eq!(checked, Checked::Valid);
        assert_eq!(out, "hello.toml: ok (1 actor, 2 links, 1 pool, 1 warning)\n");
        assert!(err.contains("has no link for other values"), "{err}");
    }
}
