//! The reader of a history. Other processes may write it meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params, params_from_iter};

use super::rows::{FIGURES, RUN, RUN_1, TASK, actor, run, task};
use crate::history::HistoryError;
use crate::history::file::migrations;
use crate::history::record::{ActorRecord, RunRecord, TaskRecord};

/// How long a reader waits for a writer: while SQLite recovers the file after a crash.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open history. Each call sees one consistent state, and later calls see later writes.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    /// The columns of a run, as this file has them.
    run: &'static str,
}

/// Which runs are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those with this status.
    pub status: Option<String>,
    /// Those accepted at this time or later.
    pub since: Option<u64>,
    /// Those with a task of this actor: its name without the workflow.
    pub actor: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// What has changed since a cursor.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The runs that have changed, and the runs of changed tasks, by number.
    pub runs: Vec<RunRecord>,
    /// The attempts that have changed, by change.
    pub tasks: Vec<TaskRecord>,
    /// The next cursor.
    pub cursor: u64,
    /// Whether there are more changes already.
    pub more: bool,
}

impl Reader {
    /// Opens an existing history.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let first = Connection::open_with_flags(path, flags).and_then(usable);
        let connection = match first {
            // Nobody writes it, and this user may not create the files that readers and writers share.
            Err(error) if is_cannot_open(&error) && path.is_file() && !wal_of(path).exists() => {
                let uri = format!("file:{}?immutable=1", escaped(path));
                Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(usable)
            }
            other => other,
        };
        let connection = connection.map_err(|error| match path.try_exists() {
            Ok(false) => HistoryError::Missing(path.to_owned()),
            Ok(true) if std::fs::File::open(path).is_ok() => HistoryError::database("read", path)(error),
            _ => HistoryError::Denied(path.to_owned()),
        })?;
        let run = match migrations::version(&connection, path)? {
            // It is just being created.
            0 => return Err(HistoryError::Missing(path.to_owned())),
            1 => RUN_1,
            _ => RUN,
        };
        Ok(Reader { connection, path: path.to_owned(), run })
    }

    /// The workflow file whose history this is, if that was recorded.
    pub fn file(&self) -> Result<Option<String>, HistoryError> {
        if self.run == RUN_1 {
            return Ok(None);
        }
        self.connection.query_row("SELECT file FROM state", [], |row| row.get(0)).map_err(self.cannot())
    }

    /// The identity of this file. Another file in its place has another identity.
    pub fn identity(&self) -> Result<String, HistoryError> {
        self.connection.query_row("SELECT identity FROM state", [], |row| row.get(0)).map_err(self.cannot())
    }

    /// One run.
    pub fn run(&self, id: u64) -> Result<Option<RunRecord>, HistoryError> {
        let query = format!("SELECT {} FROM runs WHERE id = ?1", self.run);
        self.connection.query_row(&query, [id as i64], run).optional().map_err(self.cannot())
    }

    /// The runs that are wanted, newest first.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<RunRecord>, HistoryError> {
        let mut query = format!("SELECT {} FROM runs", self.run);
        let mut wanted = Vec::new();
        let mut values: Vec<Sql> = Vec::new();
        if let Some(status) = &filter.status {
            wanted.push("status = ?");
            values.push(status.clone().into());
        }
        if let Some(since) = filter.since {
            wanted.push("queued_at >= ?");
            values.push((since as i64).into());
        }
        if let Some(actor) = &filter.actor {
            wanted.push("id IN (SELECT run FROM actors WHERE name = ?)");
            values.push(actor.clone().into());
        }
        if !wanted.is_empty() {
            query.push_str(" WHERE ");
            query.push_str(&wanted.join(" AND "));
        }
        query.push_str(" ORDER BY id DESC");
        if let Some(limit) = filter.limit {
            query.push_str(&format!(" LIMIT {limit}"));
        }
        self.list(&query, params_from_iter(values), run)
    }

    /// The actors of a run that have made tasks, in the order in which they first did.
    pub fn actors(&self, run: u64) -> Result<Vec<ActorRecord>, HistoryError> {
        let query = format!(
            "SELECT path, name, kind, script, pool, tasks, failed_tasks, time_us, longest_us, {FIGURES}
             FROM actors WHERE run = ?1 ORDER BY id"
        );
        self.list(&query, [run as i64], actor)
    }

    /// The attempts of a run after this id, at most so many, in the order in which they were first written.
    pub fn tasks(&self, run: u64, after: u64, limit: u32) -> Result<Vec<TaskRecord>, HistoryError> {
        let query = format!("SELECT {TASK} WHERE tasks.run = ?1 AND tasks.id > ?2 ORDER BY tasks.id LIMIT ?3");
        self.list(&query, params![run as i64, after as i64, limit], task)
    }

    /// The attempts of a run that failed, at most so many, the last ones, oldest first.
    pub fn failed_tasks(&self, run: u64, limit: u32) -> Result<Vec<TaskRecord>, HistoryError> {
        let query = format!(
            "SELECT {TASK} WHERE tasks.run = ?1 AND status NOT IN ('finished', 'running') \
             ORDER BY tasks.id DESC LIMIT ?2"
        );
        let mut tasks = self.list(&query, params![run as i64, limit], task)?;
        tasks.reverse();
        Ok(tasks)
    }

    /// What has changed since this cursor (0: everything), at most about so many rows: one state of the file.
    pub fn changes(&mut self, cursor: u64, limit: u32) -> Result<Changes, HistoryError> {
        let cannot = HistoryError::database("read", &self.path);
        let snapshot = self.connection.transaction().map_err(cannot)?;
        let changes = changes(&snapshot, self.run, cursor as i64, limit.max(1));
        changes.map_err(HistoryError::database("read", &self.path))
    }

    fn list<T>(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        rows(&self.connection, query, parameters, read).map_err(self.cannot())
    }

    fn cannot(&self) -> impl FnOnce(rusqlite::Error) -> HistoryError {
        HistoryError::database("read", &self.path)
    }
}

