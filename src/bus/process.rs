//! Processes on the bus: the rows of `ListProcesses`, and `org.pushflow.Process1`.
//!
//! Tasks can start a thousand processes a second, and nothing announces the children of tasks. So the objects lag behind: they
//! are updated when a caller lists the processes, and when the loop announces a change, at most once a second
//! (`service::view::process_list`). Their number is bounded. Processes that live shorter, or are beyond the bound, have no object.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use zbus::message::Header;
use zbus::{Connection, ObjectPath, ObjectServer, Variant, fdo, interface};

use super::context::BusContext;
use super::names;
use super::process_cache::{FOR_PROPERTIES, Freshness, ProcessList};
use super::usage::UNKNOWN;
use crate::process::tree::Process;
use crate::service::{Command, RequestError, StatusSnapshot};
use crate::supervisor::RunId;
use crate::supervisor::listing::{ListedProcess, Listing, ProcessKind};
use crate::text;

/// Maximum number of processes that have an object: those nearest to the supervisor.
const MAX_OBJECTS: usize = 256;

/// Maximum length of a command in a list, characters.
const MAX_COMMAND: usize = 4096;

/// One process as `a{sv}`.
pub(super) type Described = HashMap<&'static str, Variant<'static>>;

/// The processes, as the user `who` may see them. Command lines of tasks can contain inputs: they are for root, the user of the
/// service, and the user who asked for the run. Others see the names of the programs.
pub(super) fn describe(listing: &Listing, snapshot: &StatusSnapshot, who: Option<u32>) -> Vec<Described> {
    let mut owners: BTreeMap<u64, u32> = BTreeMap::new();
    let service = nix::unistd::geteuid().as_raw();
    let mut may_see = |process: &ListedProcess| {
        let private = matches!(process.kind, ProcessKind::Program | ProcessKind::Child | ProcessKind::Orphan);
        let owner = process.run.and_then(|run| match owners.get(&run) {
            Some(owner) => Some(*owner),
            None => {
                let owner = snapshot.run(RunId(run), |facts| facts.owner(service))?;
                owners.insert(run, owner);
                Some(owner)
            }
        });
        !private || who.is_some_and(|who| who == 0 || who == service || Some(who) == owner)
    };
    listing.processes.iter().map(|process| one(process, may_see(process))).collect()
}

fn one(process: &ListedProcess, whole_command: bool) -> Described {
    let id = |pid: i32| Variant::new(pid.unsigned_abs());
    let command = match &process.process {
        Some(its) if !whole_command => format!("[{}]", its.name),
        _ => process.command.clone(),
    };
    // A command can have millions of characters, and there can be thousands of processes in one message.
    let command = text::cut(&command, MAX_COMMAND).into_owned();
    let mut described = HashMap::from([
        ("Pid", id(process.pid)),
        ("ParentPid", id(process.parent)),
        ("Kind", Variant::new(process.kind.word())),
        ("Daemonic", Variant::new(process.daemonic)),
        ("Announced", Variant::new(process.announced)),
        ("StartedAt", Variant::new(process.started_at_usec)),
        ("CPUUsageNSec", Variant::new(process.cpu_usage_nsec)),
        ("Command", Variant::new(command)),
    ]);
    // Missing values are left out.
    described.extend(process.pool.clone().map(|pool| ("Pool", Variant::new(pool))));
    described.extend(process.actor.clone().map(|actor| ("Actor", Variant::new(actor))));
    let run = process.run.and_then(|run| ObjectPath::try_from(names::run(RunId(run))).ok());
    described.extend(run.map(|run| ("Run", Variant::new(run))));
    described.extend(process.control_group.clone().map(|group| ("ControlGroup", Variant::new(group))));
    described.extend(process.memory_current.map(|memory| ("MemoryCurrent", Variant::new(memory))));
    described
}

/// The processes that are to have an object.
fn wanted(listing: &Listing) -> BTreeMap<i32, u64> {
    let mut processes: Vec<&ListedProcess> = listing.processes.iter().collect();
    processes.sort_by_key(|process| process.depth);
    let known = processes.into_iter().filter_map(|process| Some((process.pid, process.process.as_ref()?.started)));
    known.take(MAX_OBJECTS).collect()
}

/// The processes of the service. Their objects are up to date when this returns.
pub(super) async fn list(
    context: &Arc<BusContext>,
    server: &ObjectServer,
    freshness: Freshness,
) -> Result<Arc<ProcessList>, RequestError> {
    let processes = context.processes.list(&context.to_loop, freshness).await?;
    export(context, server, &processes).await?;
    Ok(processes)
}

