//! What runs and actors have used, written on the board: at the end of a run, and when somebody looks at one that goes on.

use super::Service;
use crate::supervisor::RunId;

impl Service {
    /// Somebody looks: the meters of what runs are read.
    pub(super) fn account_so_far(&mut self) {
        for run in self.active.keys() {
            if let Some(account) = self.supervisor.resources_mut().account_so_far(*run) {
                self.board.with(|state| state.has_used(*run, account, false));
            }
        }
        self.account_for_all();
    }

    /// A run has ended. Nobody reads its account after this: it goes, so that memory does not grow with the runs.
    pub(super) fn account_at_the_end(&mut self, run: RunId) {
        if let Some(account) = self.supervisor.resources_mut().take_account(run) {
            self.board.with(|state| state.has_used(run, &account, true));
        }
        self.account_for_all();
    }

    fn account_for_all(&mut self) {
        let latest = self.supervisor.resources_mut().take_latest_durations();
        let account = self.supervisor.resources().workflow_account();
        let mut used = account.runs;
        used.merge(&account.workers);
        if let Some(mixed) = &account.mixed {
            used.merge(mixed);
        }
        self.board.with(|state| {
            state.used = used;
            state.tasks_took(&latest);
        });
    }
}
