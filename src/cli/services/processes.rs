//! The processes of services, over D-Bus, for `pushflow ps`.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use zbus::Variant;

use super::PlaceArgs;
use super::client::{Client, Clients};
use super::proxies::Properties;
use super::text::{number, text};
use crate::bus::names;
use crate::cli::Failure;
use crate::cli::ps::{ServiceFacts, Shown};
use crate::supervisor::listing::{ListedProcess, Listing, ProcessKind};
use crate::text as safe;

/// The searched buses.
pub(in crate::cli) struct Services(Clients);

impl Services {
    /// The services that are meant. Unless they were asked for explicitly, a missing bus means that there are none.
    pub(in crate::cli) fn of(place: &PlaceArgs) -> Result<Self, Failure> {
        let clients = zbus::block_on(async {
            match place.is_particular() {
                true => Clients::connect(place).await,
                false => Clients::within_reach(place).await,
            }
        });
        Ok(Services(clients?))
    }

    /// What is running: the services of this name, or all.
    pub(in crate::cli) fn running(&self, name: Option<&str>) -> Result<Vec<Shown>, Failure> {
        zbus::block_on(async {
            let mut shown = Vec::new();
            for client in self.0.iter() {
                // A bus that has gone has no services any more.
                let names = client.services().await.unwrap_or_default();
                for found in names.iter().filter(|found| name.is_none_or(|name| name == *found)) {
                    match look(client, found).await {
                        Ok(it) => shown.push(it),
                        Err(failure) if name.is_some() && client.has(found).await => return Err(failure),
                        Err(Failure::Because(_, error)) if client.has(found).await => {
                            eprintln!("pushflow: {}", safe::line(&format!("{error:#}")));
                        }
                        // It has ended meanwhile.
                        Err(_) => {}
                    }
                }
            }
            Ok(shown)
        })
    }

    /// The error that a service is not running, with how to start it.
    pub(in crate::cli) fn not_running(&self, name: &str) -> Failure {
        zbus::block_on(self.0.not_running(name))
    }

    /// The searched buses, for people.
    pub(in crate::cli) fn looked(&self) -> String {
        self.0.looked()
    }
}

async fn look(client: &Client, name: &str) -> Result<Shown, Failure> {
    let service = client.properties(name, names::ROOT, names::WORKFLOW).await?;
    let workflow = client.workflow(name).await?;
    let processes = workflow.list_processes().await.map_err(|error| client.explain(name, &error))?;
    let facts = ServiceFacts {
        bus: client.place.word(),
        state: text(&service, "State").to_owned(),
        active_runs: number(&service, "ActiveRuns").unwrap_or_default(),
        queued_runs: number(&service, "QueuedRuns").unwrap_or_default(),
    };
    Ok(Shown { listing: listing(name, &processes), service: Some(facts) })
}

fn listing(name: &str, told: &[Properties]) -> Listing {
    let mut depths: HashMap<i32, usize> = HashMap::new();
    let mut processes: Vec<ListedProcess> = Vec::new();
    for its in told {
        let mut process = process(its);
        // Parents come first.
        process.depth = depths.get(&process.parent).map_or(0, |depth| depth + 1);
        depths.insert(process.pid, process.depth);
        processes.push(process);
    }
    let supervisor = processes.iter().find(|process| process.kind == ProcessKind::Supervisor);
    let supervisor = supervisor.map_or(0, |process| process.pid);
    let works = |process: &&ListedProcess| {
        matches!(process.kind, ProcessKind::Worker | ProcessKind::Program) && process.actor.is_some()
    };
    Listing {
        workflow: name.to_owned(),
        pid: supervisor,
        supervisor,
        tasks: processes.iter().filter(works).count(),
        has_cgroups: false,
        orphans: (0, 0),
        processes,
    }
}

fn process(told: &Properties) -> ListedProcess {
    let id = |name| number(told, name).and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
    let flag = |name: &str| matches!(told.get(name).map(|value| &**value), Some(Variant::Bool(true)));
    let word = |name| Some(text(told, name)).filter(|text| !text.is_empty()).map(str::to_owned);
    let run = match told.get("Run").map(|value| &**value) {
        Some(Variant::ObjectPath(path)) => path.rsplit('/').next().and_then(|id| id.parse().ok()),
        _ => None,
    };
    let started_at_usec = number(told, "StartedAt").unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let age = now.saturating_sub(started_at_usec.into()) / 1000;
    ListedProcess {
        pid: id("Pid"),
        parent: id("ParentPid"),
        depth: 0,
        // What a newer service may say.
        kind: ProcessKind::of_word(text(told, "Kind")).unwrap_or(ProcessKind::Child),
        daemonic: flag("Daemonic"),
        announced: flag("Announced"),
        pool: word("Pool"),
        actor: word("Actor"),
        run,
        control_group: word("ControlGroup"),
        cpu_usage_nsec: number(told, "CPUUsageNSec").unwrap_or_default(),
        memory_current: number(told, "MemoryCurrent"),
        age_msec: u64::try_from(age).unwrap_or(u64::MAX),
        started_at_usec,
        command: text(told, "Command").to_owned(),
        process: None,
    }
}
