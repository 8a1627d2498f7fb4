//! Prefill.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const SHORT: Duration = Duration::from_micros(100);
const WORKER: WorkerId = WorkerId(0);

fn prefill(worker: u32, job: u64) -> Effect {
    Effect::Prefill(WorkerId(worker), JobId(job))
}

/// A pool with these workers, ready; jobs 0 up to that number were submitted, and 15 are done: they were short.
fn busy(spec: &PoolSpec, jobs: u64) -> Bench {
    let mut bench = Bench::new(spec);
    for job in 0..jobs {
        bench.submit(job);
    }
    for worker in 0..spec.workers.most() {
        bench.ready(worker);
    }
    for _ in 0..15 {
        bench.answer(0, SHORT);
    }
    bench
}

impl Bench {
    fn answer(&mut self, worker: u32, took: Duration) -> Vec<Effect> {
        let answer = Answer { took, short: took <= super::super::SHORT };
        self.pool.on_job_ended(WorkerId(worker), answer, self.now, &mut self.effects);
        self.taken()
    }

    fn back(&mut self, worker: u32, jobs: &[u64]) -> Vec<Effect> {
        let jobs: Vec<JobId> = jobs.iter().copied().map(JobId).collect();
        self.pool.on_retracted(WorkerId(worker), &jobs, self.now, &mut self.effects);
        self.taken()
    }
}

#[test]
fn a_worker_gets_its_share_of_what_waits_once_jobs_are_known_to_be_short() {
    let mut bench = busy(&spec(Workers::Fixed(2)), 25);
    // 0 to 16 were given out one at a time; 17 is the first that may be followed.
    assert!(!bench.pool.may_be_followed(WORKER));
    let effects = bench.answer(0, SHORT);
    assert_eq!(effects, [send(0, 17), prefill(0, 18), prefill(0, 19), prefill(0, 20)]);
    assert!(bench.pool.may_be_followed(WORKER));
    assert_eq!(bench.pool.prefilled_at(JobId(20)), Some(WORKER));
    assert_eq!(bench.answer(0, SHORT), [], "it has enough, and 18 is its job now");
    assert_eq!(bench.pool.prefilled_at(JobId(18)), None);
}

#[test]
fn the_prefilled_jobs_of_a_worker_are_no_more_than_a_little_work() {
    let long = Duration::from_micros(400);
    let mut bench = busy(&spec(Workers::Fixed(1)), 500);
    for _ in 0..100 {
        bench.answer(0, long);
    }
    // As they come where they are read together.
    for _ in 0..6 {
        bench.answer(0, 10 * long);
        (0..9).for_each(|_| drop(bench.answer(0, Duration::ZERO)));
        (0..16).for_each(|_| drop(bench.answer(0, long)));
    }
    let waiting = (0..500).filter(|job| bench.pool.prefilled_at(JobId(*job)).is_some()).count();
    assert!((1..=6).contains(&waiting), "{waiting} jobs of 0.4 ms");
}

#[test]
fn nothing_is_prefilled_where_it_cannot_be_retracted_or_jobs_are_long() {
    let specs = [
        PoolSpec { kind: PoolType::Thread, ..spec(Workers::Fixed(2)) },
        PoolSpec { gevent: true, ..spec(Workers::Fixed(2)) },
        PoolSpec { launcher: vec!["nice".into()], ..spec(Workers::Fixed(2)) },
        PoolSpec { max_tasks_per_worker: Some(1), ..spec(Workers::Fixed(2)) },
    ];
    for spec in specs {
        let mut bench = busy(&spec, 100);
        assert!(!bench.answer(0, SHORT).iter().any(|effect| matches!(effect, Effect::Prefill(..))), "{spec:?}");
    }
    let mut bench = busy(&spec(Workers::Fixed(2)), 100);
    bench.answer(1, Duration::from_millis(1));
    assert_eq!(bench.answer(0, SHORT), [send(0, 18)], "the count begins anew");
}

#[test]
fn a_job_that_cannot_be_prefilled_waits_for_an_idle_worker_and_is_not_overtaken() {
    let mut bench = busy(&spec(Workers::Fixed(2)), 20);
    bench.pool.submit(JobId(20), Needs::IdleWorker, &mut bench.effects);
    for job in 21..60 {
        bench.submit(job);
    }
    let mut given = Vec::new();
    while !given.contains(&send(0, 20)) {
        let effects = bench.answer(0, SHORT);
        assert!(given.len() < 20, "{given:?}");
        given.extend(effects.into_iter().filter(|effect| matches!(effect, Effect::Send(..) | Effect::Prefill(..))));
    }
    assert!(!bench.pool.may_be_followed(WORKER), "nothing waits behind it either");
    assert!((21..60).all(|job| !given.contains(&prefill(0, job))), "{given:?}");
}

