//! `pushflow ps`: shows the process trees of running workflows, in the foreground and as services.

mod local;
mod table;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::locate::Whose;
use super::services::{PlaceArgs, Services};
use super::{Exit, Failure, cannot_write};
use crate::supervisor::listing::Listing;
use crate::supervisor::status_socket::runtime_folders;
use crate::systemd::escape::unit_for_shell;
use crate::text;
use table::{Screen, as_tables};

/// Interval of `--watch`.
const EVERY: Duration = Duration::from_secs(1);

/// The arguments of `pushflow ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
By default, lists foreground runs of this user, and services of the system and of this user. \
D marks daemonic processes, which are terminated when their parent ends. N marks others, which are waited for. \
* marks processes that the Python process that started them did not announce.

Examples:
  pushflow ps
  pushflow ps integrate --watch

Exit status 3 if nothing is running.")]
pub(super) struct PsArgs {
    /// A workflow, a service, or the process id of one [default: all]
    #[arg(value_name = "NAME|PID")]
    which: Option<String>,

    #[command(flatten)]
    place: PlaceArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Repeat every second until nothing runs any more
    #[arg(short, long)]
    watch: bool,
}

/// A process tree of a run or a service.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) listing: Listing,
    /// `None` for a foreground run.
    pub(super) service: Option<ServiceFacts>,
}

/// What a service reports about itself.
#[derive(Debug, Serialize)]
pub(super) struct ServiceFacts {
    /// `system` or `user`.
    pub(super) bus: &'static str,
    pub(super) state: String,
    pub(super) active_runs: u64,
    pub(super) queued_runs: u64,
}

pub(super) fn run(args: &PsArgs) -> Result<Exit, Failure> {
    let services = Services::of(&args.place)?;
    let mut first = true;
    loop {
        let shown = args.running(&services)?;
        if shown.is_empty() && first {
            return Err(args.nothing(&services));
        }
        if shown.is_empty() {
            return Ok(Exit::Finished);
        }
        let text = if args.json {
            let json = serde_json::to_string(&shown).context("cannot write the list as JSON")?;
            format!("{}\n", text::json(&json))
        } else {
            let screen = io::stdout().is_terminal().then(Screen::now);
            let text = as_tables(&shown, screen.as_ref());
            match &screen {
                Some(screen) if args.watch => screen.redrawn(&text, first),
                _ if args.watch && !first => format!("\n{text}"),
                _ => text,
            }
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(cannot_write)?;
        drop(out);
        if !args.watch {
            return Ok(Exit::Finished);
        }
        first = false;
        std::thread::sleep(EVERY);
    }
}

impl PsArgs {
    fn wants(&self, name: &str, pids: &[i32]) -> bool {
        self.which.as_ref().is_none_or(|which| which == name || which.parse().is_ok_and(|pid| pids.contains(&pid)))
    }

    /// What is running and matches, the oldest first.
    fn running(&self, services: &Services) -> Result<Vec<Shown>, Failure> {
        let mut shown: Vec<Shown> = match self.place.is_particular() {
            true => Vec::new(),
            false => local::running().into_iter().map(|listing| Shown { listing, service: None }).collect(),
        };
        // The owner of a process id is known only after listing.
        let pid = self.which.as_ref().is_some_and(|which| which.parse::<i32>().is_ok());
        shown.extend(services.running(self.which.as_deref().filter(|_| !pid))?);
        shown.retain(|it| self.wants(&it.listing.workflow, &[it.listing.pid, it.listing.supervisor]));
        shown.sort_by_key(|it| {
            let age = it.listing.processes.iter().map(|process| process.age_msec).max();
            (std::cmp::Reverse(age), it.listing.pid)
        });
        Ok(shown)
    }

    /// The error if nothing that matches is running.
    fn nothing(&self, services: &Services) -> Failure {
        let Some(which) = self.which.as_ref() else {
            let what = match self.place.is_particular() {
                true => format!("no service is running ({})", services.looked()),
                false => nowhere("nothing is running", services),
            };
            return Failure::Because(Exit::NotFound, anyhow!(what));
        };
        if self.place.is_particular() {
            return services.not_running(which);
        }
        let installed = [Whose::System, Whose::User].into_iter().find(|whose| whose.workflow_file(which).is_ok());
        let start = installed
            .map(|whose| format!("; to start it as a service: {} start {}", whose.systemctl(), unit_for_shell(which)));
        let what = nowhere(&format!("{which} is not running"), services);
        Failure::Because(Exit::NotFound, anyhow!("{what}{}", start.unwrap_or_default()))
    }
}

fn nowhere(what: &str, services: &Services) -> String {
    let folders: Vec<String> = runtime_folders().iter().map(|folder| folder.display().to_string()).collect();
    let looked = services.looked();
    format!("{what} here, in the foreground (looked in {}) or as a service ({looked})", folders.join(", "))
}
