//! Programs: exec tasks, one process each.

mod kept_output;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::Token;
use nix::errno::Errno;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value as Json};
use tracing::warn;

use super::jobs::{Job, failed};
use super::processes::{Child, ORIGIN_VARIABLE, origin_of};
use super::workers::OutputContext;
use super::{RunId, Supervisor, template};
use crate::cgroup::Leaf;
use crate::engine::{Failure, FailureKind, Outcome};
use crate::graph::{ActorId, Exec, Kind, PoolId, Stdout};
use crate::payload::{ErrorClass, Payload, Plain, PythonError, Value, payload_from_json};
use crate::pool::{JobId, WorkerId};
use crate::process::Ended;
use crate::process::sys::{self, Pid, PidFd, Signal};
use crate::process::{self};

use kept_output::{KeptOutputs, MOST_KEPT_OUTPUT, Printed};

/// The exit code of a shell that could not find the program.
const NOT_FOUND: i32 = 127;

/// The programs of all pools.
#[derive(Default)]
pub(super) struct Programs {
    running: FxHashMap<(PoolId, WorkerId), Program>,
    /// What they print that becomes a part of the payload.
    pub(super) kept_outputs: KeptOutputs,
}

impl Programs {
    pub(super) fn get(&self, id: (PoolId, WorkerId)) -> Option<&Program> {
        self.running.get(&id)
    }

    /// All programs that run.
    pub(super) fn all(&self) -> impl Iterator<Item = &Program> {
        self.running.values()
    }
}

/// A program that is running.
pub(super) struct Program {
    pub(super) process: (Pid, PidFd),
    /// Its run and actor.
    pub(super) task: (RunId, ActorId),
    /// What it prints. It is logged, and the last lines become a part of an error message.
    output: Token,
    /// Its standard output, if that becomes a part of the payload.
    stdout: Option<Token>,
}

/// Why a program cannot be started.
struct CannotStart {
    why: String,
    /// Because of a shortage, which the end of other programs may relieve.
    short: bool,
}

impl CannotStart {
    fn because(why: impl Into<String>) -> Self {
        CannotStart { why: why.into(), short: false }
    }

    fn of(error: &io::Error, why: String) -> Self {
        CannotStart { why, short: is_shortage(error) }
    }
}

fn unwatched(error: io::Error) -> CannotStart {
    CannotStart::of(&error, format!("cannot watch what the program prints: {error}"))
}

impl Supervisor {
    /// Starts a program in a slot of its pool.
    pub(super) fn launch_program(&mut self, pool: PoolId, worker: WorkerId, job: JobId) {
        if let Some(Job::Task { run, task, .. }) = self.jobs.get(&job) {
            let (run, task) = (*run, *task);
            self.tell_run(run, |engine, _| engine.on_task_started(task, Instant::now()));
        }
        let launched = self.pipe_for_output(job).and_then(|kept| {
            let launched = self.try_launch(pool, worker, job, kept.as_ref());
            if let (Err(_), Some((token, _))) = (&launched, kept) {
                self.programs.kept_outputs.take(token, &mut self.event_loop);
            }
            launched
        });
        if let Err(CannotStart { why, short }) = launched {
            self.resources.on_not_started((pool, worker));
            let waits = self.tell_pool(pool, |pool, effects| {
                let now = Instant::now();
                let waits = short && pool.on_program_not_started(worker, now, effects);
                if !waits {
                    pool.on_worker_ended(worker, now, effects);
                }
                waits
            });
            if waits {
                return self.program_waits(pool, job, &why);
            }
            self.not_started.push((job, failed(FailureKind::Raised, ErrorClass::ProgramFailed, why)));
        } else {
            self.record_start(pool, worker, job);
        }
    }

    /// A program could not be started because of a shortage. It waits until others have ended.
    fn program_waits(&mut self, pool: PoolId, job: JobId, why: &str) {
        if let Some(Job::Task { run, task, .. }) = self.jobs.get(&job) {
            let (run, task) = (*run, *task);
            self.tell_run(run, |engine, _| engine.on_task_put_back(task));
        }
        if self.pools[pool.index()].failed_launches() == 1 {
            let name = &self.workflow.pool(pool).name;
            warn!("pool {name}: {why}. The program waits for the end of others; pushflow tries again");
        }
    }

    /// The pipe for the standard output of a program, if that becomes a part of the payload.
    fn pipe_for_output(&mut self, job: JobId) -> Result<Option<(Token, OwnedFd)>, CannotStart> {
        let keeps = self.job_actor(job).is_some_and(|(_, actor)| match &self.workflow.actor(actor).kind {
            Kind::Exec(exec) => !matches!(exec.stdout, Stdout::Log),
            _ => false,
        });
        if !keeps {
            return Ok(None);
        }
        let (read, write) = sys::pipe().map_err(unwatched)?;
        Ok(Some((self.programs.kept_outputs.watch(read, &mut self.event_loop).map_err(unwatched)?, write)))
    }

