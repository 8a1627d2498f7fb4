//! `pushflow run`: one run in the foreground.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::SIGINT;
use tracing::{debug, info, warn};

use super::accounting::Report;
use super::inputs::InputArgs;
use super::progress::Progress;
use super::words::one_of;
use super::{Exit, Failure, history, load, record};
use crate::config::parse_duration;
use crate::engine::Status;
use crate::graph::{PoolType, Workers, Workflow};
use crate::history::RunError;
use crate::log_queue;
use crate::payload::{JsonObject, Payload};
use crate::pool::EscalationStep;
use crate::process::Signal;
use crate::process::guardian::{self, Guardian};
use crate::process::sys::EndedBySignals;
use crate::stop_policy::{Expired, Host, StopAction, StopPolicy};
use crate::supervisor::{
    CgroupUse, Supervisor, SupervisorError, SupervisorEvent, subtree_for, usage_of_the_supervisor,
};
use crate::text;

/// The arguments of `pushflow run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pushflow run hello.toml -i name=World
  pushflow run integrate.toml --inputs inputs.json --timeout 30m --output result.json
  pushflow run add.toml --arg 1 --arg 2

Ctrl-C interrupts the running tasks, a second Ctrl-C kills them. SIGTERM lets them finish within the
file's stop_timeout. SIGUSR1 writes the process tree to the log; `pushflow ps` shows it.")]
pub(super) struct RunArgs {
    /// A workflow file, or the name of an installed workflow
    #[arg(value_name = "FILE|NAME", value_hint = clap::ValueHint::FilePath)]
    workflow: String,

    #[command(flatten)]
    inputs: InputArgs,

    /// End the run after this long: 90s, 30m, 1h30m, or seconds [default: the file's]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,

    /// The type of the default pool [default: the file's]
    #[arg(long, value_name = "TYPE", value_parser = one_of::<PoolType>())]
    pool: Option<PoolType>,

    /// How many tasks run at once in the default pool [default: the file's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_workers: Option<u32>,

    /// Write the output here and not to standard output; `-` is standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print per-actor CPU, memory and I/O usage to standard error
    #[arg(long)]
    accounting: bool,

    /// Print the output of `--accounting` as JSON
    #[arg(long, requires = "accounting")]
    json: bool,

    /// Write per-actor usage to a file, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    accounting_file: Option<PathBuf>,

    /// Record the run in your history: see `pushflow history` and `pushflow show`
    #[arg(long)]
    history: bool,

    /// Check the file and the inputs, print what would run, and run nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let mut workflow = load::workflow(&args.workflow)?;
    if let Some(pool) = args.pool {
        let patched = pool == PoolType::Gevent;
        let default = &mut workflow.pools[0];
        default.gevent = patched || (default.gevent && default.kind != PoolType::Gevent);
        default.kind = pool;
    }
    if let Some(most) = args.max_workers {
        workflow.pools[0].workers = Workers::Fixed(most);
    }
    let inputs = args.inputs.over(&workflow.inputs).map_err(Failure::usage)?;
    if args.dry_run {
        return dry_run(&workflow, &inputs);
    }
    let output = Output::open(args.output.as_deref(), "output").map_err(Failure::usage)?;
    let accounts = args.accounting_file.as_deref().map(|path| Output::open(Some(path), "accounts"));
    let accounts = accounts.transpose().map_err(Failure::usage)?;
    let workflow = Arc::new(workflow);
    // From here on, this is a child of the process that the user started.
    let guardian = guardian::split().inspect_err(|error| {
        warn!("cannot guard the run ({error}): should the supervisor be killed, processes can be left behind");
    });
    // From here on, there are threads.
    log_queue::start().context("cannot start a thread for the log")?;
    let accounting = args.accounting || accounts.is_some();
    // A thread would not survive a later split.
    let recorded = args.history || workflow.record.record().is_some();
    let history = recorded.then(|| history::of_run(&workflow, &inputs, args.timeout)).flatten();
    let mut ended = Foreground::new(&workflow, guardian.ok(), accounting)?
        .run(inputs, args.timeout, history)
        .context("the supervisor failed")?;
    // Writing may have to wait for the reader. Nothing else runs, so a signal ends the process at once.
    let ended_by_signals = EndedBySignals::begin();
    log_queue::flush();
    // The result first: it is more important.
    output.write(&ended.output.as_deref().unwrap_or("null"))?;
    if let Some(report) = &ended.report {
        accounts.map_or(Ok(()), |file| file.write(&report.json()))?;
        if args.accounting {
            let lines = io::stderr().is_terminal();
            let text =
                if args.json { format!("{}\n", text::json(&report.json().to_string())) } else { report.table(lines) };
            io::stderr().write_all(text.as_bytes()).context("cannot write the accounts to standard error")?;
        }
    }
    drop(ended_by_signals);
    // The result is written before waiting for a server that may be away.
    ended.supervisor.end_recorder().context("the supervisor failed")?;
    Ok(Exit::of_run(&ended.status, ended.signal))
}

