//! Tests of the process tree, with processes and owners that do not exist.

use std::path::Path;

use super::listing::ProcessKind;
use super::*;
use crate::config::load_str;
use crate::graph::PoolId;
use crate::pool::{JobId, WorkerId};
use crate::supervisor::event::RunId;

/// A process as /proc would show it.
pub(super) fn process(pid: i32, parent: i32, started: u64) -> Process {
    let pid = Pid::from_raw(pid);
    Process {
        pid,
        parent: Pid::from_raw(parent),
        group: pid,
        session: pid,
        name: "python3".into(),
        started,
        zombie: false,
        blocked: false,
        ticks: 0,
        pages: 0,
    }
}

/// Owners as a test describes them. Nothing is known that it does not say.
#[derive(Default)]
struct Doubles {
    behind_launcher: HashMap<Pid, Owner>,
    pids: HashMap<Owner, WorkerPids>,
    occupations: HashMap<Owner, Occupation>,
    tasks: HashMap<Owner, (RunId, ActorId)>,
    jobs: HashMap<Owner, Vec<JobId>>,
    last_actors: HashMap<Owner, ActorId>,
    any_task: bool,
}

impl Owners for Doubles {
    fn has_pool(&self, pool: PoolId) -> bool {
        pool == PoolId(0)
    }

    fn worker_with_pid(&self, pid: Pid) -> Option<Owner> {
        self.behind_launcher.get(&pid).copied()
    }

    fn pids(&self, worker: Owner) -> WorkerPids {
        self.pids.get(&worker).copied().unwrap_or_default()
    }

    fn occupation(&self, owner: Owner) -> Occupation {
        self.occupations.get(&owner).copied().unwrap_or(Occupation::None)
    }

    fn task(&self, owner: Owner) -> Option<(RunId, ActorId)> {
        self.tasks.get(&owner).copied()
    }

    fn job(&self, worker: Owner, id_ends_with: u16) -> Option<JobId> {
        self.jobs.get(&worker)?.iter().copied().find(|job| job.0 as u16 == id_ends_with)
    }

    fn has_job(&self, worker: Owner, job: JobId) -> bool {
        self.jobs.get(&worker).is_some_and(|jobs| jobs.contains(&job))
    }

    fn task_of_job(&self, job: JobId) -> Option<(RunId, ActorId)> {
        let worker = self.jobs.iter().find(|(_, jobs)| jobs.contains(&job))?.0;
        self.task(*worker)
    }

    fn last_actor(&self, worker: Owner) -> Option<ActorId> {
        self.last_actors.get(&worker).copied()
    }

    fn any_task(&self) -> bool {
        self.any_task
    }
}

/// No process has such an id: it is above the largest one (`PID_MAX_LIMIT`, include/linux/threads.h).
const NOBODY: i32 = 0x40_0001;
const WORKER: Owner = (PoolId(0), WorkerId(7));

/// Two actors, of which `keep` sets `leave_children`.
fn workflow() -> Workflow {
    let text = r#"
        links = [{ from = "start", to = "work" }, { from = "work", to = "keep" }, { from = "keep", to = "stop" }]
        [actors.work]
        kind = "exec"
        command = ["true"]
        [actors.keep]
        kind = "exec"
        command = ["true"]
        leave_children = true
    "#;
    load_str(text, Path::new("/w.toml")).unwrap().workflow
}

fn actor(workflow: &Workflow, name: &str) -> ActorId {
    ActorId::from(workflow.actors.iter().position(|actor| actor.display_name() == name).unwrap())
}

fn processes() -> Processes {
    Processes::new(&mut EventLoop::new([]).unwrap()).unwrap()
}

/// A child of the supervisor that it has not started.
fn orphan(pid: i32) -> Process {
    Process { group: Pid::from_raw(NOBODY), session: Pid::from_raw(NOBODY), ..process(pid, Pid::this().as_raw(), 1000) }
}

