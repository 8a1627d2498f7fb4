//! Programs: exec tasks, one process each.

mod kept_output;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Token;
use nix::errno::Errno;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value as Json};

use super::event_loop::EventLoop;
use super::processes::{Child, ORIGIN_VARIABLE, origin_of};
use super::workers::{OutputContext, Outputs, System, Workers};
use super::{RunId, template};
use crate::cgroup::Leaf;
use crate::engine::{Failure, FailureKind, Outcome};
use crate::graph::{ActorId, Exec, PoolId, Stdout, Workflow};
use crate::payload::{ErrorClass, Payload, Plain, PythonError, Value, payload_from_json};
use crate::pool::WorkerId;
use crate::process::sys::{self, Pid, PidFd};
use crate::process::{self, Ended};

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

/// What a program is started for.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) task: (RunId, ActorId),
    pub(super) exec: &'a Exec,
    pub(super) payload: &'a Payload,
    /// What it reads on standard input.
    pub(super) stdin: Option<&'a str>,
}

/// A program that has ended, and what it has printed.
#[must_use]
pub(super) struct EndedProgram {
    pub(super) pid: Pid,
    pub(super) actor: ActorId,
    ended: Ended,
    last_lines: Vec<String>,
    printed: Option<Printed>,
}

/// Why a program cannot be started.
pub(super) struct CannotStart {
    pub(super) why: String,
    /// Because of a shortage, which the end of other programs may relieve.
    pub(super) short: bool,
}

impl CannotStart {
    pub(super) fn because(why: impl Into<String>) -> Self {
        CannotStart { why: why.into(), short: false }
    }

    fn of(error: &io::Error, why: String) -> Self {
        CannotStart { why, short: is_shortage(error) }
    }
}

fn unwatched(error: io::Error) -> CannotStart {
    CannotStart::of(&error, format!("cannot watch what the program prints: {error}"))
}

impl Programs {
    /// Starts a program.
    pub(super) fn start(
        &mut self,
        id: (PoolId, WorkerId),
        Task { task, exec, payload, stdin }: Task<'_>,
        workers: &mut Workers,
        system: &mut System<'_>,
        workflow: &Workflow,
    ) -> Result<(), CannotStart> {
        let kept = match exec.stdout {
            Stdout::Log => None,
            Stdout::Key(_) | Stdout::Json => {
                let (read, write) = sys::pipe().map_err(unwatched)?;
                Some((self.kept_outputs.watch(read, system.event_loop).map_err(unwatched)?, write))
            }
        };
        let started = start(id, Task { task, exec, payload, stdin }, kept.as_ref(), workers, system, workflow);
        match started {
            Ok(program) => {
                self.running.insert(id, program);
                Ok(())
            }
            Err(error) => {
                if let Some((token, _)) = kept {
                    self.kept_outputs.take(token, system.event_loop);
                }
                Err(error)
            }
        }
    }

    /// The process of a program was reaped.
    pub(super) fn on_reaped(
        &mut self,
        id: (PoolId, WorkerId),
        ended: Ended,
        outputs: &mut Outputs,
        event_loop: &mut EventLoop,
    ) -> Option<EndedProgram> {
        let Program { process, task, output, stdout } = self.running.remove(&id)?;
        let last_lines = outputs.take_last_lines(output, event_loop);
        let printed = stdout.and_then(|token| self.kept_outputs.take(token, event_loop));
        Some(EndedProgram { pid: process.0, actor: task.1, ended, last_lines, printed })
    }
}

fn start(
    id @ (pool, worker): (PoolId, WorkerId),
    Task { task, exec, payload, stdin }: Task<'_>,
    kept: Option<&(Token, OwnedFd)>,
    workers: &mut Workers,
    system: &mut System<'_>,
    workflow: &Workflow,
) -> Result<Program, CannotStart> {
    let (read, write) = sys::pipe().map_err(unwatched)?;
    let context = OutputContext { pool: Some(pool), task: Some(task), ..OutputContext::default() };
    // If the program cannot be started, the end of the pipe removes it.
    let output = workers.outputs.watch(read, context, system.event_loop).map_err(unwatched)?;
    let leaf = system.resources.cgroup_for_program(id, task.1, workflow).map_err(CannotStart::because)?;
    let cannot_run = |error: io::Error| CannotStart::of(&error, cannot_start(exec, payload, &error));
    let mut program = program_of(exec, payload, write.as_fd())?.env(ORIGIN_VARIABLE, origin_of(id));
    if let Some(text) = stdin {
        program = program.stdin(file_with(text).map_err(cannot_run)?);
    }
    if let Some((_, stdout)) = kept {
        program = program.stdout(stdout.as_fd());
    }
    let program = program.leaf(leaf.as_deref().map(Leaf::procs_fd));
    let (pid, pidfd) = workers.affinity.start(program).map_err(cannot_run)?;
    workers.outputs.keep_last_lines(output);
    workers.outputs.set_pid(output, pid.as_raw());
    system.processes.add_child(pid, Child::Program(pool, worker));
    Ok(Program { process: (pid, pidfd), task, output, stdout: kept.map(|(token, _)| *token) })
}

impl EndedProgram {
    /// What its end means for its task.
    pub(super) fn outcome(self, exec: &Exec) -> Outcome {
        program_outcome(exec, self.ended, self.printed, &self.last_lines)
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
            let why = process::start_failure(name.as_ref(), path.as_ref(), &exec.directory);
            let why = why.filter(|why| matches!(why, process::StartFailure::NoInterpreter(..)));
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
