//! What a follower sees while another connection writes.

#![allow(clippy::unwrap_used)]

use rusqlite::{Connection, params};

use super::{Filter, HistoryError, Reader, VERSION, open_for_writing};

fn put_run(connection: &Connection, id: i64, change: i64, status: &str) {
    connection
        .execute(
            "INSERT OR REPLACE INTO runs (id, change, workflow, status, label, priority, queued_at, inputs, owner)
             VALUES (?1, ?2, 'w', ?3, '', 0, ?1 * 10, '{}', '')",
            params![id, change, status],
        )
        .unwrap();
    connection
        .execute("INSERT OR IGNORE INTO actors VALUES (?1, ?1, '/w/a', 'a', 'python', '/a.py', 'default', 0, 0, 0, 0, 0, 0, 0, 0, 0, '')", [id])
        .unwrap();
    connection.execute("UPDATE state SET change = max(change, ?1)", [change]).unwrap();
}

fn put_task(connection: &Connection, run: i64, number: i64, change: i64) {
    connection
        .execute(
            "INSERT INTO tasks (change, run, actor, number, attempt, status, queued_at, inputs)
             VALUES (?1, ?2, ?2, ?3, 0, 'running', 5, '{}')",
            params![change, run, number],
        )
        .unwrap();
    connection.execute("UPDATE state SET change = max(change, ?1)", [change]).unwrap();
}

#[test]
fn a_follower_gets_every_change_once_however_little_it_takes_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w/history.sqlite");
    let writer = open_for_writing(&path, true).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.changes(0, 10).unwrap().cursor, 0);

    put_run(&writer, 1, 1, "running");
    for number in 0..7 {
        put_task(&writer, 1, number, 2 + number);
    }
    put_run(&writer, 2, 9, "queued");
    // Moved behind its tasks.
    put_run(&writer, 1, 10, "finished");
    for limit in [1, 2, 3, 100] {
        let (mut cursor, mut seen, mut more) = (0, Vec::new(), true);
        while more {
            let changes = reader.changes(cursor, limit).unwrap();
            assert!(changes.cursor > cursor, "it goes on: {changes:?}");
            for task in &changes.tasks {
                assert!(changes.runs.iter().any(|run| run.id == task.run), "a task comes with its run");
            }
            seen.extend(changes.tasks.iter().map(|task| task.number));
            (cursor, more) = (changes.cursor, changes.more);
        }
        assert_eq!((seen, cursor), ((0..7).collect(), 10), "{limit} at a time");
    }
    put_task(&writer, 1, 7, 11);
    let changes = reader.changes(10, 100).unwrap();
    assert_eq!(changes.tasks.iter().map(|task| task.number).collect::<Vec<_>>(), [7]);
    assert_eq!(changes.runs.iter().map(|run| (run.id, run.status.word())).collect::<Vec<_>>(), [(1, "finished")]);
}

#[test]
fn runs_are_found_by_what_is_known_of_them_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    let writer = open_for_writing(&path, true).unwrap();
    for (id, status) in [(1, "finished"), (2, "failed"), (3, "finished")] {
        put_run(&writer, id, id, status);
    }
    let reader = Reader::open(&path).unwrap();
    let ids = |filter: Filter| reader.runs(&filter).unwrap().iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(ids(Filter::default()), [3, 2, 1]);
    assert_eq!(ids(Filter { status: Some("finished".into()), ..Filter::default() }), [3, 1]);
    assert_eq!(ids(Filter { since: Some(20), limit: Some(1), ..Filter::default() }), [3]);
    assert_eq!(ids(Filter { actor: Some("a".into()), since: Some(30), ..Filter::default() }), [3]);
    assert!(ids(Filter { actor: Some("b".into()), ..Filter::default() }).is_empty());
}

#[test]
fn a_file_of_a_newer_version_is_left_as_it_is_and_one_that_is_missing_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    assert!(matches!(Reader::open(&path), Err(HistoryError::Missing(_))));
    open_for_writing(&path, true).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(open_for_writing(&path, true), Err(HistoryError::TooNew { .. })));
    assert!(matches!(Reader::open(&path), Err(HistoryError::TooNew { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
