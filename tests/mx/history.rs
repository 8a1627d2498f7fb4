//! A history that a test writes itself.

use std::path::{Path, PathBuf};

use pushflow::history::open_for_writing;
use rusqlite::{Connection, params};

pub struct History {
    folder: tempfile::TempDir,
    connection: Connection,
}

impl History {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_for_writing(&folder.path().join("history.sqlite"), true).unwrap();
        History { folder, connection }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("history.sqlite")
    }

    fn change(&self) -> i64 {
        let query = "UPDATE state SET change = change + 1 RETURNING change";
        self.connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// Several writes in one transaction.
    pub fn at_once(&self, write: impl FnOnce(&Self)) {
        self.connection.execute_batch("BEGIN").unwrap();
        write(self);
        self.connection.execute_batch("COMMIT").unwrap();
    }

    /// A run that begins, with these inputs.
    pub fn begin(&self, id: u64, inputs: &str) {
        let at = 1_700_000_000_000_000 + id as i64 * 1_000_000;
        self.connection
            .execute(
                "INSERT INTO runs (id, change, workflow, status, label, priority, queued_at, started_at, begun, inputs, owner)
                 VALUES (?1, ?2, 'flow', 'running', '', 0, ?3, ?3 + 5000, 1, ?4, '')",
                params![id as i64, self.change(), at, inputs],
            )
            .unwrap();
        self.connection
            .execute(
                "INSERT INTO actors (id, run, path, name, kind, script, pool)
                 VALUES (?1, ?1, '/flow/a', 'a', 'python', 'a.py', 'default')",
                [id as i64],
            )
            .unwrap();
    }

    /// A task that starts; its number in the file.
    pub fn task(&self, run: u64, inputs: &str) -> u64 {
        self.connection
            .execute(
                "INSERT INTO tasks (change, run, actor, number, attempt, status, queued_at, inputs)
                 VALUES (?1, ?2, ?2, 0, 0, 'running', 1700000000000000, ?3)",
                params![self.change(), run as i64, inputs],
            )
            .unwrap();
        self.connection.last_insert_rowid() as u64
    }

    /// The task has returned this.
    pub fn done(&self, task: u64, outputs: &str) {
        let query = "UPDATE tasks SET change = ?2, status = 'finished', ended_at = 1700000001000000, outputs = ?3 WHERE id = ?1";
        self.connection.execute(query, params![task as i64, self.change(), outputs]).unwrap();
    }

    pub fn end(&self, run: u64, status: &str) {
        let query = "UPDATE runs SET change = ?2, status = ?3, ended_at = started_at + 1000000 WHERE id = ?1";
        self.connection.execute(query, params![run as i64, self.change(), status]).unwrap();
    }

    /// A whole run with so many tasks.
    pub fn whole(&self, id: u64, tasks: u64) {
        self.at_once(|history| {
            history.begin(id, &format!("{{\"request_id\":\"request {id}\"}}"));
            for number in 0..tasks {
                let task = history.task(id, &format!("{{\"number\":{number}}}"));
                history.done(task, &format!("{{\"number\":{}}}", number + 1));
            }
            history.end(id, "finished");
        });
    }

    /// Gives the file another identity, as a new one has.
    pub fn replace_identity(&self) {
        self.connection.execute("UPDATE state SET identity = 'another'", []).unwrap();
    }

    /// Loses the last changes, as a host without power does.
    pub fn turn_back_to(&self, change: i64) {
        self.connection.execute("UPDATE state SET change = ?1", [change]).unwrap();
        self.connection.execute("DELETE FROM tasks WHERE change > ?1", [change]).unwrap();
        self.connection.execute("DELETE FROM runs WHERE change > ?1", [change]).unwrap();
    }
}
