//! Opens the history that a service or a foreground run writes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use mio::Waker;
use tracing::{info, warn};

use super::{FILE, place};
use crate::cli::locate::Whose;
use crate::engine::Status;
use crate::graph::Workflow;
use crate::history::{
    History, NewRun, RefusedRuns, Requester, RunClock, RunEnd, RunError, RunRequest, Settings, Withdrawal, WriterReply,
};
use crate::payload::{JsonObject, Payload};
use crate::supervisor::{RunId, Supervisor};
use crate::systemd::escape::name_of_instance;

/// Maximum time that a foreground run waits for the disk, before its first task and at its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The history of a service, unless it is disabled.
pub(in crate::cli) fn of_service(
    whose: Whose,
    name: &str,
    workflow: &Workflow,
    waker: Arc<Waker>,
) -> anyhow::Result<Option<(History, RefusedRuns)>> {
    if !workflow.history.enabled {
        info!("[history] enabled = false: what is accepted is lost with the supervisor");
        return Ok(None);
    }
    let Some(file) = super::file(whose, name) else {
        warn!("there is no history: neither XDG_STATE_HOME nor HOME says where to put it");
        return Ok(None);
    };
    let refused = RefusedRuns::in_folder(whose.runtime_folder(name));
    let settings = Settings {
        on_crash: Some(workflow.service.on_crash),
        refused: refused.clone(),
        private: whose == Whose::User,
        ..settings(file, workflow)
    };
    let wake = Box::new(move || {
        // If waking fails, the loop still continues after its timeout.
        let _ = waker.wake();
    });
    Ok(Some((History::start(settings, wake).context("cannot start a thread")?, refused)))
}

fn settings(path: std::path::PathBuf, workflow: &Workflow) -> Settings {
    let (keep, max_size) = (workflow.history.keep, workflow.history.max_size);
    let file = place::real(&workflow.file);
    Settings { path, file, private: true, keep, max_size, on_crash: None, refused: RefusedRuns::default(), pulse: None }
}

/// A recorded foreground run.
pub(in crate::cli) struct Recorded {
    history: History,
    run: u64,
    name: String,
    clock: RunClock,
}

/// Records a foreground run in the user's history of the workflow. If the history cannot be written, the run continues with a
/// warning.
pub(in crate::cli) fn of_run(workflow: &Workflow, inputs: &Payload, timeout: Option<Duration>) -> Option<Recorded> {
    let recorded = try_of_run(workflow, inputs, timeout);
    recorded.inspect_err(|why| warn!("the run is not recorded: {why:#}")).ok()
}

fn try_of_run(workflow: &Workflow, inputs: &Payload, timeout: Option<Duration>) -> anyhow::Result<Recorded> {
    let folder = Whose::User.state_folder().ok_or_else(|| anyhow!("neither XDG_STATE_HOME nor HOME is set"))?;
    let name = place::of_file(&folder, &workflow.file);
    let clock = RunClock::start();
    let mut history = History::start(settings(folder.join(&name).join(FILE), workflow), Box::new(|| {}))?;
    let request = RunRequest {
        inputs: inputs.clone(),
        inputs_json: JsonObject::without_python(inputs).to_string().into(),
        timeout,
        requester: Requester::from_environment(),
        queued_at: clock.started_at(),
        ..RunRequest::default()
    };
    let run = Arc::new(NewRun {
        request: Arc::new(request),
        workflow: workflow.name.clone(),
        begins: true,
        survives: false,
        definition: None,
        withdrawal: Withdrawal::default(),
    });
    let write = history.accept(Arc::clone(&run));
    loop {
        match history.wait_for_reply(PATIENCE) {
            Some(WriterReply::Written(id, Ok(run))) if id == write => {
                return Ok(Recorded { history, run, name, clock });
            }
            Some(WriterReply::Written(id, Err(why))) if id == write => return Err(why.into()),
            // It is on the disk already: the reply is on its way.
            None if !run.withdrawal.withdraw() => {}
            Some(_) => {}
            None => return Err(anyhow!("the disk does not answer")),
        }
    }
}

impl Recorded {
    /// Its path.
    pub(in crate::cli) fn file(&self) -> Option<std::path::PathBuf> {
        Some(Whose::User.state_folder()?.join(&self.name).join(FILE))
    }

    /// Starts recording of tasks. Returns the number of the run.
    pub(in crate::cli) fn record(&self, supervisor: &mut Supervisor) -> RunId {
        supervisor.record_tasks(self.history.tasks(), false);
        RunId(self.run)
    }

    /// The run has ended.
    pub(in crate::cli) fn end(
        mut self,
        supervisor: &Supervisor,
        status: &Status,
        outputs: Option<Arc<str>>,
        error: Option<RunError>,
    ) {
        let (figures, actors) = supervisor.figures(RunId(self.run)).unwrap_or_default();
        let end = RunEnd {
            run: self.run,
            status: status.clone().into(),
            at: self.clock.now(),
            outputs,
            error,
            figures,
            actors,
        };
        self.history.end(end);
        if self.history.close(PATIENCE) {
            info!("recorded as {}/{}", name_of_instance(&self.name), self.run);
        } else {
            warn!("the disk of the history does not answer: the end of the run is not in it");
        }
    }
}
