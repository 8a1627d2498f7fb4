//! What tasks have used, as `pushflow run` tells it: from wait4 and /proc, as this host's tests may have no cgroup.

use serde_json::Value;

use crate::support::{Finished, Project};

/// Runs with `--accounting-file`; what is in the file, and how the run ended.
fn accounts(project: &Project) -> (Value, Finished) {
    let finished = project.run(&["--accounting-file", "accounts.json"]);
    let text = std::fs::read_to_string(project.path("accounts.json")).unwrap();
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}\n{}", finished.stderr)), finished)
}

fn of<'a>(accounts: &'a Value, actor: &str) -> &'a Value {
    let actors = accounts["actors"].as_array().unwrap();
    actors.iter().find(|it| it["actor"] == actor).unwrap_or_else(|| panic!("no {actor} in {accounts}"))
}

/// CPU time in user mode and in the kernel together, seconds.
fn cpu(of: &Value) -> f64 {
    ["cpu_user_seconds", "cpu_system_seconds"].map(|key| of[key]["value"].as_f64().unwrap()).iter().sum()
}

fn cpu_or_zero(of: &Value) -> f64 {
    if of.get("cpu_user_seconds").is_some() { cpu(of) } else { 0.0 }
}

#[track_caller]
fn within_a_tenth(value: f64, expected: f64) {
    assert!((value - expected).abs() <= expected / 10.0, "{value} is not within a tenth of {expected}");
}

/// A chain of these actors, in one worker.
fn chain(actors: &[(&str, &str)]) -> Project {
    let names: Vec<&str> =
        [&["start"][..], &actors.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &["stop"]].concat();
    let links: Vec<String> =
        names.windows(2).map(|pair| format!("{{ from = '{}', to = '{}' }}", pair[0], pair[1])).collect();
    let sections: String = actors.iter().map(|(name, _)| format!("[actors.{name}]\nscript = '{name}.py'\n")).collect();
    let project = Project::with_workflow(
        &format!("[pool]\nmax_workers = 1\n{sections}"),
        &format!("links = [{}]", links.join(", ")),
    );
    actors.iter().fold(project, |project, (name, script)| project.file(&format!("{name}.py"), script))
}

const BURN: &str = "import time\ndef burn(seconds):\n    start = time.process_time()\n    while time.process_time() - start < seconds: pass\n";

#[test]
fn a_task_is_charged_for_its_cpu_time_and_the_next_one_is_not() {
    let project = chain(&[
        ("burns", &format!("{BURN}def run(**_):\n    burn(1.5)\n    return {{}}")),
        ("rests", "import time\ndef run(**_):\n    time.sleep(0.2)\n    return {}"),
    ]);
    let (accounts, finished) = accounts(&project);
    finished.json();
    within_a_tenth(cpu(of(&accounts, "burns")), 1.5);
    assert!(cpu(of(&accounts, "rests")) < 0.1, "{accounts}");
    assert_eq!(of(&accounts, "burns")["tasks"], 1);
    assert!(of(&accounts, "rests")["longest_seconds"].as_f64().unwrap() >= 0.2, "{accounts}");
    let total = cpu(&accounts["total"]);
    assert!(total >= 1.5, "{accounts}");
    let tasks = accounts["last_tasks"].as_array().unwrap();
    assert_eq!((&tasks[0]["actor"], &tasks[1]["actor"]), (&"burns".into(), &"rests".into()), "{accounts}");
    within_a_tenth(cpu(&tasks[0]), 1.5);
    assert!(tasks[0]["memory_bytes"]["value"].as_u64() > Some(1 << 20), "{accounts}");
}

#[test]
fn what_a_task_starts_and_waits_for_is_the_tasks() {
    let script = format!(
        "{BURN}import subprocess, sys\nCODE = {BURN:?} + 'burn(1)'\ndef run(**_):\n    subprocess.run([sys.executable, '-c', CODE], check=True)\n    return {{}}"
    );
    let (accounts, finished) = accounts(&chain(&[("parent", &script)]));
    finished.json();
    // The start of an interpreter is the task's too.
    let used = cpu(of(&accounts, "parent"));
    assert!((0.95..1.4).contains(&used), "{accounts}");
}

