//! The decisions of a pool, with a recorded list of effects and a made-up clock.

use std::time::{Duration, Instant};

use super::{Answer, Effect, EscalationStep, JobId, Needs, Orphan, Pool, WorkerId};
use crate::graph::{Context, Limits, PoolSpec, PoolType, Workers};

mod prefill;

const GRACE: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(10);

struct Bench {
    pool: Pool,
    now: Instant,
    effects: Vec<Effect>,
}

fn spec(workers: Workers) -> PoolSpec {
    PoolSpec {
        name: "default".into(),
        kind: PoolType::Process,
        gevent: false,
        context: Context::Forkserver,
        workers,
        max_tasks_per_worker: None,
        idle_timeout: IDLE,
        grace: GRACE,
        start_timeout: None,
        preload: true,
        launcher: Vec::new(),
        python: None,
        limits: Limits::default(),
    }
}

impl Bench {
    fn new(spec: &PoolSpec) -> Self {
        Bench { pool: Pool::new(spec, true), now: Instant::now(), effects: Vec::new() }
    }

    fn submit(&mut self, job: u64) -> Vec<Effect> {
        self.pool.submit(JobId(job), Needs::Worker, &mut self.effects);
        self.taken()
    }

    fn program(&mut self, job: u64) -> Vec<Effect> {
        self.pool.submit(JobId(job), Needs::Program, &mut self.effects);
        self.taken()
    }

    fn ready(&mut self, worker: u32) -> Vec<Effect> {
        self.pool.on_worker_ready(WorkerId(worker), self.now, &mut self.effects);
        self.taken()
    }

    fn done(&mut self, worker: u32) -> Vec<Effect> {
        self.pool.on_job_ended(WorkerId(worker), Answer::NOT_SHORT, self.now, &mut self.effects);
        self.taken()
    }

    fn gone(&mut self, worker: u32) -> (Option<Orphan>, Vec<Effect>) {
        let orphan = self.pool.on_worker_ended(WorkerId(worker), self.now, &mut self.effects);
        (orphan, self.taken())
    }

