//! Pools of threads and greenlets: several workers of the pool are slots of one process, the one that was started for the
//! first of them.
//!
//! A task that does not return when it is interrupted can only be ended together with its process. That process gets no
//! more jobs then, and the tasks beside it have the grace time to finish.

use super::{PoolWorkers, Workers};
use crate::graph::PoolId;
use crate::pool::WorkerId;

/// How a worker leaves its process.
#[must_use]
pub(in crate::supervisor) enum Leaving {
    /// It was one of several slots, and has ended.
    Slot,
    /// It is the process, or its last slot: the connection is to be closed.
    Process(WorkerId),
}

impl Workers {
    /// The worker that the process of this one was started for: itself, unless they share a process.
    pub(in crate::supervisor) fn process_of(&self, pool: PoolId, worker: WorkerId) -> WorkerId {
        self.pools[pool.index()].processes.get(&worker).copied().unwrap_or(worker)
    }

    /// Makes a worker a slot of the present process of its pool. `None` if there is none; otherwise whether that is ready.
    pub(in crate::supervisor) fn join_process(&mut self, (pool, worker): (PoolId, WorkerId)) -> Option<bool> {
        let PoolWorkers { workers, processes, open, .. } = &mut self.pools[pool.index()];
        let open = (*open)?;
        let is_ready = workers.get_mut(&open)?.state.add_slot(worker);
        processes.insert(worker, open);
        Some(is_ready)
    }

    /// Further workers share this process.
    pub(super) fn open_process(&mut self, (pool, worker): (PoolId, WorkerId)) {
        self.pools[pool.index()].open = Some(worker);
    }

    /// No further worker shares this process.
    pub(super) fn close_process(&mut self, (pool, worker): (PoolId, WorkerId)) {
        let PoolWorkers { workers, processes, open, .. } = &mut self.pools[pool.index()];
        open.take_if(|open| *open == worker);
        if !workers.contains_key(&worker) {
            processes.retain(|_, process| *process != worker);
        }
    }

    /// An idle worker is to end.
    pub(in crate::supervisor) fn retire(&mut self, (pool, worker): (PoolId, WorkerId)) -> Leaving {
        let id = (pool, self.process_of(pool, worker));
        let Some(process) = self.get_mut(id).filter(|process| process.state.is_shared()) else {
            return Leaving::Process(worker);
        };
        if process.state.slots().len() == 1 {
            self.close_process(id);
            return Leaving::Process(id.1);
        }
        process.state.remove_slot(worker);
        self.forget_slot(pool, worker);
        Leaving::Slot
    }

    /// A slot has ended.
    pub(in crate::supervisor) fn forget_slot(&mut self, pool: PoolId, slot: WorkerId) {
        self.pools[pool.index()].processes.remove(&slot);
    }

    /// A shared process gets no more jobs. Returns its idle slots, which end.
    #[must_use]
    pub(in crate::supervisor) fn accept_no_more(&mut self, id: (PoolId, WorkerId)) -> Vec<WorkerId> {
        self.close_process(id);
        let idle = self.get_mut(id).map(|process| process.state.accept_no_more()).unwrap_or_default();
        idle.iter().for_each(|slot| self.forget_slot(id.0, *slot));
        idle
    }
}