#[test]
fn a_program_is_charged_by_wait4() {
    let project = Project::with_workflow(
        &format!("[actors.prog]\nkind = 'exec'\ncommand = ['python3', '-c', {:?}]", format!("{BURN}burn(1)")),
        "links = [{ from = 'start', to = 'prog' }, { from = 'prog', to = 'stop' }]",
    );
    let (accounts, finished) = accounts(&project);
    finished.json();
    let program = of(&accounts, "prog");
    assert!((0.95..1.3).contains(&cpu(program)), "{accounts}");
    assert!(program["memory_peak_bytes"]["value"].as_u64().unwrap() > 1 << 20, "{accounts}");
}

#[test]
fn a_peak_of_memory_belongs_to_the_task_that_had_it() {
    let project = chain(&[
        (
            "large",
            "def run(**_):\n    data = bytearray(200 << 20)\n    data[::4096] = bytes(len(data) // 4096)\n    return {}",
        ),
        ("small", "import time\ndef run(**_):\n    time.sleep(0.1)\n    return {}"),
    ]);
    let (accounts, finished) = accounts(&project);
    finished.json();
    let peak = |actor| of(&accounts, actor)["memory_peak_bytes"]["value"].as_u64().unwrap() >> 20;
    // The interpreter has some 10 MiB itself.
    assert!((200..=220).contains(&peak("large")), "{accounts}");
    assert!(peak("small") < 60, "{accounts}");
}

#[test]
fn bytes_that_a_task_writes_are_counted() {
    let script = "import os\ndef run(**_):\n    with open('big', 'wb') as file:\n        for _ in range(20):\n            file.write(os.urandom(1 << 20))\n        file.flush()\n        os.fsync(file.fileno())\n    return {}";
    // Below target: /tmp may be memory, and nothing is written to a device there.
    let project = chain(&[("writes", script)]).in_target();
    let (accounts, finished) = accounts(&project);
    finished.json();
    within_a_tenth(of(&accounts, "writes")["written_bytes"]["value"].as_f64().unwrap(), (20 << 20) as f64);
}

#[test]
fn a_task_that_dies_with_its_worker_is_charged_too() {
    let script =
        format!("{BURN}import os, signal\ndef run(**_):\n    burn(1)\n    os.kill(os.getpid(), signal.SIGKILL)");
    let (accounts, finished) = accounts(&chain(&[("dies", &script)]));
    assert_eq!(finished.code, Some(1));
    within_a_tenth(cpu(of(&accounts, "dies")), 1.0);
    assert_eq!(of(&accounts, "dies")["tasks"], 1);
}

#[test]
fn what_ran_side_by_side_in_one_process_is_not_divided() {
    // Each waits for the other before it burns: they run at the same time.
    let script = |mine: &str, other: &str| {
        format!(
            "{BURN}import os\ndef run(**_):\n    open('{mine}', 'w').close()\n    while not os.path.exists('{other}'): time.sleep(0.01)\n    while time.thread_time() < 0.5: pass\n    return {{}}"
        )
    };
    let project = Project::with_workflow(
        "[pool]\ntype = 'thread'\nmax_workers = 2\n[actors.one]\nscript = 'one.py'\n[actors.two]\nscript = 'two.py'\n[actors.both]\nkind = 'join'",
        "links = [{ from = 'start', to = 'one' }, { from = 'start', to = 'two' }, { from = 'one', to = 'both' }, { from = 'two', to = 'both' }, { from = 'both', to = 'stop' }]",
    )
    .file("one.py", &script("a", "b"))
    .file("two.py", &script("b", "a"));
    let (accounts, finished) = accounts(&project);
    finished.json();
    for actor in ["one", "two"] {
        assert_eq!(of(&accounts, actor)["some_is_shared"], true, "{accounts}");
        assert_eq!(of(&accounts, actor)["tasks"], 1);
    }
    // When one has ended, what the other does is its own.
    let alone: f64 = ["one", "two"].iter().map(|actor| cpu_or_zero(of(&accounts, actor))).sum();
    let together = cpu(&accounts["several_actors"]);
    assert!(together > 0.2 && (0.9..1.3).contains(&(together + alone)), "{accounts}");
}

