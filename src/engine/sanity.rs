//! Invariants of a run between two calls, for tests.

use super::state::{Attempt, Phase, Run};
use crate::graph::Kind;

impl Run {
    /// Panics if the state is inconsistent.
    pub(super) fn sanity_check(&self) {
        for &(at, id) in &self.timers {
            let task = self.tasks.get(&id).unwrap_or_else(|| panic!("a timer of {id:?}, which does not exist"));
            match task.attempt {
                Attempt::Queued => panic!("a timer of {id:?}, which waits for a worker"),
                Attempt::Running { deadline, .. } => assert_eq!(deadline, Some(at), "{id:?}"),
                Attempt::Waiting(again) => assert_eq!(again, at, "{id:?}"),
            }
        }
        for (&id, task) in &self.tasks {
            let actor = self.workflow.actor(task.actor);
            assert!(actor.kind.is_task(), "a task of {}", actor.path);
            assert!(task.retries <= actor.retry.times, "too many retries of {}", actor.path);
            match task.attempt {
                Attempt::Running { deadline, .. } => {
                    assert!(deadline.is_none_or(|at| self.timers.contains(&(at, id))), "{id:?} lost its timeout");
                }
                Attempt::Waiting(at) => assert!(self.timers.contains(&(at, id)), "{id:?} lost its retry"),
                Attempt::Queued => {}
            }
        }
        for (&id, waiting) in &self.joins {
            let Kind::Join { arrivals } = self.workflow.actor(id).kind else { panic!("{id:?} is not a join") };
            assert!((1..arrivals).contains(&waiting.len()), "a join of {arrivals} holds {}", waiting.len());
        }
        self.check_phase();
    }

    fn check_phase(&self) {
        let running = self.tasks.values().all(|task| matches!(task.attempt, Attempt::Running { .. }));
        match self.phase {
            Phase::Running => {}
            Phase::Stopping(_) => assert!(running, "something waits although the run was stopped"),
            Phase::TimedOut => {
                assert!(running, "something waits although the run's time is over");
                assert!(!self.has_triggers() && self.joins.is_empty(), "payloads flow although the run's time is over");
            }
            Phase::New | Phase::Ended => {
                assert!(self.size() == 0 && self.next_time().is_none(), "there is something before or after the run");
            }
        }
        let over = self.tasks.is_empty() && !self.has_triggers();
        assert!(!over || matches!(self.phase, Phase::New | Phase::Ended), "the run hangs");
    }
}
