//! The cgroup that a supervisor divides among its processes: it is acquired before anything is started, and one line of the log
//! says what is missing.

use tracing::{debug, info, warn};

use crate::cgroup::{Controller, LimitName, Subtree, Wanted, acquire, escaped};
use crate::graph::Workflow;

/// What a supervisor needs cgroups for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupUse {
    /// Resource usage is measured ([`Resources::keep_accounts`](super::Resources::keep_accounts)).
    pub accounting: bool,
    /// Whether systemd may be asked for a scope: for a supervisor that is not a service.
    pub ask_systemd: bool,
}

/// Acquires the cgroup for a supervisor of this workflow, and logs once what will be missing. Call it before anything is
/// started: running processes stay in their cgroup.
///
/// Without limits and accounting, systemd is not asked. A delegated cgroup is used nevertheless: its `cgroup.kill` reaches
/// every process.
pub fn subtree_for(workflow: &Workflow, usage: CgroupUse) -> Option<Subtree> {
    let limits = workflow.limit_names();
    let needed = usage.accounting || !limits.is_empty();
    let wanted = if needed && usage.ask_systemd {
        Wanted::AskSystemd {
            name: format!("pushflow-{}-{}.scope", escaped(&workflow.name), std::process::id()),
            description: format!("pushflow: the workflow {}", workflow.name),
        }
    } else {
        Wanted::IfDelegated
    };
    let settled = acquire(&wanted);
    let (unapplied, why, remedy) = match &settled {
        Ok(subtree) => {
            let missing = |limit: &&LimitName| !subtree.controllers().has(limit.controller());
            let unapplied: Vec<String> = limits.iter().filter(missing).map(ToString::to_string).collect();
            let wanted: Vec<Controller> = match unapplied.is_empty() {
                true => vec![Controller::Io, Controller::Memory, Controller::Pids],
                false => limits.iter().map(|limit| limit.controller()).collect(),
            };
            (unapplied, subtree.what_is_missing(&wanted).unwrap_or_default(), subtree.remedy())
        }
        Err(why) => {
            let why = format!("pushflow has no cgroup of its own, because {why}");
            let remedy = "run it as a service with Delegate=yes, or behind systemd-run --scope -p Delegate=yes";
            (limits.iter().map(ToString::to_string).collect(), why, remedy)
        }
    };
    let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
    if !unapplied.is_empty() {
        let (names, verb) = (unapplied.join(", "), if unapplied.len() == 1 { "is" } else { "are" });
        warn!("{names} {verb} not applied: {why}{remedy}");
    } else if usage.accounting && !why.is_empty() {
        info!("some figures come from wait4 and /proc, or are absent: {why}{remedy}");
    } else if let Err(why) = &settled {
        debug!("no cgroups are used: {why}");
    }
    settled.ok()
}