async fn export(context: &Arc<BusContext>, server: &ObjectServer, processes: &ProcessList) -> zbus::Result<()> {
    let mut exported = context.exported.0.lock().await;
    if processes.number <= exported.number {
        // Another caller was quicker.
        return Ok(());
    }
    exported.number = processes.number;
    let wanted = wanted(&processes.listing);
    let outdated: Vec<i32> = exported
        .processes
        .iter()
        .filter(|(pid, started)| wanted.get(pid) != Some(started))
        .map(|(pid, _)| *pid)
        .collect();
    for pid in outdated {
        exported.processes.remove(&pid);
        server.remove::<ProcessObject, _>(names::process(pid)).await?;
    }
    for (pid, started) in wanted {
        if let Entry::Vacant(entry) = exported.processes.entry(pid) {
            entry.insert(started);
            server.at(names::process(pid), ProcessObject { context: Arc::clone(context), pid, started }).await?;
        }
    }
    Ok(())
}

/// The object of a process.
#[derive(Debug)]
struct ProcessObject {
    context: Arc<BusContext>,
    pid: i32,
    started: u64,
}

impl ProcessObject {
    async fn look<T>(&self, look: impl FnOnce(&ListedProcess, &Process) -> T) -> fdo::Result<T> {
        let failed = |error: RequestError| fdo::Error::Failed(error.to_string());
        let processes = self.context.processes.list(&self.context.to_loop, FOR_PROPERTIES).await.map_err(failed)?;
        let listed = processes.find(self.pid).and_then(|listed| Some((listed, listed.process.as_ref()?)));
        match listed {
            Some((listed, process)) if process.started == self.started => Ok(look(listed, process)),
            _ => Err(fdo::Error::UnknownObject(format!("process {} has ended", self.pid))),
        }
    }
}

#[interface(name = "org.pushflow.Process1", introspection_docs = false)]
impl ProcessObject {
    async fn kill(
        &self,
        signal: i32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(), RequestError> {
        let ended = |_| RequestError::NoSuchProcess(format!("process {} has ended", self.pid));
        let process = self.look(|_, process| process.clone()).await.map_err(ended)?;
        self.context.manage(connection, &call, Command::Kill(process, signal)).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn parent_pid(&self) -> fdo::Result<u32> {
        self.look(|listed, _| listed.parent.unsigned_abs()).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn kind(&self) -> fdo::Result<&'static str> {
        self.look(|listed, _| listed.kind.word()).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn daemonic(&self) -> fdo::Result<bool> {
        self.look(|listed, _| listed.daemonic).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn announced(&self) -> fdo::Result<bool> {
        self.look(|listed, _| listed.announced).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn pool(&self) -> fdo::Result<String> {
        self.look(|listed, _| listed.pool.clone().unwrap_or_default()).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn actor(&self) -> fdo::Result<String> {
        self.look(|listed, _| listed.actor.clone().unwrap_or_default()).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn run(&self) -> fdo::Result<ObjectPath<'static>> {
        let run = self.look(|listed, _| listed.run).await?;
        // By convention, the root object stands for none.
        let path = run.map_or_else(|| "/".to_owned(), |run| names::run(RunId(run)));
        ObjectPath::try_from(path).map_err(|error| fdo::Error::Failed(error.to_string()))
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn control_group(&self) -> fdo::Result<String> {
        self.look(|listed, _| listed.control_group.clone().unwrap_or_default()).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn started_at(&self) -> fdo::Result<u64> {
        self.look(|listed, _| listed.started_at_usec).await
    }

    #[zbus(property(emits_changed_signal = "false"), name = "CPUUsageNSec")]
    async fn cpu_usage_nsec(&self) -> fdo::Result<u64> {
        self.look(|listed, _| listed.cpu_usage_nsec).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn memory_current(&self) -> fdo::Result<u64> {
        self.look(|listed, _| listed.memory_current.unwrap_or(UNKNOWN)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sys::Pid;

    #[test]
    fn of_many_processes_those_nearest_to_the_supervisor_are_shown() {
        let process = |pid: i32, depth: usize| ListedProcess {
            pid,
            parent: 1,
            depth,
            kind: ProcessKind::Child,
            daemonic: false,
            announced: true,
            pool: None,
            actor: None,
            run: None,
            control_group: None,
            cpu_usage_nsec: 0,
            memory_current: None,
            age_msec: 0,
            started_at_usec: 0,
            command: String::new(),
            process: Process::find(Pid::this()),
        };
        let many = (2..5000).map(|pid| process(pid, 3)).chain([process(5000, 1), process(5001, 2)]);
        let listing = Listing {
            workflow: String::new(),
            pid: 1,
            supervisor: 1,
            tasks: 0,
            has_cgroups: false,
            orphans: (0, 0),
            processes: many.collect(),
        };
        let shown = wanted(&listing);
        assert_eq!(shown.len(), MAX_OBJECTS);
        assert!(shown.contains_key(&5000) && shown.contains_key(&5001) && shown.contains_key(&2));
    }
}
