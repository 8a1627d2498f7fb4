-- Version 1 of the history. Times are microseconds since the epoch, durations microseconds, sizes bytes. A column without
-- a value (NULL) is not known, or not yet: never 0 instead. JSON is text. What of a value JSON has no form for is
-- {"$type": "numpy.ndarray", "$repr": "..."}, what is too large to be kept {"$type": "str", "$bytes": 12345, "$start": "..."}.

-- One row.
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- The number of the last change: each row that is written gets the next one.
    change INTEGER NOT NULL,
    -- Random, made with the file. A follower that finds another one than before follows another file, from change 0.
    identity TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
    -- The run's number, from 1; never used again, also not when the run is forgotten.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Its last change.
    change INTEGER NOT NULL,
    -- The workflow's name.
    workflow TEXT NOT NULL,
    -- queued, running, or how it ended: finished, error, failed, stopped, aborted, timeout, interrupted (the supervisor
    -- died), or a word of the workflow's own.
    status TEXT NOT NULL,
    -- What who asked for it called it; '' where they did not.
    label TEXT NOT NULL,
    -- Higher ones start first.
    priority INTEGER NOT NULL,
    -- Who asked for it: the user's number; NULL where the service itself did, or it ran in the foreground.
    uid INTEGER,
    -- How long it may take, where that was asked for instead of the workflow's.
    timeout_us INTEGER,
    -- When it was accepted, when it began (for the last time), when it ended.
    queued_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    -- How often it has begun: more than once after a crash with on_crash = "rerun" or "resume".
    begun INTEGER NOT NULL DEFAULT 0,
    -- All inputs, those of the workflow included; what the stop actor held.
    inputs TEXT NOT NULL,
    outputs TEXT,
    -- The last error that nobody took, or what stopped the run: the actor ('' where it is none's), the message, Python's traceback.
    error_actor TEXT,
    error TEXT,
    traceback TEXT,
    -- What was said from outside of who is behind the run: as pypushflow's besdb records have it.
    request_id TEXT,
    initiator TEXT,
    host TEXT,
    port TEXT,
    -- How many tasks of it have ended, how many of those in an error, and how many of those ended are not in the table tasks:
    -- the disk was too slow, had no room, or they were forgotten to stay within max_size.
    tasks INTEGER NOT NULL DEFAULT 0,
    failed_tasks INTEGER NOT NULL DEFAULT 0,
    left_out INTEGER NOT NULL DEFAULT 0,
    -- What its tasks have used together, and where that was read: cgroup, rusage, proc, joined by +.
    cpu_user_us INTEGER,
    cpu_system_us INTEGER,
    memory_peak INTEGER,
    read_bytes INTEGER,
    written_bytes INTEGER,
    origin TEXT,
    -- The process that runs it or has it in its queue: boot id, process number and start time, joined by colons.
    owner TEXT NOT NULL
) STRICT;
CREATE INDEX runs_by_change ON runs (change);
CREATE INDEX runs_by_status ON runs (status, id);
CREATE INDEX runs_by_time ON runs (queued_at);

-- The actors of a run that make tasks: one row for each that has made one.
CREATE TABLE actors (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    -- /WORKFLOW/SUBMODEL/ACTOR, and what people call it: without the workflow.
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    -- python or exec.
    kind TEXT NOT NULL,
    -- The script's file or module; of a program its command as a JSON list.
    script TEXT NOT NULL,
    -- The pool its tasks run in.
    pool TEXT NOT NULL,
    -- How many of its tasks have ended (each attempt counts), how many of those in an error, for how long they ran in all, and the longest.
    -- Right also for tasks that were left out of the table tasks.
    tasks INTEGER NOT NULL DEFAULT 0,
    failed_tasks INTEGER NOT NULL DEFAULT 0,
    time_us INTEGER NOT NULL DEFAULT 0,
    longest_us INTEGER NOT NULL DEFAULT 0,
    -- What they have used together, written when the run is over; origin as for runs.
    cpu_user_us INTEGER,
    cpu_system_us INTEGER,
    memory_peak INTEGER,
    read_bytes INTEGER,
    written_bytes INTEGER,
    origin TEXT
) STRICT;
CREATE UNIQUE INDEX actors_by_run ON actors (run, path);
CREATE INDEX actors_by_name ON actors (name, run);

-- The attempts to execute a python or exec actor: written when they end, and before that if they still run after a moment.
CREATE TABLE tasks (
    -- In the order in which they were first written.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    change INTEGER NOT NULL,
    run INTEGER NOT NULL,
    -- actors.id
    actor INTEGER NOT NULL,
    -- Which task of its run (a retry has the same number), and which attempt, from 0.
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    -- running, finished, error (it raised, its program failed), interrupted, lost (its worker died), timeout, stopped (its run was,
    -- before it could start), unrecorded (it has ended, how was left out).
    status TEXT NOT NULL,
    -- When its inputs arrived at the actor (of a retry: when its time had come), when a worker got it, when it ended.
    queued_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    -- The process number of the worker or program.
    worker INTEGER,
    -- What it was given, and what it returned (that alone): JSON objects.
    inputs TEXT NOT NULL,
    outputs TEXT,
    -- Of one that failed: the message, and Python's traceback or the last lines of a program.
    error TEXT,
    traceback TEXT,
    -- What it has used, where that is known by itself; as for runs.
    cpu_user_us INTEGER,
    cpu_system_us INTEGER,
    memory_peak INTEGER,
    read_bytes INTEGER,
    written_bytes INTEGER,
    origin TEXT
) STRICT;
CREATE INDEX tasks_by_change ON tasks (change);
CREATE INDEX tasks_by_run ON tasks (run, id);

-- What runs that are not over need to run, or to go on: exact values. Rows go when their run ends.
CREATE TABLE kept_runs (
    run INTEGER PRIMARY KEY,
    -- The inputs: keys with pickles.
    inputs BLOB NOT NULL,
    -- What the workflow was when the run began; another one does not go on from its results.
    definition TEXT,
    -- Why it was being stopped, where it was: it does not run again then.
    stopping TEXT
) STRICT;
CREATE TABLE kept_results (
    run INTEGER NOT NULL,
    -- The order in which the attempts ended, from 0: without a gap, or what comes after the gap is not used.
    position INTEGER NOT NULL,
    -- Which task of the run.
    number INTEGER NOT NULL,
    -- Keys with pickles, or an error.
    outcome BLOB NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