    fn try_launch(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        job: JobId,
        kept: Option<&(Token, OwnedFd)>,
    ) -> Result<(), CannotStart> {
        let (read, write) = sys::pipe().map_err(unwatched)?;
        let Some(task @ (_, actor)) = self.job_actor(job) else {
            return Err(CannotStart::because("the task is gone"));
        };
        let context = OutputContext { pool: Some(pool), task: Some(task), ..OutputContext::default() };
        // If the program cannot be started, the end of the pipe removes it.
        let output = self.workers.outputs.watch(read, context, &mut self.event_loop).map_err(unwatched)?;
        let leaf = self.resources.cgroup_for_program((pool, worker), actor, &self.workflow);
        let leaf = leaf.map_err(CannotStart::because)?;
        let Some(Job::Task { payload, stdin, .. }) = self.jobs.get(&job) else {
            return Err(CannotStart::because("the task is gone"));
        };
        let Kind::Exec(exec) = &self.workflow.actor(actor).kind else {
            return Err(CannotStart::because("the actor starts no program"));
        };
        let cannot_run = |error: io::Error| CannotStart::of(&error, cannot_start(exec, payload, &error));
        let mut program = program_of(exec, payload, write.as_fd())?.env(ORIGIN_VARIABLE, origin_of((pool, worker)));
        if let Some(text) = stdin {
            program = program.stdin(file_with(text).map_err(cannot_run)?);
        }
        if let Some((_, stdout)) = kept {
            program = program.stdout(stdout.as_fd());
        }
        let program = program.leaf(leaf.as_deref().map(Leaf::door));
        let (pid, pidfd) = self.workers.affinity.start(program).map_err(cannot_run)?;
        drop(write);
        self.workers.outputs.keep_last_lines(output);
        self.workers.outputs.set_pid(output, pid.as_raw());
        self.processes.add_child(pid, Child::Program(pool, worker));
        self.resources.on_program_started((pool, worker), job, task);
        self.programs.running.insert(
            (pool, worker),
            Program { process: (pid, pidfd), task, output, stdout: kept.map(|(token, _)| *token) },
        );
        Ok(())
    }

    /// The process of a program was reaped.
    pub(super) fn on_program_reaped(&mut self, pool: PoolId, worker: WorkerId, ended: Ended) {
        let Some(program) = self.programs.running.remove(&(pool, worker)) else { return };
        self.task_is_over((pool, worker), Some(program.task.1), true, Duration::ZERO);
        let last_lines = self.workers.outputs.take_last_lines(program.output, &mut self.event_loop);
        let printed = program.stdout.and_then(|token| self.programs.kept_outputs.take(token, &mut self.event_loop));
        let oom = self.resources.out_of_memory((pool, worker), Some(ended));
        let orphan = self.tell_pool(pool, |pool, effects| pool.on_worker_ended(worker, Instant::now(), effects));
        let actor = orphan.and_then(|orphan| self.job_actor(orphan.job)).map(|(_, actor)| actor);
        self.resources.on_gone((pool, worker), actor.map(|actor| self.workflow.actor(actor).display_name()));
        let (Some(orphan), Some(actor)) = (orphan, actor) else { return };
        let outcome = match &self.workflow.actor(actor).kind {
            Kind::Exec(_) if orphan.interrupted && !matches!(ended, Ended::Exited(0)) => {
                let message = format!("the program was interrupted: it {ended}");
                failed(FailureKind::Interrupted, ErrorClass::TaskInterrupted, message)
            }
            Kind::Exec(exec) => match (&oom, program_outcome(exec, ended, printed, &last_lines)) {
                (Some(oom), Outcome::Failed(_)) => {
                    self.ran_out_of_memory((pool, Some(program.process.0)), orphan.job, oom, FailureKind::Raised)
                }
                (_, outcome) => outcome,
            },
            _ => return,
        };
        self.job_ended(orphan.job, outcome);
    }

    /// Signals a program and all below it, deepest first.
    pub(super) fn signal_program(&mut self, pool: PoolId, worker: WorkerId, signal: Signal) {
        if self.programs.get((pool, worker)).is_none() {
            return;
        }
        if signal == Signal::SIGKILL {
            self.resources.kill((pool, worker));
        }
        self.signal_orphans_of(pool, worker, signal);
        if let Some(Program { process, .. }) = self.programs.get((pool, worker)) {
            self.processes.signal_tree(process, signal);
        }
    }
}

