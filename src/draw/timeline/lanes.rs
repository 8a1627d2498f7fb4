//! Lanes: the rows of a timeline. A worker has one lane, or several if tasks run in it concurrently. Consecutive workers share a lane, so
//! that a thousand short-lived workers do not need a thousand rows.

use std::collections::HashMap;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    rows: Vec<Lane>,
    /// The rows of each pool: workers and programs apart.
    pools: Vec<(String, bool, Vec<usize>)>,
    /// The row that a worker had last.
    of_worker: HashMap<(usize, i32), usize>,
}

#[derive(Debug)]
struct Lane {
    pool: usize,
    worker: i32,
    /// Other workers have been in it.
    several: bool,
    busy_until: u64,
}

impl Lanes {
    /// The row for a task.
    pub(super) fn put(&mut self, pool: &str, worker: i32, program: bool, from: u64, to: u64) -> usize {
        let known = self.pools.iter().position(|(name, programs, _)| name == pool && *programs == program);
        let pool = known.unwrap_or_else(|| {
            self.pools.push((pool.to_owned(), program, Vec::new()));
            self.pools.len() - 1
        });
        let own = self.of_worker.get(&(pool, worker)).copied().filter(|row| self.rows[*row].busy_until <= from);
        let free = |row: &&usize| self.rows[**row].busy_until <= from;
        // Its own, one of its own that is free, any that is free, a new one.
        let row = own
            .or_else(|| self.pools[pool].2.iter().filter(free).find(|row| self.rows[**row].worker == worker).copied())
            .or_else(|| self.pools[pool].2.iter().find(|row| free(row) && self.is_deserted(**row, from)).copied());
        let row = row.unwrap_or_else(|| {
            self.rows.push(Lane { pool, worker, several: false, busy_until: 0 });
            let row = self.rows.len() - 1;
            self.pools[pool].2.push(row);
            row
        });
        let lane = &mut self.rows[row];
        lane.several |= lane.worker != worker;
        lane.worker = worker;
        lane.busy_until = to;
        self.of_worker.insert((pool, worker), row);
        row
    }

    /// Whether the worker that was in it last has been idle for long, as far as is known: it may have ended. Where there are few
    /// rows each worker keeps its own.
    fn is_deserted(&self, row: usize, from: u64) -> bool {
        let lane = &self.rows[row];
        let (_, program, rows) = &self.pools[lane.pool];
        *program || rows.len() >= 8 || from.saturating_sub(lane.busy_until) > 60_000_000
    }

    /// The rows in the order in which they are shown, with their names.
    pub(super) fn shown(&self) -> Vec<(usize, String)> {
        let rows = self.pools.iter().flat_map(|(name, program, rows)| {
            rows.iter().map(move |row| {
                let lane = &self.rows[*row];
                let who = match (program, lane.several) {
                    (true, _) => "programs".to_owned(),
                    (false, true) => "workers".to_owned(),
                    (false, false) => lane.worker.to_string(),
                };
                (*row, format!("{name} · {who}"))
            })
        });
        rows.collect()
    }
}
