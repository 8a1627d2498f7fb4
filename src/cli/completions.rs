//! `pushflow completions`: what a shell needs to complete the command line.

use std::io::{self, Write};

use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::{Exit, Failure, cannot_write, command};

/// The arguments of `pushflow completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The packages install them. Without packages:
  pushflow completions bash > ~/.local/share/bash-completion/completions/pushflow
  pushflow completions zsh > ~/.zfunc/_pushflow         (with fpath+=~/.zfunc before compinit)
  pushflow completions fish > ~/.config/fish/completions/pushflow.fish

Example:
  source <(pushflow completions bash)")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: ShellArg,
}

/// The shells that are found on beamline hosts.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShellArg {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let shell = match args.shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Zsh => Shell::Zsh,
        ShellArg::Fish => Shell::Fish,
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&script(shell)).and_then(|()| stdout.flush()).map_err(cannot_write)?;
    Ok(Exit::Finished)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut hinted(command()), "pushflow", &mut script);
    script
}

/// A shell takes a value for a file where nobody says that it is none.
fn hinted(command: Command) -> Command {
    let hint = |argument: Arg| match argument.get_value_hint() {
        ValueHint::Unknown if argument.get_action().takes_values() => argument.value_hint(ValueHint::Other),
        _ => argument,
    };
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.into_iter().fold(command.mut_args(hint), |command, verb| command.mut_subcommand(verb, hinted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_completes_files_only_where_a_file_is_meant() {
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
            "check files",
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

    #[test]
    fn the_statuses_of_runs_are_completed() {
        for (shell, wanted) in [
            (Shell::Bash, "compgen -W \"finished error failed timeout stopped aborted interrupted running queued\""),
            (Shell::Zsh, "(finished error failed timeout stopped aborted interrupted running queued)"),
        ] {
            let script = String::from_utf8(script(shell)).expect("scripts are text");
            assert!(script.contains(wanted), "{shell}");
        }
    }
}