#[test]
fn a_worker_is_not_sent_more_than_it_may_execute() {
    let spec = PoolSpec { max_tasks_per_worker: Some(20), ..spec(Workers::Fixed(1)) };
    let mut bench = busy(&spec, 100);
    assert_eq!(bench.answer(0, SHORT), [send(0, 16), prefill(0, 17), prefill(0, 18), prefill(0, 19)]);
    for _ in 17..20 {
        assert_eq!(bench.answer(0, SHORT), []);
    }
    assert_eq!(bench.answer(0, SHORT)[0], Effect::Retire(WORKER));
}

#[test]
fn prefilled_jobs_are_retracted_for_an_idle_worker() {
    let mut bench = busy(&spec(Workers::Fixed(2)), 25);
    bench.answer(0, SHORT);
    // Of 21 to 24 it gets 21 and what is its share of the rest, and so on.
    let mut effects = Vec::new();
    while !effects.contains(&Effect::Retract(WORKER)) {
        effects = bench.answer(1, SHORT);
        assert!(!effects.is_empty() || bench.pool.prefilled_at(JobId(24)).is_none());
    }
    assert_eq!(bench.back(0, &[18, 19, 20]), [send(1, 18)], "17 is executed");
    assert_eq!(bench.answer(1, SHORT)[0], send(1, 19));
}

#[test]
fn jobs_prefilled_behind_a_long_job_are_retracted() {
    let mut bench = busy(&spec(Workers::Fixed(2)), 200);
    bench.answer(0, SHORT);
    assert_eq!(bench.pass(Duration::from_millis(9)), []);
    assert_eq!(bench.pool.next_time(), Some(bench.now + Duration::from_millis(1)));
    assert_eq!(bench.pass(Duration::from_millis(1)), [Effect::Retract(WORKER)]);
    assert_eq!(bench.pass(Duration::ZERO), [], "once");
}

#[test]
fn the_prefilled_jobs_of_a_worker_that_dies_are_the_next_to_be_given_out() {
    let mut bench = busy(&spec(Workers::Fixed(2)), 40);
    bench.answer(0, SHORT);
    let (orphan, effects) = bench.gone(0);
    assert_eq!(orphan, Some(Orphan { job: JobId(17), interrupted: false }));
    assert_eq!(effects, [spawn(2)]);
    assert_eq!(bench.answer(1, Duration::from_millis(1)), [send(1, 18)]);
}

#[test]
fn a_job_that_a_worker_has_not_begun_after_all_is_the_first_to_be_given_out() {
    let mut bench = busy(&spec(Workers::Fixed(2)), 25);
    bench.answer(0, SHORT);
    // 18 was taken by the worker while 17 and 19 were taken back.
    assert_eq!(bench.back(0, &[17, 19]), []);
    assert_eq!(bench.answer(1, Duration::from_millis(1)), [send(1, 17)]);
    assert_eq!(bench.back(0, &[18, 20])[0], send(0, 18), "it has nothing to do then");
}

#[test]
fn while_prefill_is_paused_retracted_jobs_can_be_withdrawn() {
    let mut bench = busy(&spec(Workers::Fixed(2)), 100);
    bench.answer(0, SHORT);
    assert_eq!(bench.pool.pause_prefill(), [WORKER]);
    // What it had begun has been answered meanwhile, and more.
    for _ in 0..30 {
        assert!(!bench.answer(1, SHORT).iter().any(|effect| matches!(effect, Effect::Prefill(..))));
    }
    let waiting: Vec<u64> = (0..100).filter(|job| bench.pool.prefilled_at(JobId(*job)).is_some()).collect();
    assert_eq!(bench.back(0, &waiting), []);
    for job in waiting {
        assert!(bench.pool.withdraw(JobId(job)), "{job}");
    }
    bench.pool.resume_prefill();
    assert!(!bench.answer(0, SHORT).iter().any(|effect| matches!(effect, Effect::Prefill(..))));
}

/// Workers as the supervisor has them: what is in the queue of each, and what it executes.
#[derive(Default)]
struct World {
    queues: BTreeMap<WorkerId, VecDeque<JobId>>,
    /// How often each job has ended.
    ended: BTreeMap<JobId, u32>,
}

