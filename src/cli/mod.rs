//! The command line: one file per verb.

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

/// Runs workflow graphs and supervises every process of them.
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
  0 finished · 1 the run ended in error · 2 wrong usage or an invalid file · 3 no such workflow, run or service
  70 a service broke and may be started again · 124 timeout · 129, 130, 143 ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the files of a new workflow, to begin with
    New(new::NewArgs),
    /// Run a workflow in the foreground and print its output as JSON
    Run(run::RunArgs),
    /// Show the processes of the workflows that run here
    Ps(ps::PsArgs),
    /// Say what is wrong with workflow files, and where
    Check(check::CheckArgs),
    /// Draw a workflow
    Graph(graph::GraphArgs),
    /// Print a pypushflow workflow class as a workflow file
    Convert(convert::ConvertArgs),
    /// Run an installed workflow as a service: what pushflow@NAME.service starts
    Serve(serve::ServeArgs),
    /// List the installed workflows, and which are running as services
    List(services::ListArgs),
    /// Ask a running service for a run
    Submit(services::SubmitArgs),
    /// Say what a service is doing
    Status(services::StatusArgs),
    /// End a service after its runs, or one run of it
    Stop(services::StopArgs),
    /// List the runs that were recorded, newest first
    History(history::HistoryArgs),
    /// Show one recorded run: its actors, errors and resources; as a timeline
    Show(show::ShowArgs),
    /// Try every kind of task in every type of pool, with this host's Python
    CheckPools(pools::CheckPoolsArgs),
    /// Say which workers are daemonic, in their own eyes and in the supervisor's
    CheckDaemonic(pools::CheckDaemonicArgs),
    /// Say what this host lacks for running workflows, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// Print the JSON Schema of the workflow file, for editors
    #[command(after_help = schema::AFTER_HELP)]
    Schema,
    /// Print what a shell needs to complete this command
    Completions(completions::CompletionsArgs),
    /// Write the manual pages into a folder
    Man(manual::ManArgs),
}

/// Why a message is not shown whole.
const TOO_LONG: &str = "it is too long to be shown";

/// The command line, for those who describe it.
fn command() -> clap::Command {
    // `pushflow help VERB` says what `pushflow VERB --help` says.
    Cli::command().disable_help_subcommand(true)
}

/// The whole program: parses the command line, runs the verb, prints its error if it has one.
pub fn main() -> ExitCode {
    completions::complete_for_shell();
    sys::set_what_is_relied_on();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" that belong on standard output, with status 0. What else is wrong may be what
            // somebody else has written: a script passes it on.
            let said = error.render().to_string();
            let is_foreign = std::env::args_os().any(|it| it.to_string_lossy().contains(text::is_active));
            let _ = match error.use_stderr() && (is_foreign || said.len() > text::ERROR) {
                true => writeln!(io::stderr(), "{}", text::error(said.trim_end(), TOO_LONG)),
                false => error.print(),
            };
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Finished.into() };
        }
    };
    // What a check prints is its table; the errors that it provokes are in there.
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

/// A reader that wants no more (`| head`) needs no message: the status says it, as that of other programs does.
fn cannot_write(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Said(Exit::Signal(SIGPIPE)),
        _ => anyhow::Error::new(error).context("cannot write to standard output").into(),
    }
}

/// Why a verb could not do its work, and the status to exit with.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The user has been told.
    Said(Exit),
    /// The user is told this.
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
