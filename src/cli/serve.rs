//! `pushflow serve`: one workflow as a service.

use std::rc::Rc;
use std::sync::{Arc, mpsc};

use anyhow::Context;

use super::whose::WhoseArgs;
use super::{Exit, Failure, history, load};
use crate::bus::{self, Loop};
use crate::service::{Board, End, Line, Service};
use crate::supervisor::{CgroupUse, Supervisor, subtree_for};
use crate::systemd::Notifier;

/// The arguments of `pushflow serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Usually systemd starts it:
  systemctl start pushflow@hello
  systemctl --user start pushflow@hello

The section [service] of the workflow says whether it runs once (mode = \"run\") or waits for runs to be asked for (mode =
\"resident\"). SIGTERM stops it, SIGHUP reads the workflow file again.")]
pub(super) struct ServeArgs {
    /// The name of an installed workflow
    name: String,

    #[command(flatten)]
    whose: WhoseArgs,

    /// Only say what is wrong with the workflow file
    #[arg(long)]
    check: bool,
}

impl ServeArgs {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
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

fn serve(args: &ServeArgs, workflow: Arc<crate::graph::Workflow>, file: std::path::PathBuf) -> anyhow::Result<End> {
    let whose = args.whose.whose();
    let mut supervisor = Supervisor::new(Arc::clone(&workflow))?;
    // The unit delegates its cgroup; a service that runs without one has no limits, and says so.
    if let Some(subtree) = subtree_for(&workflow, CgroupUse::default()) {
        supervisor.use_subtree(subtree);
    }
    let board = Arc::new(Board::new(Arc::clone(&workflow)));
    let (ask, requests) = mpsc::channel();
    let (notices, told) = async_channel::unbounded();
    let waker = Arc::new(supervisor.waker()?);
    let history = history::of_service(whose, &args.name, &workflow, Arc::clone(&waker))?;
    let to_loop = Loop::new(ask, waker);
    let bus =
        bus::start(whose.bus(), &args.name, Arc::clone(&board), to_loop, told).context("cannot start a thread")?;
    let load = Box::new(move || load::again(&file, whose.defaults_file().as_deref()));
    let mut service = Service::new(supervisor, board, Line { requests, notices }, Rc::new(Notifier::default()), load);
    if let Some(history) = history {
        service.keep(history);
    }
    let end = service.serve().context("the supervisor failed")?;
    // Soon: it was told to let go. A bus that hangs is not waited for.
    bus::wait_for(bus);
    Ok(end)
}