fn dry_run(workflow: &Workflow, inputs: &Payload) -> Result<Exit, Failure> {
    let mut text = format!("{} would run with:\n", text::line(&workflow.name));
    for (key, json) in JsonObject::without_python(inputs).iter() {
        text.push_str(&text::line(&format!("  {key} = {json}")));
        text.push('\n');
    }
    text.push_str("and these tasks:\n");
    for actor in workflow.actors.iter().filter(|actor| actor.kind.is_task()) {
        let pool = &workflow.pool(actor.pool).name;
        text.push_str(&text::line(&format!("  {} ({}, pool {pool})", actor.display_name(), actor.kind.word())));
        text.push('\n');
    }
    io::stderr().write_all(text.as_bytes()).context("cannot write to standard error")?;
    Ok(Exit::Finished)
}

/// Where the output goes. It is opened before the run, so that a wrong path does not cost hours of work.
enum Output {
    Stdout,
    /// What is written, for messages, and the path.
    File(&'static str, PathBuf, fs::File),
}

impl Output {
    fn open(path: Option<&std::path::Path>, what: &'static str) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|path| *path != std::path::Path::new("-")) else { return Ok(Output::Stdout) };
        // Not truncated yet: an earlier result stays until there is a new one.
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot write the {what} to {}", path.display()))?;
        Ok(Output::File(what, path.to_owned(), file))
    }

    fn write(self, output: &impl std::fmt::Display) -> Result<(), Failure> {
        let text = format!("{output}\n");
        match self {
            Output::Stdout => {
                let mut stdout = io::stdout().lock();
                // The result is lost here: that is an error, even if the reader has gone.
                stdout
                    .write_all(text::json(&text).as_bytes())
                    .and_then(|()| stdout.flush())
                    .context("cannot write the output to standard output")
                    .map_err(Failure::from)
            }
            // A device or pipe has no length.
            Output::File(what, path, mut file) => file
                .metadata()
                .and_then(|found| if found.is_file() { file.set_len(0) } else { Ok(()) })
                .and_then(|()| file.write_all(text.as_bytes()))
                .with_context(|| format!("cannot write the {what} to {}", path.display()))
                .map_err(Failure::from),
        }
    }
}

/// How a run in the foreground ended.
struct Ended {
    status: Status,
    signal: Option<i32>,
    /// The output as JSON, if there is one.
    output: Option<Arc<str>>,
    /// Its usage, if that was asked for.
    report: Option<Report>,
    /// The parent of the recorder.
    supervisor: Supervisor,
}

/// A run in the foreground: its supervisor, its progress, and what signals mean.
struct Foreground<'a> {
    supervisor: Supervisor,
    progress: Progress<'a>,
    stop: StopPolicy,
}

impl<'a> Foreground<'a> {
    fn new(workflow: &'a Arc<Workflow>, guardian: Option<Guardian>, accounting: bool) -> anyhow::Result<Self> {
        let subtree = subtree_for(workflow, CgroupUse { accounting, ask_systemd: true });
        let mut supervisor = Supervisor::new(Arc::clone(workflow))?;
        if let Some(guardian) = guardian {
            supervisor.watch_guardian(guardian)?;
        } else {
            supervisor.start_guard()?;
        }
        if let Some(subtree) = subtree {
            supervisor.use_subtree(subtree);
        }
        if accounting {
            supervisor.resources_mut().keep_accounts();
        }
        // The run does not need it.
        if let Err(error) = supervisor.open_status_socket() {
            debug!("pushflow ps cannot show this run: {error}");
        }
        let quiet = !tracing::enabled!(tracing::Level::INFO);
        let progress = Progress::new(workflow, quiet);
        Ok(Foreground { supervisor, progress, stop: StopPolicy::new(Host::Foreground) })
    }

