//! One worker and its jobs, without a process: the double records what is asked for.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::time::Duration;

use super::state::{Assignment, Delivery, Ended, Successor, Worker};
use super::transitions::{Effects, close, give_up, on_answer, on_ready, retract};
use crate::pool::{JobId, WorkerId};

/// What the double was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Started,
    SlotReady(u32),
    Began(u64),
    Ended(u64, &'static str),
    Lost(u64),
    Interrupted(u64),
    NotBegun(u64),
    Unread(u64),
    Retracted(Vec<u64>),
    Resumed,
    Disconnected,
    Killed(&'static str),
}

use Told::*;

const GARBAGE: &str = "sent garbage";
const SLOT: WorkerId = WorkerId(7);

/// A worker without a process: its queue, and a record of what was asked for.
struct Double {
    worker: Option<Worker>,
    queue: VecDeque<JobId>,
    escalating: bool,
    told: Vec<Told>,
    ends: Vec<Ended>,
    now: u64,
}

impl Effects for Double {
    type Reply = &'static str;

    fn worker(&mut self) -> Option<&mut Worker> {
        self.worker.as_mut()
    }

    fn empty_queue(&mut self) -> Vec<JobId> {
        self.queue.drain(..).collect()
    }

    fn is_escalating(&self) -> bool {
        self.escalating
    }

    fn on_started(&mut self) {
        self.told.push(Started);
    }

    fn on_slot_ready(&mut self, slot: WorkerId) {
        self.told.push(SlotReady(slot.0));
    }

    fn on_job_began(&mut self, job: JobId) {
        self.told.push(Began(job.0));
    }

    fn on_job_ended(&mut self, ended: &Ended, reply: &'static str) {
        self.ends.push(*ended);
        self.told.push(Ended(ended.job.0, reply));
    }

    fn on_job_lost(&mut self, job: JobId, _fault: &str) {
        self.told.push(Lost(job.0));
    }

    fn on_job_interrupted(&mut self, job: JobId) {
        self.told.push(Interrupted(job.0));
    }

    fn on_job_not_begun(&mut self, job: JobId) {
        self.told.push(NotBegun(job.0));
    }

    fn on_job_unread(&mut self, job: JobId) {
        self.told.push(Unread(job.0));
    }

    fn on_prefilled_retracted(&mut self, jobs: &[JobId]) {
        self.told.push(Retracted(jobs.iter().map(|job| job.0).collect()));
    }

    fn resume(&mut self) {
        self.told.push(Resumed);
    }

    fn disconnect(&mut self) {
        self.told.push(Disconnected);
    }

    fn kill(&mut self, fault: String) {
        self.told.push(Killed(if fault.starts_with(GARBAGE) { GARBAGE } else { "broken" }));
    }
}

impl Double {
    fn starting() -> Self {
        let worker = Some(Worker::new(SLOT, false));
        Double { worker, queue: VecDeque::new(), escalating: false, told: Vec::new(), ends: Vec::new(), now: 0 }
    }

    /// A worker that is ready and has no job.
    fn idle() -> Self {
        let mut double = Double::starting();
        on_ready(&mut double);
        double.expect([Started, SlotReady(7)]);
        double
    }

    /// A worker that executes job 1, has answered job 0, and may have these jobs behind it.
    fn busy(prefilled: &[u64]) -> Self {
        let mut double = Double::idle();
        double.send(0, Successor::Unknown);
        double.takes();
        double.answers(0);
        double.send(1, if prefilled.is_empty() { Successor::Unknown } else { Successor::Follows });
        double.takes();
        double.prefill(prefilled);
        double.expect([Ended(0, "done")]);
        double
    }

    /// A process whose slots 0, 1 and 2 execute the jobs 10, 11 and none.
    fn shared() -> Self {
        let mut double = Double { worker: Some(Worker::new(WorkerId(0), true)), ..Double::starting() };
        let worker = double.worker.as_mut().unwrap();
        assert!(!worker.add_slot(WorkerId(1)), "it has to wait until the process is ready");
        on_ready(&mut double);
        assert!(double.its().add_slot(WorkerId(2)));
        for slot in [0, 1] {
            double.its().assign(assignment(10 + u64::from(slot), WorkerId(slot), Delivery::Direct, Successor::Unknown));
        }
        double.expect([Started, SlotReady(0), SlotReady(1)]);
        double
    }

    fn its(&mut self) -> &mut Worker {
        self.worker.as_mut().unwrap()
    }

    fn later(&mut self) -> Duration {
        self.now += 1;
        Duration::from_millis(self.now)
    }

    fn send(&mut self, job: u64, successor: Successor) {
        let since = self.later();
        self.its().assign(Assignment { since, ..assignment(job, SLOT, Delivery::Queued, successor) });
        self.queue.push_back(JobId(job));
    }

    fn prefill(&mut self, jobs: &[u64]) {
        for job in jobs {
            let since = self.later();
            assert!(self.its().prefill(JobId(*job), since));
            self.queue.push_back(JobId(*job));
        }
    }

    /// The worker takes the oldest job out of its queue.
    fn takes(&mut self) {
        self.queue.pop_front().unwrap();
    }

    fn answers(&mut self, job: u64) {
        let now = self.later();
        on_answer(self, JobId(job), "done", now);
    }

    /// What was asked for since this was called last: this, and nothing else.
    fn expect<const N: usize>(&mut self, told: [Told; N]) {
        assert_eq!(std::mem::take(&mut self.told), told);
    }

    fn running(&mut self) -> Vec<u64> {
        self.its().running().map(|its| its.job.0).collect()
    }
}

fn assignment(job: u64, slot: WorkerId, delivery: Delivery, successor: Successor) -> Assignment {
    Assignment { job: JobId(job), slot, delivery, successor, since: Duration::ZERO, started_something: false }
}

#[test]
fn a_worker_that_is_ready_can_be_given_jobs_and_answers_them() {
    let mut it = Double::idle();
    it.send(1, Successor::Unknown);
    assert_eq!(it.running(), [1]);
    it.takes();
    it.answers(1);
    assert!(it.its().is_idle());
    it.expect([Ended(1, "done")]);
}

#[test]
fn a_worker_that_is_ready_twice_is_given_up() {
    let mut it = Double::idle();
    on_ready(&mut it);
    it.expect([Disconnected, Killed(GARBAGE)]);
}

#[test]
fn a_worker_that_is_ready_after_its_connection_was_closed_is_given_up_and_gets_no_job() {
    let mut it = Double::starting();
    close(&mut it);
    it.expect([Disconnected]);
    assert!(!it.its().was_ready());
    on_ready(&mut it);
    it.expect([Disconnected, Killed(GARBAGE)]);
    assert!(!it.its().was_ready(), "its start has failed");
}

#[test]
fn a_worker_that_is_gone_asks_for_nothing() {
    let mut it = Double { worker: None, ..Double::starting() };
    on_ready(&mut it);
    it.answers(1);
    retract(&mut it);
    close(&mut it);
    it.expect([]);
}

#[test]
fn a_worker_that_answers_twice_is_given_up() {
    let mut it = Double::busy(&[]);
    it.answers(1);
    it.answers(1);
    it.expect([Ended(1, "done"), Disconnected, Killed(GARBAGE)]);
}

#[test]
fn a_worker_that_answers_a_job_that_it_was_not_given_is_given_up_and_keeps_its_own_until_it_has_ended() {
    let mut it = Double::busy(&[]);
    it.answers(9);
    it.expect([Disconnected, Killed(GARBAGE)]);
    assert_eq!(it.running(), [1]);
    assert_eq!(it.its().unread(), None);
}

#[test]
fn a_worker_that_answers_a_prefilled_job_before_the_current_one_is_given_up_and_loses_what_it_may_have_begun() {
    let mut it = Double::busy(&[2, 3, 4]);
    it.takes();
    it.answers(2);
    it.expect([Retracted(vec![3, 4]), Disconnected, Lost(1), Began(2), Killed(GARBAGE)]);
    assert_eq!(it.running(), [2], "it ends with the process");
}

#[test]
fn the_end_of_a_job_is_told_before_the_next_one_begins() {
    let mut it = Double::busy(&[2, 3]);
    it.takes();
    it.answers(1);
    it.takes();
    it.answers(2);
    it.answers(3);
    it.expect([Ended(1, "done"), Began(2), Ended(2, "done"), Began(3), Ended(3, "done")]);
    assert!(it.its().is_idle());
}

#[test]
fn a_silent_job_may_be_followed_at_once_and_its_time_begins_with_the_answer_before() {
    let mut it = Double::busy(&[2]);
    it.answers(1);
    let sent = it.now;
    it.now += 10;
    it.answers(2);
    let [_, first, second] = it.ends[..] else { panic!("{:?}", it.ends) };
    assert!(first.silent && second.silent && !second.pauses);
    assert_eq!(second.took, Duration::from_millis(it.now - sent));
    it.expect([Ended(1, "done"), Began(2), Ended(2, "done")]);
}

#[test]
fn a_job_that_is_not_silent_makes_its_worker_wait_until_the_end_was_told() {
    let mut it = Double::busy(&[2]);
    it.its().on_pauses(true);
    it.answers(1);
    let ended = it.ends[1];
    assert!(!ended.silent && ended.pauses && ended.started_something);
    it.expect([Ended(1, "done"), Began(2), Resumed]);
    it.answers(2);
    assert!(it.ends[2].silent && !it.ends[2].started_something, "that was the job before");
    it.expect([Ended(2, "done")]);
}

#[test]
fn a_job_without_a_successor_is_not_silent_and_its_worker_waits_anyway() {
    let mut it = Double::busy(&[]);
    it.answers(1);
    assert!(!it.ends[1].silent && !it.ends[1].pauses);
    it.expect([Ended(1, "done")]);
}

#[test]
fn a_worker_that_dies_between_two_frames_loses_the_job_that_it_has_begun_and_no_other() {
    let mut it = Double::busy(&[2, 3]);
    it.takes();
    it.answers(1);
    // It is reaped now.
    close(&mut it);
    it.expect([Ended(1, "done"), Began(2), Retracted(vec![3]), Disconnected]);
    assert_eq!(it.running(), [2]);
    assert_eq!(it.its().unread(), None);
    assert!(!it.its().has_prefilled());
}

#[test]
fn a_worker_that_dies_before_it_has_taken_its_job_leaves_it_to_others() {
    let mut it = Double::busy(&[2, 3]);
    it.answers(1);
    close(&mut it);
    it.expect([Ended(1, "done"), Began(2), Retracted(vec![3]), Unread(2), Disconnected]);
    assert_eq!(it.its().unread(), Some(JobId(2)));
    assert!(it.running().is_empty());
    assert!(!it.its().is_idle(), "it gets no other job for that");
}

#[test]
fn the_first_job_of_a_worker_is_lost_with_it_also_if_it_was_not_taken() {
    let mut it = Double::idle();
    it.send(1, Successor::Unknown);
    close(&mut it);
    it.expect([Disconnected]);
    assert_eq!((it.running(), it.its().unread()), (vec![1], None));
}

#[test]
fn a_worker_that_closes_with_a_job_in_hand_has_it_until_it_has_ended() {
    let mut it = Double::busy(&[]);
    give_up(&mut it, "broken".to_owned());
    it.expect([Disconnected, Killed("broken")]);
    assert_eq!(it.running(), [1]);
    give_up(&mut it, "broken".to_owned());
    it.expect([Disconnected, Killed("broken")]);
    assert_eq!(it.running(), [1], "a second fault changes nothing");
}

#[test]
fn a_job_that_is_given_to_a_closed_worker_ends_with_it() {
    let mut it = Double::idle();
    close(&mut it);
    it.send(1, Successor::Unknown);
    assert_eq!(it.running(), [1]);
    let now = it.later();
    assert!(!it.its().prefill(JobId(2), now));
    retract(&mut it);
    it.expect([Disconnected]);
}

#[test]
fn a_retraction_takes_back_the_prefilled_jobs_that_the_worker_has_not_taken() {
    let mut it = Double::busy(&[2, 3, 4]);
    it.takes();
    retract(&mut it);
    it.expect([Retracted(vec![3, 4])]);
    // It has begun 2: the answer to 1 is on its way.
    it.answers(1);
    it.expect([Ended(1, "done"), Began(2)]);
}

#[test]
fn a_retraction_takes_back_a_job_that_counts_as_begun_and_was_not() {
    let mut it = Double::busy(&[2, 3]);
    it.answers(1);
    retract(&mut it);
    it.expect([Ended(1, "done"), Began(2), Retracted(vec![3]), NotBegun(2)]);
    assert!(it.its().is_idle());
}

#[test]
fn a_worker_that_takes_a_job_during_a_retraction_has_begun_it() {
    let mut it = Double::busy(&[2, 3]);
    it.answers(1);
    it.queue.remove(1);
    retract(&mut it);
    it.expect([Ended(1, "done"), Began(2), NotBegun(2), Began(3)]);
    it.answers(3);
    it.expect([Ended(3, "done")]);
}

#[test]
fn a_worker_that_takes_a_job_while_it_is_closed_loses_that_one_only() {
    let mut it = Double::busy(&[2, 3]);
    it.answers(1);
    it.queue.remove(1);
    close(&mut it);
    it.expect([Ended(1, "done"), Began(2), NotBegun(2), Began(3), Disconnected]);
    assert_eq!((it.running(), it.its().unread()), (vec![3], None));
}

#[test]
fn a_retraction_from_a_worker_that_has_begun_all_of_its_jobs_changes_nothing() {
    let mut it = Double::busy(&[2]);
    it.takes();
    retract(&mut it);
    it.expect([]);
    assert_eq!(it.running(), [1]);
    let mut it = Double::idle();
    retract(&mut it);
    it.expect([]);
}

#[test]
fn what_was_sent_over_the_connection_is_not_retracted() {
    let mut it = Double::idle();
    it.its().assign(assignment(1, SLOT, Delivery::Direct, Successor::Unknown));
    // Where the job is, is written in the queue.
    it.queue.push_back(JobId(1));
    retract(&mut it);
    assert_eq!(it.queue.len(), 1);
    it.expect([]);
}

#[test]
fn a_worker_that_is_interrupted_has_no_prefilled_jobs_afterwards() {
    let mut it = Double::busy(&[2, 3]);
    it.escalating = true;
    retract(&mut it);
    it.expect([Retracted(vec![2, 3])]);
    assert_eq!(it.running(), [1], "this is the one to be interrupted");
}

#[test]
fn a_job_that_is_interrupted_before_the_worker_has_taken_it_ends_so() {
    let mut it = Double::busy(&[2, 3]);
    it.answers(1);
    it.escalating = true;
    retract(&mut it);
    it.expect([Ended(1, "done"), Began(2), Retracted(vec![3]), Interrupted(2)]);
    assert!(it.its().is_idle());
}

#[test]
fn a_process_that_a_job_has_started_is_noted_until_that_job_ends() {
    let mut it = Double::busy(&[2]);
    assert!(it.its().on_started_something());
    it.answers(1);
    it.answers(2);
    assert_eq!(it.ends[1..].iter().map(|ended| ended.started_something).collect::<Vec<_>>(), [true, false]);
    assert!(!it.its().on_started_something(), "it has no job");
}

#[test]
fn it_may_be_further_than_is_known_only_while_a_job_may_follow() {
    let mut it = Double::busy(&[2]);
    assert!(it.its().may_be_further());
    it.answers(1);
    it.answers(2);
    assert!(!it.its().may_be_further());
    assert!(!Double::busy(&[]).its().may_be_further());
}

#[test]
fn the_slots_of_a_process_have_jobs_of_their_own() {
    let mut it = Double::shared();
    assert_eq!(it.its().job_of(WorkerId(1)), Some(JobId(11)));
    assert_eq!(it.its().job_of(WorkerId(2)), None);
    it.answers(10);
    assert_eq!(it.running(), [11]);
    assert!(!it.ends[0].silent && !it.ends[0].slot_ends);
    retract(&mut it);
    it.expect([Ended(10, "done")]);
}

#[test]
fn a_process_that_gets_no_more_jobs_ends_with_the_last_one_that_it_has() {
    let mut it = Double::shared();
    assert_eq!(it.its().accept_no_more(), [WorkerId(2)], "the idle slot ends at once");
    it.answers(11);
    assert!(it.ends[0].slot_ends);
    it.expect([Ended(11, "done")]);
    it.answers(10);
    it.expect([Ended(10, "done"), Disconnected]);
    assert_eq!(it.its().slots(), []);
}

#[test]
fn a_process_that_breaks_the_protocol_takes_all_of_its_jobs_along() {
    let mut it = Double::shared();
    it.answers(12);
    it.expect([Disconnected, Killed(GARBAGE)]);
    assert_eq!(it.running(), [10, 11], "none is lost before the process has ended");
}