/// The program, with values of the payload in its arguments and environment.
fn program_of<'a>(
    exec: &'a Exec,
    payload: &Payload,
    output: BorrowedFd<'a>,
) -> Result<process::Program<'a>, CannotStart> {
    let fill = |text: &String| template::fill(text, payload).map_err(CannotStart::because);
    let argv = exec.command.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
    let [name, arguments @ ..] = argv.as_slice() else { return Err(CannotStart::because("the command is empty")) };
    let mut program = process::Program::new(name, output).args(arguments).directory(&exec.directory);
    for (variable, value) in &exec.env {
        program = program.env(variable, fill(value)?);
    }
    Ok(program)
}

fn cannot_start(exec: &Exec, payload: &Payload, error: &io::Error) -> String {
    let filled = |text: &String| template::fill(text, payload).unwrap_or_default();
    let argv: Vec<OsString> = exec.command.iter().map(filled).collect();
    let name = argv.first().cloned().unwrap_or_default();
    let path = exec.env.get("PATH").map(filled);
    let why = process::explain(&name, path.as_ref(), &exec.directory, error);
    let longest = argv.iter().enumerate().max_by_key(|(_, argument)| argument.len());
    let advice = match longest {
        Some((index, argument)) if error.kind() == io::ErrorKind::ArgumentListTooLong => format!(
            " (argument {index} has {} bytes; the system allows 128 KiB for one); give what is large in a file, or with \
             stdin = \"json\"",
            argument.len()
        ),
        _ => String::new(),
    };
    format!("cannot start {}: {why}{advice}", name.display())
}

/// Whether an error means that there are too many open files or processes.
fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN | Errno::ENOMEM))
}

fn file_with(text: &str) -> io::Result<File> {
    let mut file = File::from(sys::memory_file("pushflow-stdin")?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn program_outcome(exec: &Exec, ended: Ended, printed: Option<Printed>, last_lines: &[String]) -> Outcome {
    let name = &exec.command[0];
    let bytes = match printed {
        Some(Printed::Whole(bytes)) => bytes,
        None => Vec::new(),
        // However it ended: that nobody read the rest may have been the reason.
        Some(Printed::TooMuch) => {
            let most = MOST_KEPT_OUTPUT >> 20;
            let what =
                format!("{name} has printed more on standard output than the {most} MiB that can be kept: it {ended}");
            return program_failed(what, last_lines);
        }
    };
    let code = match ended {
        Ended::Exited(code) if exec.success_codes.contains(&code) => code,
        Ended::Exited(NOT_FOUND) => {
            // Shells, env(1) and the like use this code too. Often the program itself misses something.
            let path = exec.env.get("PATH").map(OsString::from);
            let why = process::obstacle(name.as_ref(), path.as_ref(), &exec.directory);
            let why = why.filter(|why| matches!(why, process::Obstacle::NoInterpreter(..)));
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            return program_failed(format!("{name} {ended}{why}"), last_lines);
        }
        _ => return program_failed(format!("{name} {ended}"), last_lines),
    };
    match collect(exec, bytes) {
        Ok(mut result) => {
            if let Some(key) = &exec.returncode_key {
                result.insert(key.as_str().into(), Plain::Int(i64::from(code)).to_value());
            }
            Outcome::Returned(result)
        }
        Err(why) => program_failed(format!("{name} {why}"), last_lines),
    }
}

fn program_failed(message: String, last_lines: &[String]) -> Outcome {
    let mut error = PythonError::new(ErrorClass::ProgramFailed, message);
    if !last_lines.is_empty() {
        error.traceback.push("The last lines that it printed:\n".to_owned());
        error.traceback.extend(last_lines.iter().map(|line| format!("  {line}\n")));
    }
    Outcome::Failed(Failure { kind: FailureKind::Raised, error })
}

/// What the standard output of a program adds to the payload.
fn collect(exec: &Exec, bytes: Vec<u8>) -> Result<Payload, String> {
    match &exec.stdout {
        Stdout::Log => Ok(Payload::new()),
        Stdout::Key(key) => Ok(Payload::from_iter([(key.as_str().into(), Value::from_os_bytes(bytes))])),
        Stdout::Json => match serde_json::from_slice::<Map<String, Json>>(&bytes) {
            Ok(object) => payload_from_json(&object).map_err(|why| format!("has printed what cannot be used: {why}")),
            Err(error) => {
                let start: String = String::from_utf8_lossy(&bytes[..bytes.len().min(800)]).chars().take(200).collect();
                Err(format!("has not printed one JSON object on standard output ({error}), but: {start:?}"))
            }
        },
    }
}
