//! Processes on the bus: what `ListProcesses` says of each, and `org.pushflow.Process1`.
//!
//! Processes come and go a thousand times a second where tasks start programs, and nothing tells of those that tasks start. So
//! the objects follow what is there at some distance: they are brought up to date when somebody lists the processes, and
//! when the loop says that there are others, which it does at most once a second (`service::processes`). There is a bound
//! to how many there are. What lives shorter than that, and the rest of a crowd, never is on the bus.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zbus::message::Header;
use zbus::{Connection, ObjectPath, ObjectServer, Variant, fdo, interface};

use super::census::{FOR_PROPERTIES, Freshness, People};
use super::figures::UNKNOWN;
use super::turn::Turns;
use super::{Office, names};
use crate::process::tree::Process;
use crate::service::{Ask, Board, Refusal};
use crate::supervisor::RunId;
use crate::supervisor::listing::{ListedProcess, Listing, ProcessKind};

/// So many processes have an object: those nearest to the supervisor.
const MOST_OBJECTS: usize = 256;

/// In a list, a command is no longer, in characters.
const LONGEST_COMMAND: usize = 4096;

/// One process as `a{sv}`.
pub(super) type Described = HashMap<&'static str, Variant<'static>>;

/// The processes, as `who` may see them: command lines of tasks can hold inputs, which are for root, the service itself
/// and whoever asked for the run. Others see the names of the programs.
pub(super) fn describe(listing: &Listing, board: &Board, who: Option<u32>) -> Vec<Described> {
    let mut owners: BTreeMap<u64, u32> = BTreeMap::new();
    let service = nix::unistd::geteuid().as_raw();
    let mut may_see = |process: &ListedProcess| {
        let private = matches!(process.kind, ProcessKind::Program | ProcessKind::Child | ProcessKind::Orphan);
        let owner = process.run.and_then(|run| match owners.get(&run) {
            Some(owner) => Some(*owner),
            None => {
                let owner = board.run(RunId(run), |facts| facts.owner(service))?;
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
    let command = match command.char_indices().nth(LONGEST_COMMAND) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command,
    };
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
    // What there is not is left out.
    described.extend(process.pool.clone().map(|pool| ("Pool", Variant::new(pool))));
    described.extend(process.actor.clone().map(|actor| ("Actor", Variant::new(actor))));
    let run = process.run.and_then(|run| ObjectPath::try_from(names::run(RunId(run))).ok());
    described.extend(run.map(|run| ("Run", Variant::new(run))));
    described.extend(process.control_group.clone().map(|group| ("ControlGroup", Variant::new(group))));
    described.extend(process.memory_current.map(|memory| ("MemoryCurrent", Variant::new(memory))));
    described
}

/// Which processes have an object.
#[derive(Debug, Default)]
pub(super) struct Shown {
    objects: Mutex<Objects>,
    turns: Turns,
}

#[derive(Debug, Default)]
struct Objects {
    /// The processes by their numbers, and when they started.
    processes: BTreeMap<i32, u64>,
    /// [`People::number`] of those that they are.
    number: u64,
}

impl Shown {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The processes that are to have an object.
fn wanted(listing: &Listing) -> BTreeMap<i32, u64> {
    let mut processes: Vec<&ListedProcess> = listing.processes.iter().collect();
    processes.sort_by_key(|process| process.depth);
    let known = processes.into_iter().filter_map(|process| Some((process.pid, process.process.as_ref()?.started)));
    known.take(MOST_OBJECTS).collect()
}

/// The processes of the service, which have objects once this returns.
pub(super) async fn people(
    office: &Arc<Office>,
    server: &ObjectServer,
    freshness: Freshness,
) -> Result<Arc<People>, Refusal> {
    let people = office.census.take(&office.to_loop, freshness).await?;
    show(office, server, &people).await?;
    Ok(people)
}

async fn show(office: &Arc<Office>, server: &ObjectServer, people: &People) -> zbus::Result<()> {
    let _turn = office.shown.turns.take().await;
    let shown = {
        let mut objects = office.shown.objects();
        if people.number <= objects.number {
            // Somebody has been quicker.
            return Ok(());
        }
        objects.number = people.number;
        objects.processes.clone()
    };
    let wanted = wanted(&people.listing);
    for (pid, started) in &shown {
        if wanted.get(pid) != Some(started) {
            office.shown.objects().processes.remove(pid);
            server.remove::<ProcessObject, _>(names::process(*pid)).await?;
        }
    }
    for (pid, started) in wanted {
        if shown.get(&pid) != Some(&started) {
            office.shown.objects().processes.insert(pid, started);
            server.at(names::process(pid), ProcessObject { office: Arc::clone(office), pid, started }).await?;
        }
    }
    Ok(())
}

/// The object of a process.
#[derive(Debug)]
struct ProcessObject {
    office: Arc<Office>,
    pid: i32,
    started: u64,
}

impl ProcessObject {
    async fn look<T>(&self, look: impl FnOnce(&ListedProcess, &Process) -> T) -> fdo::Result<T> {
        let failed = |refusal: Refusal| fdo::Error::Failed(refusal.text().to_owned());
        let people = self.office.census.take(&self.office.to_loop, FOR_PROPERTIES).await.map_err(failed)?;
        let listed = people.find(self.pid).and_then(|listed| Some((listed, listed.process.as_ref()?)));
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
    ) -> Result<(), Refusal> {
        let ended = |_| Refusal::NoSuchProcess(format!("process {} has ended", self.pid));
        let process = self.look(|_, process| process.clone()).await.map_err(ended)?;
        self.office.manage(connection, &call, Ask::Kill(process, signal)).await
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
        // As usual, the root of all objects stands for none.
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
    fn of_a_crowd_those_nearest_to_the_supervisor_are_shown() {
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
        let crowd = (2..5000).map(|pid| process(pid, 3)).chain([process(5000, 1), process(5001, 2)]);
        let listing = Listing {
            workflow: String::new(),
            pid: 1,
            supervisor: 1,
            tasks: 0,
            has_cgroups: false,
            orphans: (0, 0),
            processes: crowd.collect(),
        };
        let shown = wanted(&listing);
        assert_eq!(shown.len(), MOST_OBJECTS);
        assert!(shown.contains_key(&5000) && shown.contains_key(&5001) && shown.contains_key(&2));
    }
}
