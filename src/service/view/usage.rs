//! Resource usage of runs and actors in the status snapshot: at the end of a run, and whenever a caller asks during a run.

use crate::service::Service;
use crate::supervisor::RunId;

impl Service {
    /// Reads the meters of the running runs.
    pub(in crate::service) fn update_usage(&mut self) {
        for run in self.active.keys() {
            if let Some(account) = self.supervisor.resources_mut().account_so_far(*run) {
                self.snapshot.with(|state| state.set_usage(*run, account, false));
            }
        }
        self.update_total_usage();
    }

    /// Takes the account of a run that has ended. Nobody reads it after this: memory does not grow with the number of runs.
    pub(in crate::service) fn account_at_end(&mut self, run: RunId) {
        if let Some(account) = self.supervisor.resources_mut().take_account(run) {
            self.snapshot.with(|state| state.set_usage(run, &account, true));
        }
        self.update_total_usage();
    }

    fn update_total_usage(&mut self) {
        let latest = self.supervisor.resources_mut().take_latest_durations();
        let account = self.supervisor.resources().workflow_account();
        let mut used = account.runs;
        used.merge(&account.workers);
        if let Some(mixed) = &account.mixed {
            used.merge(mixed);
        }
        self.snapshot.with(|state| {
            state.used = used;
            state.set_durations(&latest);
        });
    }
}