#[test]
fn an_orphan_in_the_process_group_of_a_worker_is_its() {
    let (mut processes, workflow, mut owners) = (processes(), workflow(), Doubles::default());
    let (work, keep) = (actor(&workflow, "work"), actor(&workflow, "keep"));
    processes.add_child(Pid::from_raw(NOBODY + 1), Child::Worker(WORKER.0, WORKER.1));
    let of_worker = Process { group: Pid::from_raw(NOBODY + 1), ..orphan(NOBODY + 2) };
    assert_eq!(processes.owner_of_orphan(&of_worker, &owners), Some(WORKER));
    assert_eq!(processes.owner_of_orphan(&orphan(NOBODY + 2), &owners), None);
    owners.last_actors.insert(WORKER, work);
    let candidate = processes.candidate(&of_worker, None, &workflow, &owners);
    assert_eq!((candidate.owner, candidate.actor, candidate.wanted), (Some(WORKER), Some(work), false));
    let candidate = processes.candidate(&of_worker, Some((WORKER, keep)), &workflow, &owners);
    assert_eq!((candidate.actor, candidate.may_stay), (Some(keep), true), "the task that has just ended may leave it");
}

#[test]
fn an_orphan_is_wanted_while_the_task_runs_that_has_started_it() {
    let (mut processes, workflow, mut owners) = (processes(), workflow(), Doubles::default());
    let child = orphan(NOBODY + 2);
    processes.announced.add(&child, None, Some(WORKER), (Some(JobId(5)), Some((RunId(1), actor(&workflow, "work")))));
    let since = Duration::ZERO;
    let is_wanted = |owners: &Doubles| processes.candidate(&child, None, &workflow, owners).wanted;
    assert!(!is_wanted(&owners), "the worker is idle");
    owners.occupations.insert(WORKER, Occupation::Task { since });
    assert!(!is_wanted(&owners), "the worker executes another task");
    owners.jobs.insert(WORKER, vec![JobId(5)]);
    assert!(is_wanted(&owners));
    owners.occupations.insert(WORKER, Occupation::SeveralTasks);
    owners.jobs.clear();
    assert!(is_wanted(&owners), "any of the tasks in the process may want it");
}

#[test]
fn an_orphan_that_is_older_than_the_task_of_its_owner_is_not_wanted() {
    let (mut processes, workflow, mut owners) = (processes(), workflow(), Doubles::default());
    let child = orphan(NOBODY + 2);
    processes.announced.add(&child, None, Some(WORKER), (None, None));
    let mut is_wanted = |since| {
        owners.occupations.insert(WORKER, Occupation::Task { since });
        processes.candidate(&child, None, &workflow, &owners).wanted
    };
    assert!(is_wanted(child.since_boot()));
    assert!(!is_wanted(child.since_boot() + Duration::from_secs(1)));
}

#[test]
fn an_orphan_whose_owner_is_not_known_is_left_alone_while_any_task_runs() {
    let (processes, workflow, mut owners) = (processes(), workflow(), Doubles::default());
    let candidate = processes.candidate(&orphan(NOBODY + 2), None, &workflow, &owners);
    assert_eq!((candidate.owner, candidate.wanted), (None, false));
    owners.any_task = true;
    assert!(processes.candidate(&orphan(NOBODY + 2), None, &workflow, &owners).wanted);
}

#[test]
fn an_origin_that_names_no_pool_is_nobodys() {
    let (mut processes, mut owners) = (processes(), Doubles::default());
    let orphan = orphan(NOBODY + 2);
    let owner =
        |processes: &Processes, origin, owners: &Doubles| processes.owner_by_origin(&orphan, Some(origin), owners);
    assert_eq!(owner(&processes, Origin::Owner(WORKER), &owners), Some(WORKER));
    assert_eq!(owner(&processes, Origin::Owner((PoolId(99), WorkerId(7))), &owners), None);
    assert_eq!(owner(&processes, Origin::Worker(Pid::from_raw(NOBODY + 1)), &owners), None);
    owners.behind_launcher.insert(Pid::from_raw(NOBODY + 1), WORKER);
    assert_eq!(owner(&processes, Origin::Worker(Pid::from_raw(NOBODY + 1)), &owners), Some(WORKER));
    processes.add_child(Pid::from_raw(NOBODY + 1), Child::Recorder);
    assert_eq!(
        owner(&processes, Origin::Worker(Pid::from_raw(NOBODY + 1)), &owners),
        None,
        "a child that is no worker"
    );
}

