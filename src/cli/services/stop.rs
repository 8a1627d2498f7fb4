//! `pushflow stop`: ends a service, or one of its runs.

use anyhow::anyhow;

use super::PlaceArgs;
use super::client::{Clients, is_unknown_object};
use super::text::print;
use crate::cli::{Exit, Failure};
use crate::supervisor::RunId;

/// The arguments of `pushflow stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without RUN the service takes no more runs, finishes those it has accepted, queued ones too, and ends; with --abort it aborts
them. A run that is stopped starts nothing new and finishes its running tasks; one that is aborted interrupts them.

Examples:
  pushflow stop integrate           no more runs; end after those accepted
  pushflow stop integrate --abort   end now
  pushflow stop integrate 12        stop run 12")]
pub(in crate::cli) struct StopArgs {
    /// The service
    name: String,

    /// One run of it, by its number
    run: Option<u64>,

    /// Interrupt what is running
    #[arg(long)]
    abort: bool,

    /// Why, for the log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    #[command(flatten)]
    place: PlaceArgs,
}

pub(in crate::cli) fn stop(args: &StopArgs) -> Result<Exit, Failure> {
    let (name, reason) = (args.name.as_str(), args.reason.as_str());
    zbus::block_on(async {
        let clients = Clients::connect(&args.place).await?;
        let client = clients.the_one_with(name).await?;
        match args.run {
            Some(run) => {
                let proxy = client.run(name, RunId(run)).await?;
                let done = if args.abort { proxy.abort(reason).await } else { proxy.stop(reason).await };
                done.map_err(|error| match is_unknown_object(&error) {
                    true => Failure::Because(Exit::NotFound, anyhow!("{name} has no run {run}")),
                    false => client.explain(name, &error),
                })?;
                print(&format!("run {run} of {name} is {}", if args.abort { "aborted" } else { "stopping" }))?;
            }
            None => {
                let workflow = client.workflow(name).await?;
                let explain = |error: zbus::Error| client.explain(name, &error);
                workflow.drain().await.map_err(explain)?;
                if args.abort {
                    workflow.abort(reason).await.map_err(explain)?;
                }
                let how = if args.abort { "its runs are aborted" } else { "it ends after the runs it has accepted" };
                print(&format!("{name} takes no more runs: {how}"))?;
            }
        }
        Ok(Exit::Finished)
    })
}