fn usable(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(PATIENCE)?;
    // SQLite opens the file only when it is used.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn is_cannot_open(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// A path in a URI: characters with a meaning there are percent-encoded.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn rows<T>(
    connection: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(query)?.query_map(parameters, read)?.collect()
}

fn changes(snapshot: &Connection, columns: &str, cursor: i64, limit: u32) -> rusqlite::Result<Changes> {
    let top: i64 = snapshot.query_row("SELECT change FROM state", [], |row| row.get(0))?;
    // The change at which a table reaches the limit.
    let cut = |table: &str| {
        let query = format!("SELECT change FROM {table} WHERE change > ?1 ORDER BY change LIMIT 1 OFFSET ?2");
        snapshot.prepare_cached(&query)?.query_row(params![cursor, limit - 1], |row| row.get(0)).optional()
    };
    let last = [cut("tasks")?, cut("runs")?].into_iter().flatten().fold(top, i64::min);
    let query = format!("SELECT {TASK} WHERE tasks.change > ?1 AND tasks.change <= ?2 ORDER BY tasks.change");
    let tasks = rows(snapshot, &query, [cursor, last], task)?;
    let mut ids: BTreeSet<i64> = tasks.iter().map(|task| task.run as i64).collect();
    ids.extend(rows(snapshot, "SELECT id FROM runs WHERE change > ?1 AND change <= ?2", [cursor, last], |row| {
        row.get::<_, i64>(0)
    })?);
    let query = format!("SELECT {columns} FROM runs WHERE id = ?1");
    let mut found = snapshot.prepare_cached(&query)?;
    let runs = ids.iter().filter_map(|id| found.query_row([id], run).optional().transpose());
    let runs = runs.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Changes { runs, tasks, cursor: last as u64, more: last < top })
}
