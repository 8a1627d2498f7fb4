//! Processes on the bus: what `ListProcesses` says of each.

use std::collections::{BTreeMap, HashMap};

use zbus::{ObjectPath, Variant};

use super::names;
use crate::service::Board;
use crate::supervisor::RunId;
use crate::supervisor::listing::{ListedProcess, Listing, ProcessKind};

/// One process as `a{sv}`.
pub(super) type Described = HashMap<&'static str, Variant<'static>>;

/// The processes, as `who` may see them: command lines of tasks can hold inputs, which are for root, the service itself
/// and whoever asked for the run. Others see the names of the programs.
pub(super) fn describe(listing: &Listing, board: &Board, who: Option<u32>) -> Vec<Described> {
    let mut owners: BTreeMap<u64, u32> = BTreeMap::new();
    let service = nix::unistd::geteuid().as_raw();
    let mut may_see = |process: &ListedProcess| {
        let private = matches!(process.kind, ProcessKind::Program | ProcessKind::Child | ProcessKind::Stray);
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