    fn escalate(&mut self, job: u64, step: EscalationStep) -> Vec<Effect> {
        self.pool.escalate(JobId(job), step, self.now, &mut self.effects);
        self.taken()
    }

    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.pool.on_time(self.now, &mut self.effects);
        self.taken()
    }

    fn taken(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

fn spawn(worker: u32) -> Effect {
    Effect::Spawn(WorkerId(worker))
}

fn send(worker: u32, job: u64) -> Effect {
    Effect::Send(WorkerId(worker), JobId(job))
}

#[test]
fn a_worker_is_started_for_the_first_job_and_used_for_the_next() {
    let mut bench = Bench::new(&spec(Workers::Scaling { cap: 4 }));
    assert_eq!(bench.submit(1), [spawn(0)]);
    assert_eq!(bench.ready(0), [send(0, 1)]);
    assert_eq!(bench.done(0), []);
    assert_eq!(bench.submit(2), [send(0, 2)]);
}

#[test]
fn workers_are_added_one_after_the_other_while_jobs_wait_and_never_above_the_cap() {
    let mut bench = Bench::new(&spec(Workers::Fixed(2)));
    assert_eq!(bench.submit(1), [spawn(0)]);
    assert_eq!(bench.submit(2), []);
    assert_eq!(bench.submit(3), []);
    assert_eq!(bench.ready(0), [send(0, 1), spawn(1)]);
    assert_eq!(bench.ready(1), [send(1, 2)]);
    assert_eq!(bench.done(0), [send(0, 3)]);
    assert_eq!(bench.pool.size(), (2, 0));
}

#[test]
fn fresh_interpreters_start_side_by_side() {
    let mut bench = Bench::new(&PoolSpec { context: Context::Spawn, ..spec(Workers::Fixed(3)) });
    let effects: Vec<_> = (0..5).flat_map(|job| bench.submit(job)).collect();
    assert_eq!(effects, [spawn(0), spawn(1), spawn(2)]);
}

#[test]
fn a_scaling_pool_lets_idle_workers_go_and_a_fixed_one_keeps_them() {
    let mut bench = Bench::new(&spec(Workers::Scaling { cap: 4 }));
    bench.submit(1);
    bench.ready(0);
    bench.done(0);
    assert_eq!(bench.pool.next_time(), Some(bench.now + IDLE));
    assert_eq!(bench.pass(IDLE / 2), []);
    assert_eq!(bench.pass(IDLE / 2), [Effect::Retire(WorkerId(0))]);
    assert_eq!(bench.submit(2), [spawn(1)], "a worker that was told to go gets nothing more");

    let mut bench = Bench::new(&spec(Workers::Fixed(4)));
    bench.submit(1);
    bench.ready(0);
    bench.done(0);
    assert_eq!(bench.pool.next_time(), None);
    assert_eq!(bench.pass(IDLE * 100), []);
}

#[test]
fn a_worker_is_replaced_after_its_number_of_tasks() {
    let mut bench = Bench::new(&PoolSpec { max_tasks_per_worker: Some(2), ..spec(Workers::Fixed(1)) });
    bench.submit(1);
    bench.submit(2);
    bench.submit(3);
    assert_eq!(bench.ready(0), [send(0, 1)]);
    assert_eq!(bench.done(0), [send(0, 2)]);
    assert_eq!(bench.done(0), [Effect::Retire(WorkerId(0))]);
    assert_eq!(bench.gone(0), (None, vec![spawn(1)]));
    assert_eq!(bench.ready(1), [send(1, 3)]);
}

#[test]
fn a_worker_that_dies_takes_its_job_along_and_is_replaced() {
    let mut bench = Bench::new(&spec(Workers::Fixed(1)));
    bench.submit(1);
    bench.submit(2);
    bench.ready(0);
    let orphan = Orphan { job: JobId(1), interrupted: false };
    assert_eq!(bench.gone(0), (Some(orphan), vec![spawn(1)]));
    assert_eq!(bench.ready(1), [send(1, 2)]);
    assert_eq!(bench.gone(0), (None, vec![]), "a second word about the same worker changes nothing");
}

#[test]
fn jobs_are_refused_when_no_worker_can_be_started() {
    let mut bench = Bench::new(&spec(Workers::Fixed(2)));
    bench.submit(1);
    bench.submit(2);
    assert_eq!(bench.gone(0), (None, vec![spawn(1)]));
    assert_eq!(bench.gone(1), (None, vec![Effect::Refuse(JobId(1)), Effect::Refuse(JobId(2))]));
    assert!(bench.pool.is_quiet());
    assert_eq!(bench.submit(3), [], "a later job is a new try,");
    assert_eq!(bench.pass(Duration::from_millis(50)), [spawn(2)], "after a pause");
    assert_eq!(bench.gone(2), (None, vec![Effect::Refuse(JobId(3))]));
}

#[test]
fn starts_that_fail_beside_a_worker_have_pauses_that_double_up_to_five_seconds() {
    let mut bench = Bench::new(&spec(Workers::Fixed(2)));
    bench.submit(1);
    bench.ready(0);
    assert_eq!(bench.submit(2), [spawn(1)]);
    assert_eq!(bench.gone(1), (None, vec![spawn(2)]), "the first failure may have been its own");
    let mut pauses = Vec::new();
    for worker in 2..12 {
        assert_eq!(bench.gone(worker), (None, vec![]), "never in the same turn");
        let pause = bench.pool.next_time().expect("a further try") - bench.now;
        assert_eq!(bench.pass(pause), [spawn(worker + 1)]);
        pauses.push(pause.as_millis());
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    assert_eq!(bench.done(0), [send(0, 2)], "meanwhile the worker that there is takes what waits");
    assert_eq!(bench.ready(12), []);
    assert_eq!(bench.submit(3), [send(12, 3)]);
}

#[test]
fn the_end_of_the_last_worker_is_a_try_and_no_refusal() {
    let mut bench = Bench::new(&PoolSpec { max_tasks_per_worker: Some(1), ..spec(Workers::Fixed(2)) });
    bench.submit(1);
    bench.ready(0);
    bench.submit(2);
    bench.gone(1);
    for worker in 2..8 {
        bench.gone(worker);
        bench.pass(Duration::from_secs(5));
    }
    bench.gone(8);
    assert_eq!(bench.done(0), [Effect::Retire(WorkerId(0))]);
    assert_eq!(bench.gone(0), (None, vec![]));
    assert_eq!(bench.pass(Duration::from_millis(50)), [spawn(9)]);
    assert_eq!(bench.gone(9), (None, vec![Effect::Refuse(JobId(2))]), "now nothing is left to wait for");
}

#[test]
fn a_program_that_the_system_has_no_room_for_waits_for_others_and_is_not_started_in_the_same_turn() {
    let mut bench = Bench::new(&spec(Workers::Fixed(2)));
    bench.program(1);
    bench.program(2);
    let not_started = |bench: &mut Bench, worker| {
        let waits = bench.pool.on_program_not_started(WorkerId(worker), bench.now, &mut bench.effects);
        (waits, bench.taken())
    };
    assert_eq!(not_started(&mut bench, 1), (true, vec![]));
    assert_eq!(bench.pass(Duration::from_millis(50)), [Effect::Launch(WorkerId(2), JobId(2))]);
    bench.gone(0);
    assert_eq!(not_started(&mut bench, 2), (false, vec![]), "alone it has nothing to wait for");
    assert!(bench.pool.is_quiet());
}

#[test]
fn an_interrupted_job_gets_the_next_signal_after_each_grace_time() {
    let mut bench = Bench::new(&spec(Workers::Fixed(1)));
    bench.submit(1);
    bench.ready(0);
    let worker = WorkerId(0);
    assert_eq!(bench.escalate(1, EscalationStep::Interrupt), [Effect::Escalate(worker, EscalationStep::Interrupt)]);
    assert_eq!(bench.escalate(1, EscalationStep::Interrupt), [], "one interrupt a task");
    assert_eq!(bench.pool.next_time(), Some(bench.now + GRACE));
    assert_eq!(bench.pass(GRACE), [Effect::Escalate(worker, EscalationStep::Terminate)]);
    assert_eq!(bench.pass(GRACE), [Effect::Escalate(worker, EscalationStep::Kill)]);
    assert_eq!(bench.pass(GRACE), [Effect::Stuck(worker)], "nothing is stronger: people are told, once");
    assert_eq!(bench.pool.next_time(), None);
    assert_eq!(bench.gone(0).0, Some(Orphan { job: JobId(1), interrupted: true }));
}

#[test]
fn a_job_that_ends_after_its_interrupt_is_not_escalated() {
    let mut bench = Bench::new(&spec(Workers::Fixed(1)));
    bench.submit(1);
    bench.ready(0);
    bench.escalate(1, EscalationStep::Interrupt);
    bench.done(0);
    assert_eq!(bench.submit(2), [send(0, 2)]);
    assert_eq!(bench.pass(GRACE * 10), []);
}

#[test]
fn a_queued_job_can_be_withdrawn_and_a_running_one_cannot() {
    let mut bench = Bench::new(&spec(Workers::Fixed(1)));
    bench.submit(1);
    bench.submit(2);
    bench.ready(0);
    assert!(!bench.pool.withdraw(JobId(1)));
    assert!(bench.pool.withdraw(JobId(2)));
    assert_eq!(bench.done(0), []);
}

#[test]
fn programs_and_workers_share_the_slots_of_a_pool() {
    let mut bench = Bench::new(&spec(Workers::Fixed(2)));
    assert_eq!(bench.program(1), [Effect::Launch(WorkerId(0), JobId(1))]);
    assert_eq!(bench.program(2), [Effect::Launch(WorkerId(1), JobId(2))]);
    assert_eq!(bench.program(3), []);
    let orphan = Orphan { job: JobId(1), interrupted: false };
    assert_eq!(bench.gone(0), (Some(orphan), vec![Effect::Launch(WorkerId(2), JobId(3))]));
}

#[test]
fn a_worker_that_is_not_ready_is_late_once_and_overdue_once() {
    let spec = PoolSpec { start_timeout: Some(Duration::from_secs(60)), ..spec(Workers::Fixed(1)) };
    let mut bench = Bench::new(&spec);
    bench.submit(1);
    assert_eq!(bench.pool.next_time(), None);
    bench.pool.on_worker_starting(WorkerId(0), bench.now);
    assert_eq!(bench.pass(Duration::from_secs(9)), []);
    assert_eq!(bench.pass(Duration::from_secs(1)), [Effect::Late(WorkerId(0))]);
    assert_eq!(bench.pass(Duration::from_secs(49)), []);
    assert_eq!(bench.pass(Duration::from_secs(1)), [Effect::Overdue(WorkerId(0))]);
    assert_eq!(bench.pool.next_time(), None);
    assert_eq!(bench.gone(0), (None, vec![Effect::Spawn(WorkerId(1))]));
}

#[test]
fn a_worker_that_became_ready_is_neither_late_nor_overdue() {
    let spec = PoolSpec { start_timeout: Some(Duration::from_secs(5)), ..spec(Workers::Fixed(1)) };
    let mut bench = Bench::new(&spec);
    bench.submit(1);
    bench.pool.on_worker_starting(WorkerId(0), bench.now);
    bench.ready(0);
    assert_eq!(bench.pass(Duration::from_secs(60)), []);
}

#[test]
fn a_closing_pool_lets_every_worker_go_when_nothing_waits() {
    let mut bench = Bench::new(&spec(Workers::Fixed(2)));
    bench.submit(1);
    bench.submit(2);
    bench.ready(0);
    bench.pool.close(&mut bench.effects);
    assert_eq!(bench.taken(), []);
    assert_eq!(bench.done(0), [send(0, 2)]);
    assert_eq!(bench.done(0), [Effect::Retire(WorkerId(0))]);
    assert_eq!(bench.ready(1), [Effect::Retire(WorkerId(1))]);
}
