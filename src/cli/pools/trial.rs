//! Tests one pool with the real supervisor: a workflow of one actor, run once for each task.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value as Json;

use super::super::{Exit, Failure};
use super::{Candidate, PoolsArgs};
use crate::config;
use crate::engine::Status;
use crate::graph::Workflow;
use crate::payload::{ERROR_KEY, Payload, Plain, to_json};
use crate::process::sys::Pid;
use crate::process::tree;
use crate::supervisor::listing::{ListedProcess, ProcessKind};
use crate::supervisor::{Supervisor, SupervisorEvent};

const TASKS: &str = include_str!("tasks.py");
/// The folder of the modules is on `sys.path` of all processes that tasks start.
const MODULE: &str = "pushflow_pool_check";
/// Time that interrupted tasks and remaining processes have to end.
const GRACE: Duration = Duration::from_secs(2);

/// A temporary folder with the task. It is removed with the value.
pub(super) struct Trials {
    folder: PathBuf,
    python: Option<PathBuf>,
    timeout: Duration,
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// Its result.
    Returned(Json),
    /// The text of its error.
    Raised(String),
    /// It reached the time limit.
    TimedOut,
}

/// A pool under test.
pub(super) struct Trial {
    supervisor: Supervisor,
    timeout: Duration,
}

impl Trials {
    pub(super) fn new(args: &PoolsArgs) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("pushflow-check-{}", std::process::id()));
        let cannot = || format!("cannot write the tasks to {}", folder.display());
        DirBuilder::new().mode(0o700).create(&folder).with_context(cannot)?;
        let python = args.python.clone().map(std::path::absolute).transpose()?;
        let trials = Trials { folder: folder.clone(), python, timeout: args.timeout };
        fs::write(folder.join(format!("{MODULE}.py")), TASKS).with_context(cannot)?;
        Ok(trials)
    }

    /// A pool without workers. They start with the first task.
    pub(super) fn pool(&self, candidate: Candidate) -> anyhow::Result<Trial> {
        let mut workflow = self.workflow()?;
        let spec = &mut workflow.pools[0];
        spec.kind = candidate.kind;
        spec.context = candidate.context;
        spec.gevent = candidate.gevent;
        spec.grace = GRACE;
        spec.python = self.python.clone();
        let supervisor = Supervisor::new(Arc::new(workflow))?;
        Ok(Trial { supervisor, timeout: self.timeout })
    }

    fn workflow(&self) -> anyhow::Result<Workflow> {
        let text = format!(
            "links = [{{ from = 'start', to = 'task' }}, {{ from = 'task', to = 'stop' }}, \
             {{ from = 'task', to = 'stop', on_error = true }}]\n\
             pool.max_workers = 1\nactors.task.script = '{MODULE}.py'\n"
        );
        let loaded = config::load_str(&text, &self.folder.join("check.toml"));
        Ok(loaded.map_err(|errors| anyhow::anyhow!("{}", errors.render(config::Style::Plain)))?.workflow)
    }
}

impl Drop for Trials {
    fn drop(&mut self) {
        // If this fails, a small temporary file remains.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Trial {
    /// Runs one task.
    pub(super) fn run(&mut self, task: &str) -> Result<Ending, Failure> {
        let inputs = Payload::from_iter([("task".into(), Plain::Text(task.to_owned()).to_value())]);
        let run = self.supervisor.start_run(inputs, Some(self.timeout));
        loop {
            for happening in self.supervisor.turn(None).map_err(anyhow::Error::new)? {
                match happening {
                    SupervisorEvent::RunEnded { run: ended, status, output } if ended == run => {
                        return Ok(ending(&status, output.as_ref()));
                    }
                    SupervisorEvent::Signal(signal) => {
                        self.end()?;
                        return Err(Failure::Said(Exit::Signal(signal)));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether the process list of the supervisor shows a worker as daemonic. `None` if it is not in the list.
    pub(super) fn listed_as_daemonic(&mut self, pid: i64) -> Option<bool> {
        let listing = self.supervisor.listing();
        let worker = |process: &&ListedProcess| process.kind == ProcessKind::Worker && i64::from(process.pid) == pid;
        listing.processes.iter().find(worker).map(|process| process.daemonic)
    }

    /// Ends the pool. Returns the number of processes that had to be killed.
    pub(super) fn end(&mut self) -> Result<usize, Failure> {
        self.supervisor.abort_runs("the check was ended");
        let patience = Instant::now() + GRACE;
        self.supervisor.let_go();
        let mut left = tree::descendants(Pid::this()).len();
        while left > 0 && Instant::now() < patience {
            self.supervisor.turn(Some(patience)).map_err(anyhow::Error::new)?;
            left = tree::descendants(Pid::this()).len();
        }
        self.supervisor.shut_down(Duration::ZERO).map_err(anyhow::Error::new)?;
        Ok(left)
    }
}

fn ending(status: &Status, output: Option<&Payload>) -> Ending {
    if *status == Status::Timeout {
        return Ending::TimedOut;
    }
    let value = |key: &str| output.and_then(|output| output.get(&key.into())).and_then(to_json);
    match (value(ERROR_KEY), value("result")) {
        (None | Some(Json::Null), Some(result)) => Ending::Returned(result),
        (error, _) => {
            let text = error.as_ref().and_then(|error| error.get("errorMessage")).and_then(Json::as_str);
            Ending::Raised(text.unwrap_or("it ended without a result").to_owned())
        }
    }
}
