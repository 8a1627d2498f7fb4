//! A million recorded tasks.

use std::time::{Duration, Instant};

use pushflow::history::open_for_writing;

use crate::support::Project;
use crate::support::process::output;
use crate::{file, history};

const FILL: &str = "
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
INSERT INTO runs (change, workflow, status, label, priority, queued_at, started_at, ended_at, inputs, owner, tasks)
SELECT i, 'w', iif(i % 10, 'finished', 'failed'), '', 0, i * 1000000, i * 1000000, i * 1000000 + 5, '{}', '', 100 FROM n;
INSERT INTO actors (id, run, path, name, kind, script, pool) SELECT id, id, '/w/a', 'a', 'python', 'a.py', 'default' FROM runs;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
INSERT INTO tasks (change, run, actor, number, attempt, status, queued_at, started_at, ended_at, worker, inputs, outputs)
SELECT 10000 + i, 1 + i / 100, 1 + i / 100, i % 100, 0, 'finished', i, i, i + 1, 7, '{\"x\":1,\"y\":[1,2,3]}', '{\"z\":2}' FROM n;
UPDATE state SET change = 2000000;
";

#[test]
fn history_answers_in_a_tenth_of_a_second_over_a_million_tasks() {
    let project = Project::new();
    let writer = open_for_writing(&file(&project), true).unwrap();
    writer.execute_batch(FILL).unwrap();
    drop(writer);
    let questions: [&[&str]; 4] =
        [&[], &["w", "--status", "failed"], &["--actor", "a"], &["--since", "1970-01-01 12:00"]];
    for question in questions {
        let arguments = [&["history", "--user", "--json"], question].concat();
        let took = |_| {
            let since = Instant::now();
            assert!(output(&mut project.command(&arguments)).status.success());
            since.elapsed()
        };
        // The best of several: others use the machine too.
        let best = (0..10).map(took).min().unwrap();
        eprintln!("{question:?}: {best:?}");
        assert!(best < Duration::from_millis(100), "{question:?} took {best:?}");
    }
    assert_eq!(history(&project, &["w", "--status", "failed"]).len(), 1000);
}
