//! `pushflow completions`: completion scripts for shells.
//!
//! A script is a few lines that run pushflow with what has been typed so far. Only pushflow knows the current workflows, runs and
//! services.

mod values;

use std::io::{self, Write};

use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::{Exit, Failure, cannot_write, command};

/// The arguments of `pushflow completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The packages install the scripts. Without packages:
  pushflow completions bash > ~/.local/share/bash-completion/completions/pushflow
  pushflow completions zsh > ~/.zfunc/_pushflow         (with fpath+=~/.zfunc before compinit)
  pushflow completions fish > ~/.config/fish/completions/pushflow.fish

Example:
  source <(pushflow completions bash)")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: ShellArg,
}

/// The supported shells.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShellArg {
    Bash,
    Zsh,
    Fish,
}

/// The variable that tells pushflow to complete a command line.
const VARIABLE: &str = "PUSHFLOW_COMPLETE";
/// zsh loads the script as the function `_pushflow`, and runs it at the first completion, which needs a result as well.
const ZSH_FIRST: &str = "[[ ${funcstack[1]} == _pushflow ]] && _clap_dynamic_completer_pushflow\n";

/// Completes a command line and exits, if a shell asks for that.
pub(super) fn complete_for_shell() {
    CompleteEnv::with_factory(|| hinted(command())).var(VARIABLE).complete();
}

pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let (shell, more): (&dyn EnvCompleter, &str) = match args.shell {
        ShellArg::Bash => (&Bash, ""),
        ShellArg::Zsh => (&Zsh, ZSH_FIRST),
        ShellArg::Fish => (&Fish, ""),
    };
    let mut script = Vec::new();
    let written = shell.write_registration(VARIABLE, "pushflow", "pushflow", "pushflow", &mut script);
    script.extend(more.as_bytes());
    let mut stdout = io::stdout().lock();
    written.and_then(|()| stdout.write_all(&script)).and_then(|()| stdout.flush()).map_err(cannot_write)?;
    Ok(Exit::Finished)
}

/// The command line with the possible values of its arguments. Shells complete file names for values without a hint, so these are
/// marked as "not a file".
fn hinted(command: Command) -> Command {
    let verb = command.get_name().to_owned();
    let hint = |argument: Arg| match argument.get_value_hint() {
        _ if !argument.get_action().takes_values() => argument,
        ValueHint::Unknown => values::with_values(&verb, argument.value_hint(ValueHint::Other)),
        _ => values::with_values(&verb, argument),
    };
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.into_iter().fold(command.mut_args(hint), |command, verb| command.mut_subcommand(verb, hinted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_options_that_take_a_file_complete_file_names() {
        let command = hinted(command());
        let verbs =
            command.get_subcommands().flat_map(|verb| verb.get_arguments().map(move |it| (verb.get_name(), it)));
        let files = verbs.filter(|(_, argument)| {
            let hint = argument.get_value_hint();
            argument.get_action().takes_values() && !matches!(hint, ValueHint::Other | ValueHint::Hostname)
        });
        let files: Vec<String> = files.map(|(verb, argument)| format!("{verb} {}", argument.get_id())).collect();
        let wanted = [
            "run workflow",
            "run file",
            "run output",
            "run accounting_file",
            "check workflows",
            "graph workflow",
            "graph output",
            "convert python",
            "submit file",
            "show timeline",
            "show trace",
            "check-pools python",
            "check-daemonic python",
            "doctor workflows",
            "man folder",
        ];
        assert_eq!(files, wanted);
    }
}