impl World {
    fn queue(&mut self, worker: WorkerId) -> &mut VecDeque<JobId> {
        self.queues.get_mut(&worker).expect("a worker that was started and has not gone")
    }

    fn carry_out(&mut self, bench: &mut Bench) {
        let mut todo = VecDeque::from(bench.taken());
        while let Some(effect) = todo.pop_front() {
            match effect {
                Effect::Spawn(worker) => {
                    self.queues.insert(worker, VecDeque::new());
                    bench.pool.on_worker_ready(worker, bench.now, &mut bench.effects);
                }
                Effect::Send(worker, job) => {
                    let queue = self.queue(worker);
                    assert!(queue.is_empty(), "{worker:?} has something to do");
                    queue.push_back(job);
                }
                Effect::Prefill(worker, job) => self.queue(worker).push_back(job),
                Effect::Retract(worker) => self.retract(bench, worker, 1),
                Effect::Retire(worker) => {
                    assert!(self.queue(worker).is_empty());
                    self.queues.remove(&worker);
                    bench.pool.on_worker_ended(worker, bench.now, &mut bench.effects);
                }
                other => panic!("{other:?}"),
            }
            todo.extend(bench.taken());
        }
    }

    /// Retracts all but the first so many jobs.
    fn retract(&mut self, bench: &mut Bench, worker: WorkerId, begun: usize) {
        let queue = self.queue(worker);
        let back: Vec<JobId> = queue.drain(begun.min(queue.len())..).collect();
        bench.pool.on_retracted(worker, &back, bench.now, &mut bench.effects);
    }

    fn answer(&mut self, bench: &mut Bench, worker: WorkerId, took: Duration) {
        if let Some(job) = self.queues.get_mut(&worker).and_then(VecDeque::pop_front) {
            *self.ended.entry(job).or_default() += 1;
            let answer = Answer { took, short: took <= super::super::SHORT };
            bench.pool.on_job_ended(worker, answer, bench.now, &mut bench.effects);
        }
    }

    fn die(&mut self, bench: &mut Bench, worker: WorkerId) {
        if let Some(queue) = self.queues.remove(&worker) {
            let orphan = bench.pool.on_worker_ended(worker, bench.now, &mut bench.effects);
            assert_eq!(orphan.map(|orphan| orphan.job), queue.front().copied());
            orphan.into_iter().for_each(|orphan| *self.ended.entry(orphan.job).or_default() += 1);
        }
    }
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(256))]

    #[test]
    fn each_job_ends_once_whatever_happens(
        workers in 1..4_u32,
        most_tasks in prop::option::of(2..40_u32),
        events in prop::collection::vec((0..100_u8, any::<prop::sample::Index>()), 100..600),
    ) {
        let spec = PoolSpec { max_tasks_per_worker: most_tasks, ..spec(Workers::Fixed(workers)) };
        let mut bench = Bench::new(&spec);
        let mut world = World::default();
        let mut jobs = 0;
        for (event, which) in events {
            let worker = which.index(world.queues.len().max(1));
            let worker = world.queues.keys().nth(worker).copied();
            match (event, worker) {
                (0..20, _) => for _ in 0..which.index(30) {
                    bench.pool.submit(JobId(jobs), Needs::Worker, &mut bench.effects);
                    jobs += 1;
                },
                (20..94, Some(worker)) => world.answer(&mut bench, worker, SHORT),
                (94..96, Some(worker)) => world.answer(&mut bench, worker, Duration::from_millis(3)),
                (96, Some(worker)) => world.retract(&mut bench, worker, 0),
                (97, Some(worker)) => world.retract(&mut bench, worker, 2),
                (98, Some(worker)) => world.die(&mut bench, worker),
                (99, _) => {
                    bench.now += Duration::from_millis(20);
                    bench.pool.on_time(bench.now, &mut bench.effects);
                }
                _ => {}
            }
            world.carry_out(&mut bench);
        }
        while let Some(worker) = world.queues.iter().find(|(_, queue)| !queue.is_empty()).map(|(worker, _)| *worker) {
            world.answer(&mut bench, worker, SHORT);
            world.carry_out(&mut bench);
        }
        prop_assert!(bench.pool.is_quiet());
        prop_assert_eq!(world.ended.len() as u64, jobs);
        prop_assert!(world.ended.values().all(|times| *times == 1));
    }
}