#[test]
fn tasks_of_one_actor_add_up_however_short_they_are() {
    let project = Project::with_workflow(
        "[pool]\nmax_workers = 1\n[actors.count]\nscript = 'count.py'\n[actors.again]\nkind = 'router'\nitem = 'go'",
        "links = [{ from = 'start', to = 'count' }, { from = 'count', to = 'again' }, { from = 'again', to = 'count', port = true }, { from = 'again', to = 'stop', port = false }]",
    )
    .file("count.py", "def run(n=0, **_):\n    sum(range(2000))\n    return {'n': n + 1, 'go': n < 4999}");
    let (accounts, finished) = accounts(&project);
    assert_eq!(finished.json()["n"], 5000);
    assert_eq!(accounts["last_tasks"].as_array().unwrap().len(), 1000);
    let count = of(&accounts, "count");
    assert_eq!(count["tasks"], 5000);
    assert_eq!(count["some_is_shared"], false);
    assert!(cpu(count) > 0.05, "{accounts}");
}

#[test]
fn the_table_goes_to_standard_error_and_the_output_alone_to_standard_output() {
    let project = chain(&[("task", "def run(**_): return {'x': 1}")]);
    let finished = project.run(&["--accounting"]);
    assert_eq!(finished.json(), serde_json::json!({ "x": 1 }));
    let table = &finished.stderr;
    for word in ["actor", "CPU user", "peak memory", "(starting workers)", "total", "w: finished after "] {
        assert!(table.contains(word), "{word} is missing:\n{table}");
    }
    let row = table.lines().find(|line| line.trim_start().starts_with("task ")).unwrap();
    assert_eq!(row.split_whitespace().nth(1), Some("1"), "{row}");
    let json = project.run(&["--quiet", "--accounting", "--json"]);
    assert_eq!(json.stdout, finished.stdout);
    assert_eq!(serde_json::from_str::<Value>(&json.stderr).unwrap()["status"], "finished");
}

#[test]
fn nothing_is_said_that_was_not_asked_for() {
    let finished = chain(&[("task", "def run(**_): return {}")]).run(&[]);
    for word in ["CPU", "wait4", "cgroup", "not applied"] {
        assert!(!finished.stderr.contains(word), "{}", finished.stderr);
    }
}

#[test]
fn a_file_for_the_accounts_that_cannot_be_written_is_said_before_the_run() {
    let project = chain(&[("task", "def run(**_):\n    open('ran', 'w')\n    return {}")]);
    let finished = project.run(&["--accounting-file", "nowhere/accounts.json"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("cannot write the accounts to nowhere/accounts.json"), "{}", finished.stderr);
    assert!(!project.path("ran").exists());
}

#[test]
fn a_limit_that_does_not_hold_is_named_once_with_what_helps() {
    let project = chain(&[("task", "def run(**_): return {}")]);
    let text = std::fs::read_to_string(project.path("w.toml")).unwrap();
    let project =
        project.file("w.toml", &text.replace("max_workers = 1", "max_workers = 1\nmemory_max = '1G'\npids_max = 100"));
    let finished = project.run(&[]);
    finished.json();
    let said: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("not applied")).collect();
    // On a host where a scope is to be had, they hold.
    if said.is_empty() {
        assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
    } else {
        assert_eq!(said.len(), 1, "{}", finished.stderr);
        assert!(said[0].contains("memory_max, pids_max are not applied: ") && said[0].contains("; "), "{}", said[0]);
    }
}