#[test]
fn what_outlives_its_workflow_belongs_to_no_task_of_the_next_one() {
    let (mut processes, owners) = (processes(), Doubles::default());
    let child = orphan(NOBODY + 2);
    processes.announced.add(&child, Some(true), Some((PoolId(99), WorkerId(1))), (None, Some((RunId(1), ActorId(99)))));
    processes.workflow_replaced();
    assert_eq!(processes.owner_of_orphan(&child, &owners), None);
    assert_eq!(processes.is_announced_as_daemonic(&child), Some(true));
}

#[test]
fn the_listing_says_of_each_process_what_it_is_and_whose() {
    let (mut processes, workflow, mut owners) = (processes(), workflow(), Doubles::default());
    let work = actor(&workflow, "work");
    let me = Pid::this().as_raw();
    let launcher = process(NOBODY + 1, me, 10);
    let behind = process(NOBODY + 2, NOBODY + 1, 11);
    let child = process(NOBODY + 3, NOBODY + 2, 12);
    let recorder = process(NOBODY + 4, me, 5);
    processes.add_child(launcher.pid, Child::Worker(WORKER.0, WORKER.1));
    processes.add_child(recorder.pid, Child::Recorder);
    owners.pids.insert(WORKER, WorkerPids { worker: Some(behind.pid), launcher: Some(launcher.pid) });
    owners.behind_launcher.insert(behind.pid, WORKER);
    owners.tasks.insert(WORKER, (RunId(4), work));
    processes.announced.add(&child, Some(true), Some(WORKER), (None, Some((RunId(3), work))));
    let snapshot = [launcher, behind, child, recorder].into_iter().collect();
    let listed = processes.list_below(&snapshot, 1, &workflow, &owners);
    let lines: Vec<_> = listed.iter().map(|it| (it.pid - NOBODY, it.depth, it.kind, it.daemonic, it.run)).collect();
    assert_eq!(
        lines,
        [
            (4, 1, ProcessKind::Recorder, true, None),
            (1, 1, ProcessKind::Launcher, false, Some(4)),
            (2, 2, ProcessKind::Worker, false, Some(4)),
            (3, 3, ProcessKind::Child, true, Some(3)),
        ]
    );
    assert!(listed[1..].iter().all(|it| it.actor.as_deref() == Some("work") && it.pool.as_deref() == Some("default")));
}

#[test]
fn processes_that_are_not_daemonic_are_waited_for_when_the_supervisor_ends() {
    let mut processes = processes();
    let worker = process(NOBODY + 1, Pid::this().as_raw(), 10);
    let (daemonic, other, unknown) =
        (process(NOBODY + 2, NOBODY + 1, 11), process(NOBODY + 3, NOBODY + 1, 12), process(NOBODY + 4, NOBODY + 1, 13));
    processes.add_child(worker.pid, Child::Worker(WORKER.0, WORKER.1));
    processes.announced.add(&daemonic, Some(true), Some(WORKER), (None, None));
    processes.announced.add(&other, Some(false), Some(WORKER), (None, None));
    let snapshot = [worker, daemonic.clone(), other.clone(), unknown.clone()].into_iter().collect();
    let named = processes.await_leftovers(&snapshot, Duration::from_secs(5));
    assert!(
        named.is_some_and(|named| named.contains(&other.pid.to_string()) && !named.contains(&unknown.pid.to_string()))
    );
    assert!(processes.orphans.is_known(unknown.pid) && !processes.orphans.is_known(daemonic.pid));
}
