//! The command line: one file or folder for each verb.

mod accounting;
mod check;
mod completions;
mod convert;
mod doctor;
mod exit;
mod graph;
mod history;
mod inputs;
mod load;
mod locate;
mod logging;
mod manual;
mod new;
mod pools;
mod progress;
mod ps;
mod record;
mod run;
mod schema;
mod serve;
mod services;
mod show;
mod whose;
mod words;

pub use exit::Exit;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use signal_hook::consts::SIGPIPE;

use crate::config::Style;
use crate::log_queue;
use crate::process::sys;
use crate::text;

/// Runs workflow graphs and supervises all their processes.
#[derive(Debug, Parser)]
#[command(name = "pushflow", version, about, max_term_width = 100, after_help = AFTER_HELP, subcommand_value_name = "COMMAND")]
struct Cli {
    #[command(flatten)]
    logging: logging::LoggingArgs,

    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Example:
  pushflow run hello.toml -i name=World

Exit status:
  0 success · 1 the run failed · 2 wrong usage or invalid file · 3 no such workflow, run or service
  70 internal error of a service, which can be restarted · 124 timeout · 129, 130, 143 SIGHUP, SIGINT (Ctrl-C), SIGTERM";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a new workflow
    New(new::NewArgs),
    /// Run a workflow in the foreground and print its output as JSON
    Run(run::RunArgs),
    /// Show the processes of running workflows
    Ps(ps::PsArgs),
    /// Check workflow files for errors
    Check(check::CheckArgs),
    /// Draw a workflow
    Graph(graph::GraphArgs),
    /// Convert a pypushflow workflow class to a workflow file
    Convert(convert::ConvertArgs),
    /// Run an installed workflow as a service (started by pushflow@NAME.service)
    Serve(serve::ServeArgs),
    /// List installed workflows and their services
    List(services::ListArgs),
    /// Submit a run to a running service
    Submit(services::SubmitArgs),
    /// Show the status of a service
    Status(services::StatusArgs),
    /// Stop a service after its runs, or stop one run
    Stop(services::StopArgs),
    /// List recorded runs, newest first
    History(history::HistoryArgs),
    /// Show one recorded run: actors, errors, resource usage, timeline
    Show(show::ShowArgs),
    /// Test every kind of task in every type of pool
    CheckPools(pools::CheckPoolsArgs),
    /// Show which workers are daemonic
    CheckDaemonic(pools::CheckDaemonicArgs),
    /// Check that this host has what workflows need
    Doctor(doctor::DoctorArgs),
    /// Print the JSON Schema of workflow files, for editors
    #[command(after_help = schema::AFTER_HELP)]
    Schema,
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages to a folder
    Man(manual::ManArgs),
}

/// Appended to a message that is cut.
const TOO_LONG: &str = "the message is too long to be shown";

/// The definition of the command line, for the manual and for completion.
fn command() -> clap::Command {
    // `pushflow help VERB` prints the same as `pushflow VERB --help`.
    Cli::command().disable_help_subcommand(true)
}

/// The main function: parses the command line, runs the verb, prints its error.
pub fn main() -> ExitCode {
    completions::complete_for_shell();
    sys::set_what_is_relied_on();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap returns help and version as errors; they go to standard output, with status 0. An argument may come from
            // somebody else, through a script: control characters in it are escaped.
            let said = error.render().to_string();
            let is_foreign = std::env::args_os().any(|it| it.to_string_lossy().contains(text::is_active));
            let _ = match error.use_stderr() && (is_foreign || said.len() > text::ERROR) {
                true => writeln!(io::stderr(), "{}", text::error(said.trim_end(), TOO_LONG)),
                false => error.print(),
            };
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Finished.into() };
        }
    };
    // The checks provoke errors, which are part of their table.
    let checks = matches!(cli.verb, Verb::CheckPools(_) | Verb::CheckDaemonic(_));
    let service = if let Verb::Serve(args) = &cli.verb { Some(args.name()) } else { None };
    logging::init(&cli.logging, if checks { "off" } else { "info" }, service);
    let exit = match cli.verb {
        Verb::New(args) => new::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Ps(args) => ps::run(&args),
        Verb::Check(args) => check(&args),
        Verb::Graph(args) => graph::run(&args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::List(args) => services::list(&args),
        Verb::Submit(args) => services::submit(&args),
        Verb::Status(args) => services::status(&args),
        Verb::Stop(args) => services::stop(&args),
        Verb::History(args) => history::history(&args),
        Verb::Show(args) => show::show(&args),
        Verb::CheckPools(args) => pools::check_pools(&args),
        Verb::CheckDaemonic(args) => pools::check_daemonic(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => manual::run(&args),
        Verb::Schema => schema::run(&mut io::stdout().lock()).map(|()| Exit::Finished).map_err(cannot_write),
    };
    let exit = match exit {
        Ok(exit) => exit.into(),
        Err(Failure::Said(exit)) => exit.into(),
        Err(Failure::Because(exit, error)) => {
            let error = text::error(&format!("{error:#}"), TOO_LONG);
            logging::say(format!("pushflow: {error}\n"));
            exit.into()
        }
    };
    log_queue::flush();
    exit
}

fn check(args: &check::CheckArgs) -> Result<Exit, Failure> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let checked = check::run(args, locate::defaults_file().as_deref(), Style::for_stderr(), &mut out, &mut err);
    match checked.map_err(cannot_write)? {
        check::Checked::Valid => Ok(Exit::Finished),
        check::Checked::Invalid => Ok(Exit::Usage),
        check::Checked::Missing => Ok(Exit::NotFound),
    }
}

/// A closed pipe (`| head`) gives no message, only the status of SIGPIPE, as with other programs.
fn cannot_write(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Said(Exit::Signal(SIGPIPE)),
        _ => anyhow::Error::new(error).context("cannot write to standard output").into(),
    }
}

/// Why a verb failed, and the exit status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A message has been printed.
    Said(Exit),
    /// This message is printed.
    Because(Exit, anyhow::Error),
}

impl Failure {
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Failure::Because(Exit::Usage, error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Because(Exit::Error, error)
    }
}
