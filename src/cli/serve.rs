//! `pushflow serve`: one workflow as a service.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use anyhow::Context;
use tracing::warn;

use super::whose::WhoseArgs;
use super::{Exit, Failure, history, load, record};
use crate::bus::{self, LoopHandle};
use crate::cgroup::Subtree;
use crate::graph::Workflow;
use crate::log_queue;
use crate::service::{Channels, End, Service, StatusSnapshot};
use crate::supervisor::{CgroupUse, Supervisor, subtree_for};
use crate::systemd::Notifier;
use crate::systemd::escape::name_of_instance;

/// The arguments of `pushflow serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Usually systemd starts it:
  systemctl start pushflow@hello
  systemctl --user start pushflow@hello

The section [service] of the workflow says whether it runs once (mode = \"run\") or waits for runs to be asked for (mode =
\"resident\"). SIGTERM stops it, SIGHUP reads the workflow file again.

Example:
  pushflow serve --user hello")]
pub(super) struct ServeArgs {
    /// The name of an installed workflow, plain or as systemd-escape writes it
    #[arg(value_parser = name)]
    name: String,

    #[command(flatten)]
    whose: WhoseArgs,

    /// Only check the workflow file
    #[arg(long)]
    check: bool,
}

impl ServeArgs {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The workflow's name. The instance of a unit is escaped if the name has spaces, for example.
fn name(instance: &str) -> Result<String, Infallible> {
    Ok(name_of_instance(instance))
}

pub(super) fn run(args: &ServeArgs) -> Result<Exit, Failure> {
    let whose = args.whose.whose();
    let file = whose.workflow_file(&args.name)?;
    let workflow = load::from_file(&file, whose.defaults_file().as_deref())?;
    if args.check {
        return Ok(Exit::Finished);
    }
    let workflow = Arc::new(workflow);
    let end = serve(args, Arc::clone(&workflow), file).map_err(|error| Failure::Because(Exit::Broken, error))?;
    Ok(match end {
        End::Asked => Exit::Finished,
        End::Run(status, signal) => Exit::of_run(&status, signal),
    })
}

fn serve(args: &ServeArgs, workflow: Arc<Workflow>, file: std::path::PathBuf) -> anyhow::Result<End> {
    let whose = args.whose.whose();
    log_queue::start().context("cannot start a thread for the log")?;
    let mut supervisor = Supervisor::new(Arc::clone(&workflow))?;
    supervisor.start_guard()?;
    // The unit delegates its cgroup. A service without one has no limits, and logs that.
    if let Some(subtree) = subtree_for(&workflow, CgroupUse { accounting: true, ask_systemd: false }) {
        supervisor.use_subtree(subtree);
    }
    let snapshot = Arc::new(StatusSnapshot::new(Arc::clone(&workflow)));
    let (request_sender, requests) = mpsc::channel();
    let (events, event_receiver) = async_channel::unbounded();
    let waker = Arc::new(supervisor.waker()?);
    let history = history::of_service(whose, &args.name, &workflow, Arc::clone(&waker))?;
    let recorded = history.as_ref().and_then(|_| history::file(whose, &args.name));
    let recorder = Box::new(move |workflow: &Workflow| match (workflow.record.record(), &recorded) {
        (Some(record), Some(file)) => Some(record::command(record, file)),
        (Some(_), None) => {
            warn!("runs are not recorded in MongoDB: [record] needs the history");
            None
        }
        (None, _) => None,
    });
    let to_loop = LoopHandle::new(request_sender, waker);
    let path = supervisor.control_group();
    let cgroup = path.as_deref().zip(supervisor.resources().subtree().map(Subtree::folder));
    let bus = bus::start(whose.bus(), &args.name, Arc::clone(&snapshot), to_loop, event_receiver, cgroup)
        .context("cannot start a thread")?;
    let load = Box::new(move || load::again(&file, whose.defaults_file().as_deref()));
    let mut service =
        Service::new(supervisor, snapshot, Channels { requests, events }, Rc::new(Notifier::default()), load);
    if let Some((history, refused)) = history {
        service.use_history(history, refused);
    }
    service.record_with(recorder);
    let end = service.serve().context("the supervisor failed")?;
    // The bus thread was told to disconnect. It is not waited for if the bus hangs.
    bus::wait_for(bus);
    Ok(end)
}