    fn run(
        mut self,
        inputs: Payload,
        timeout: Option<Duration>,
        history: Option<history::Recorded>,
    ) -> Result<Ended, SupervisorError> {
        let started = Instant::now();
        // A recorded run has its number in the history.
        let run = match &history {
            Some(history) => {
                let record = self.supervisor.workflow().record.record().cloned();
                if let (Some(record), Some(file)) = (record, history.file()) {
                    self.supervisor.record_with(Some(record::command(&record, &file)));
                }
                history.record(&mut self.supervisor)
            }
            None => self.supervisor.new_run_id(),
        };
        self.supervisor.start_run_as(run, inputs, timeout);
        let mut error = None;
        let (status, output) = loop {
            let workflow = Arc::clone(self.supervisor.workflow());
            if let Some(ended) = self.turn(|happening| match happening {
                SupervisorEvent::RunEnded { run: ended, status, output } if ended == run => Some((status, output)),
                SupervisorEvent::Failed { actor, message, .. } => {
                    let actor = workflow.actor(actor).display_name().to_owned();
                    error = Some(RunError { actor, message, traceback: String::new() });
                    None
                }
                _ => None,
            })? {
                break ended;
            }
        };
        let elapsed = started.elapsed();
        // After a run that was ended early, only the grace time is waited for.
        let early = matches!(status, Status::Timeout | Status::Stopped | Status::Aborted);
        let grace = self.supervisor.grace();
        let output = match output {
            None => None,
            Some(output) => Some(Arc::from(self.describe(&output, early.then_some(grace))?.to_string())),
        };
        self.progress.finish();
        let stop_timeout = self.supervisor.workflow().service.stop_timeout;
        let patience = self.stop.patience(Instant::now(), early, grace, stop_timeout);
        self.supervisor.shut_down(patience)?;
        // Nothing is left to supervise: the disk may take its time.
        self.supervisor.leave_loop();
        self.log_orphans();
        if let Some(history) = history {
            history.end(&self.supervisor, &status, output.clone(), error);
        }
        let report = self.supervisor.resources_mut().take_account(run).map(|account| {
            let (tree, itself) = (self.supervisor.resources().usage_of_the_tree(), usage_of_the_supervisor());
            let end = (&status, elapsed);
            Report::new(
                self.supervisor.workflow(),
                end,
                &account,
                self.supervisor.resources().workflow_account(),
                itself,
                tree.as_ref(),
            )
        });
        Ok(Ended { status, signal: self.stop.signal(), output, report, supervisor: self.supervisor })
    }

    /// Logs how many orphans there were: tasks should end their processes.
    fn log_orphans(&self) {
        let count = self.supervisor.orphan_count();
        let processes = |count: usize| if count == 1 { "1 process".to_owned() } else { format!("{count} processes") };
        if count.ended > 0 {
            info!("tasks had left {} behind, which pushflow ended", processes(count.ended));
        }
        if count.left > 0 {
            info!("leave_children: {} ran beside the run", processes(count.left));
        }
    }

    /// The output as JSON. Values that only a worker can write are left out after `patience`, or at a signal.
    fn describe(&mut self, output: &Payload, patience: Option<Duration>) -> Result<JsonObject, SupervisorError> {
        self.stop.on_output(patience.and_then(|patience| Instant::now().checked_add(patience)));
        self.supervisor.describe(output);
        loop {
            if let Some(json) = self.turn(|happening| match happening {
                SupervisorEvent::Described(json) => Some(json),
                _ => None,
            })? {
                return Ok(json);
            }
        }
    }

    /// One turn of the supervisor. Returns the first event that `pick` accepts.
    fn turn<T>(&mut self, mut pick: impl FnMut(SupervisorEvent) -> Option<T>) -> Result<Option<T>, SupervisorError> {
        let mut picked = None;
        let wake = self.stop.next_time().into_iter().chain([self.progress.next_time()]).min();
        for happening in self.supervisor.turn(wake)? {
            self.progress.on_happening(&happening);
            match happening {
                SupervisorEvent::Signal(signal) => self.on_signal(signal),
                happening => picked = picked.or_else(|| pick(happening)),
            }
        }
        match self.stop.on_time(Instant::now()) {
            Some(Expired::Output) => {
                warn!("no worker could write the output in time: values that need one are left out");
                self.supervisor.hurry_descriptions();
            }
            Some(Expired::Tasks) => {
                warn!("the running tasks have not finished in time: killing them");
                self.supervisor.escalate_tasks(EscalationStep::Terminate);
            }
            None => {}
        }
        self.progress.show();
        Ok(picked)
    }

    fn on_signal(&mut self, signal: i32) {
        let stop_timeout = self.supervisor.workflow().service.stop_timeout;
        match self.stop.on_signal(signal, Instant::now(), stop_timeout) {
            // A foreground run is never reloaded.
            StopAction::Reload => {}
            StopAction::SkipOutput => {
                info!("not waiting for the whole output: values that need a worker are left out");
                self.supervisor.hurry_descriptions();
            }
            StopAction::Stop => {
                info!("SIGTERM: no new task starts, running tasks may finish within {stop_timeout:?}");
                self.supervisor.stop_runs("the workflow was stopped by SIGTERM");
                self.supervisor.escalate_daemonic_tasks(EscalationStep::Terminate);
            }
            StopAction::Interrupt => {
                let reason = match signal {
                    SIGINT => {
                        info!("interrupting the running tasks; press Ctrl-C again to kill them");
                        "the workflow was interrupted by SIGINT"
                    }
                    _ => {
                        info!("the terminal is gone: interrupting the running tasks");
                        "the workflow was interrupted by SIGHUP"
                    }
                };
                self.supervisor.abort_runs(reason);
                self.supervisor.signal_leftovers(Signal::SIGINT);
            }
            StopAction::Kill => {
                info!("killing the running tasks");
                self.supervisor.abort_runs("the workflow was interrupted twice");
                self.supervisor.escalate_tasks(EscalationStep::Terminate);
                self.supervisor.signal_leftovers(Signal::SIGTERM);
            }
        }
    }
}
