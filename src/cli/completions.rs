//! `pushflow completions`: what a shell needs to complete the command line.

use std::io::{self, Write};

use clap::ValueEnum;
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
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "pushflow", &mut script);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&script).and_then(|()| stdout.flush()).map_err(cannot_write)?;
    Ok(Exit::Finished)
}
