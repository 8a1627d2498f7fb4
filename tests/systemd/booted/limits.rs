//! Limits, out of memory and accounts under systemd: in a virtual machine, where all controllers are, and in a container,
//! where none is. Each machine boots once and runs everything; each test looks at its part.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::machine::Machine;

/// What each case printed: its output, its log and its accounts.
struct Cases(BTreeMap<String, Case>);

struct Case {
    output: Value,
    log: String,
    accounts: Value,
    status: String,
}

impl Cases {
    #[track_caller]
    fn case(&self, name: &str) -> &Case {
        self.0.get(name).unwrap_or_else(|| panic!("the case {name} was not run"))
    }
}

/// What every machine does first.
const SCRIPT: &str = r#"
cd /w
systemctl is-system-running --wait >/dev/null
useradd --create-home --uid 4321 anna 2>/dev/null
loginctl enable-linger anna
until [ -S /run/user/4321/bus ]; do sleep 0.1; done
chmod a+rwx /w
# try NAME FILE COMMAND…: `pushflow run FILE` behind that command
try() {
    local name=$1 file=$2
    shift 2
    echo "@@@ $name"
    timeout 120 "$@" pushflow run "/w/$file" --accounting-file "/w/$name.json" >"/w/$name.out" 2>"/w/$name.log"
    echo "@ status"; echo $?
    for part in out log json; do echo "@ $part"; cat "/w/$name.$part"; echo; done
}
cat >/usr/bin/anna <<'END'
#!/bin/sh
exec su anna -c "XDG_RUNTIME_DIR=/run/user/4321 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4321/bus $*"
END
chmod +x /usr/bin/anna
"#;

fn run(machine: Machine, cases: &str) -> Cases {
    let mut machine = machine;
    for (name, text) in FILES {
        machine = machine.file(&format!("/w/{name}"), text);
    }
    let output = machine.run(&format!("{SCRIPT}\n{cases}\nexit 0")).ok();
    let mut found = BTreeMap::new();
    for text in output.split("@@@ ").skip(1) {
        let (name, text) = text.split_once('\n').unwrap_or_default();
        let parts: BTreeMap<&str, &str> = text
            .split("@ ")
            .skip(1)
            .filter_map(|part| part.split_once('\n'))
            .map(|(key, text)| (key, text.trim()))
            .collect();
        let part = |key: &str| parts.get(key).copied().unwrap_or_default().to_owned();
        let json = |key: &str| serde_json::from_str(&part(key)).unwrap_or(Value::Null);
        let case = Case { output: json("out"), log: part("log"), accounts: json("json"), status: part("status") };
        found.insert(name.trim().to_owned(), case);
    }
    Cases(found)
}

const FILES: &[(&str, &str)] = &[
    (
        "work.toml",
        "links = [{ from = 'start', to = 'burn' }, { from = 'burn', to = 'touch' }, { from = 'touch', to = 'write' }, { from = 'write', to = 'program' }, { from = 'program', to = 'stop' }]\n[pool]\nmax_workers = 1\n[actors.burn]\nscript = 'burn.py'\n[actors.touch]\nscript = 'touch.py'\n[actors.write]\nscript = 'write.py'\n[actors.program]\nkind = 'exec'\ncommand = ['python3', 'burns.py']",
    ),
    ("burn.py", "import burns\ndef run(**_):\n    burns.burn(2)\n    return {}"),
    (
        "burns.py",
        "import time\ndef burn(seconds):\n    start = time.process_time()\n    while time.process_time() - start < seconds: pass\nif __name__ == '__main__':\n    while time.process_time() < 2: pass",
    ),
    (
        "touch.py",
        "import mmap\ndef run(**_):\n    data = mmap.mmap(-1, 200 << 20)\n    for at in range(0, len(data), 4096): data[at] = 1\n    return {}",
    ),
    (
        "write.py",
        "import os\ndef run(**_):\n    with open('/var/big', 'wb') as file:\n        for _ in range(50): file.write(os.urandom(1 << 20))\n        file.flush()\n        os.fsync(file.fileno())\n    os.unlink('/var/big')\n    return {}",
    ),
    (
        "memory.toml",
        "links = [{ from = 'start', to = 'greedy' }, { from = 'greedy', to = 'caught', on_error = true }, { from = 'caught', to = 'hungry' }, { from = 'hungry', to = 'kept', on_error = true }, { from = 'kept', to = 'stop' }]\n[pool]\nmax_workers = 1\nmemory_max = '100M'\n[actors.greedy]\nscript = 'greedy.py'\n[actors.caught]\nscript = 'caught.py'\n[actors.hungry]\nkind = 'exec'\nmemory_max = '50M'\ncommand = ['sh', '-c', 'python3 -c \"b = bytearray(300 << 20)\"; sleep 100']\n[actors.kept]\nscript = 'caught.py'",
    ),
    (
        "greedy.py",
        "def run(**_):\n    data = bytearray(300 << 20)\n    data[::4096] = bytes(len(data) // 4096)\n    return {'caught': [['none']]}",
    ),
    (
        "caught.py",
        "def run(caught=(), WorkflowExceptionInstance=None, **_):\n    error = WorkflowExceptionInstance\n    return {'caught': [*caught, [type(error).__name__, isinstance(error, MemoryError), str(error)]], 'WorkflowException': None, 'WorkflowExceptionInstance': None}",
    ),
    (
        "bomb.toml",
        "links = [{ from = 'start', to = 'bomb' }, { from = 'bomb', to = 'stop' }]\n[pool]\npids_max = 20\n[actors.bomb]\nscript = 'bomb.py'",
    ),
    (
        "bomb.py",
        "import os, signal\ndef run(**_):\n    children, refused = [], 0\n    for _ in range(100):\n        try: pid = os.fork()\n        except OSError:\n            refused += 1\n            continue\n        if pid == 0:\n            signal.pause()\n            os._exit(0)\n        children.append(pid)\n    for pid in children:\n        os.kill(pid, signal.SIGKILL)\n        os.waitpid(pid, 0)\n    return {'children': len(children), 'refused': refused}",
    ),
    (
        "slow.toml",
        "links = [{ from = 'start', to = 'slow' }, { from = 'slow', to = 'stop' }]\n[pool]\ncpu_max = 0.5\ncpu_weight = 50\nmemory_high = '300M'\nmemory_max = '400M'\npids_max = 77\n[actors.slow]\nscript = 'slow.py'",
    ),
    (
        "slow.py",
        "import time\ndef run(**_):\n    wall, used = time.monotonic(), time.process_time()\n    while time.monotonic() - wall < 3: pass\n    share = (time.process_time() - used) / (time.monotonic() - wall)\n    leaf = '/sys/fs/cgroup' + open('/proc/self/cgroup').read().strip().rpartition(':')[2]\n    files = ['cpu.max', 'cpu.weight', 'memory.high', 'memory.max', 'pids.max']\n    return {'share': share, 'files': {name: open(f'{leaf}/{name}').read().strip() for name in files}}",
    ),
    (
        "places.toml",
        "links = [{ from = 'start', to = 'forked' }, { from = 'forked', to = 'fresh' }, { from = 'fresh', to = 'launched' }, { from = 'launched', to = 'a b' }, { from = 'a b', to = 'stop' }]\n[pool]\npreload = false\n[pools.fresh]\ncontext = 'spawn'\n[pools.launched]\nlauncher = ['nice', '-n', '1']\n[actors.forked]\nscript = 'forked.py'\n[actors.fresh]\nscript = 'fresh.py'\npool = 'fresh'\n[actors.launched]\nscript = 'launched.py'\npool = 'launched'\n[actors.'a b']\nkind = 'exec'\ncommand = ['grep', '^0:', '/proc/self/cgroup']\nstdout_key = 'program'",
    ),
    (
        "place.py",
        "import os\ndef here(): return open('/proc/self/cgroup').read().strip().rpartition(':')[2]\nimported = here()",
    ),
    (
        "forked.py",
        "import place, os\ndef run(**_):\n    supervisor = open(f'/proc/{os.getppid()}/cgroup').read().strip().rpartition(':')[2]\n    tree = '/sys/fs/cgroup' + os.path.dirname(place.here())\n    return {'forked': place.here(), 'imported': place.imported, 'supervisor': supervisor, 'leaves': sorted(name for name in os.listdir(tree) if os.path.isdir(f'{tree}/{name}'))}",
    ),
    (
        "hostile.toml",
        "links = [{ from = 'start', to = 'escape' }, { from = 'escape', to = 'look', on_error = true }, { from = 'look', to = 'stop' }]\n[pool]\nmax_workers = 1\ngrace = '200ms'\n[actors.escape]\nscript = 'escape.py'\ntimeout = '3s'\n[actors.look]\nscript = 'look.py'",
    ),
    (
        "escape.py",
        "import os, signal, time\ndef run(**_):\n    for it in (signal.SIGINT, signal.SIGTERM): signal.signal(it, signal.SIG_IGN)\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork(): os._exit(0)\n        with open('/w/daemon.new', 'w') as file: file.write(str(os.getpid()))\n        os.rename('/w/daemon.new', '/w/daemon')\n        while True: signal.pause()\n    while True: time.sleep(1)",
    ),
    (
        "look.py",
        "import os, time\ndef run(**_):\n    daemon = int(open('/w/daemon').read())\n    end = time.monotonic() + 10\n    while os.path.exists(f'/proc/{daemon}') and time.monotonic() < end: time.sleep(0.01)\n    return {'gone': not os.path.exists(f'/proc/{daemon}')}",
    ),
    (
        "nested.toml",
        "links = [{ from = 'start', to = 'inner' }, { from = 'inner', to = 'stop' }]\n[actors.inner]\nkind = 'exec'\ncommand = ['pushflow', 'run', '--accounting', '/w/places.toml']\nstdout = 'json'",
    ),
    ("fresh.py", "import place\ndef run(**_): return {'fresh': place.here()}"),
    ("launched.py", "import place\ndef run(**_): return {'launched': place.here()}"),
];

static VM: LazyLock<Cases> = LazyLock::new(|| {
    run(
        Machine::vm(),
        "
try work work.toml
try memory memory.toml
try bomb bomb.toml
try slow slow.toml
try places places.toml
try user places.toml anna
try user-memory memory.toml anna
try service places.toml systemd-run --quiet --pipe --wait -p Delegate=yes
try undelegated bomb.toml systemd-run --quiet --pipe --wait
echo '@@@ after'
echo '@ log'
find /sys/fs/cgroup -name 'pushflow*' -o -name 'pool-*' -o -name 'exec-*' -o -name 'forkserver-*'
systemctl list-units --all --no-legend 'pushflow*'
",
    )
});

static CONTAINER: LazyLock<Cases> = LazyLock::new(|| {
    run(
        Machine::container(),
        "
try places places.toml
try bomb bomb.toml
try hostile hostile.toml
try nested nested.toml
try user places.toml anna
two='pushflow run /w/places.toml --accounting'
systemd-run --quiet --pipe --wait -p Delegate=yes sh -c \"$two >/w/one.out 2>/w/one.log & $two >/w/two.out 2>/w/two.log; wait\"
echo '@@@ twice'
echo '@ out'
echo \"[$(cat /w/one.out), $(cat /w/two.out)]\"
echo '@ log'
cat /w/one.log /w/two.log
",
    )
});

#[track_caller]
fn within_a_tenth(value: f64, expected: f64) {
    assert!((value - expected).abs() <= expected / 10.0, "{value} is not within a tenth of {expected}");
}

fn actor<'a>(case: &'a Case, name: &str) -> &'a Value {
    let actors = case.accounts["actors"].as_array().unwrap_or_else(|| panic!("no accounts: {}", case.log));
    actors.iter().find(|it| it["actor"] == name).unwrap_or_else(|| panic!("no {name}: {}", case.accounts))
}

/// A figure from the cgroup.
#[track_caller]
fn figure(of: &Value, key: &str) -> f64 {
    assert_eq!(of[key]["origin"], "cgroup", "{key} of {of}");
    of[key]["value"].as_f64().unwrap()
}

#[test]
fn two_seconds_of_cpu_are_two_seconds() {
    let work = VM.case("work");
    for name in ["burn", "program"] {
        let of = actor(work, name);
        let used = figure(of, "cpu_user_seconds") + figure(of, "cpu_system_seconds");
        assert!((1.8..=2.2).contains(&used), "{name} used {used} s of 2 s: {}", work.accounts);
    }
}

#[test]
fn two_hundred_megabytes_of_memory_are_two_hundred() {
    let touch = actor(VM.case("work"), "touch");
    within_a_tenth(figure(touch, "memory_peak_bytes"), (200 << 20) as f64);
}

#[test]
fn fifty_megabytes_written_are_fifty() {
    let write = actor(VM.case("work"), "write");
    within_a_tenth(figure(write, "written_bytes"), (50 << 20) as f64);
    // The task before it had more memory: what this one had is known of its process.
    let peak = write["memory_peak_bytes"]["value"].as_u64().unwrap();
    assert!((1 << 20..50 << 20).contains(&peak), "{write}");
}

#[test]
fn pressure_is_accounted_for() {
    let burn = actor(VM.case("work"), "burn");
    assert!(figure(burn, "stalled_cpu_seconds") >= 0.0);
    assert!(figure(burn, "stalled_memory_seconds") >= 0.0);
}

#[test]
fn out_of_memory_names_task_limit_and_peak_and_the_pool_works_on() {
    for name in ["memory", "user-memory"] {
        let case = VM.case(name);
        assert_eq!(case.status, "0", "{}", case.log);
        let caught = &case.output["caught"];
        assert_eq!(caught[0][0], "OutOfMemory", "{}", case.log);
        assert_eq!(caught[0][1], true, "a MemoryError");
        assert_eq!(
            caught[0][2],
            "greedy ran out of memory and was killed: limit 100 MiB (memory_max of pool default), peak 100 MiB"
        );
        assert_eq!(
            caught[1][2],
            "hungry ran out of memory and was killed: limit 50 MiB (memory_max of actor hungry), peak 50 MiB"
        );
    }
}

#[test]
fn pids_max_holds_a_fork_bomb_and_the_log_says_so() {
    let bomb = VM.case("bomb");
    assert_eq!(bomb.output["children"], 19, "{}", bomb.log);
    assert_eq!(bomb.output["refused"], 81);
    assert!(
        bomb.log.contains("bomb: 81 processes or threads could not be started: pids_max of pool default is 20"),
        "{}",
        bomb.log
    );
}

#[test]
fn cpu_max_holds_and_every_limit_is_in_force() {
    let slow = VM.case("slow");
    let share = slow.output["share"].as_f64().unwrap_or_else(|| panic!("{}", slow.log));
    assert!((0.4..0.56).contains(&share), "{share}");
    let expected = serde_json::json!({
        "cpu.max": "50000 100000", "cpu.weight": "50", "memory.high": "314572800", "memory.max": "419430400", "pids.max": "77",
    });
    assert_eq!(slow.output["files"], expected);
    assert!(!slow.log.contains("not applied"), "{}", slow.log);
}

/// Everything is in its leaf, from its first line of Python on.
#[track_caller]
fn is_in_its_place(case: &Case, unit: &str) {
    let text =
        |key: &str| case.output[key].as_str().unwrap_or_else(|| panic!("no {key}: {}", case.log)).trim().to_owned();
    let (tree, leaf) = text("forked").rsplit_once('/').map(|(tree, leaf)| (tree.to_owned(), leaf.to_owned())).unwrap();
    assert!(tree.contains(unit), "{tree}");
    assert_eq!(leaf, "pool-default-0");
    assert_eq!(text("imported"), text("forked"));
    assert_eq!(text("supervisor"), format!("{tree}/supervisor"));
    assert_eq!(text("fresh"), format!("{tree}/pool-fresh-0"));
    assert_eq!(text("launched"), format!("{tree}/pool-launched-0"));
    assert_eq!(text("program"), format!("0::{tree}/exec-a\\x20b-1"));
    assert_eq!(case.output["leaves"], serde_json::json!(["forkserver-default-0", "pool-default-0", "supervisor"]));
}

#[test]
fn workers_and_programs_are_in_their_leaves_of_a_scope_from_systemd() {
    is_in_its_place(VM.case("places"), "/system.slice/pushflow-places-");
    is_in_its_place(CONTAINER.case("places"), "/system.slice/pushflow-places-");
}

#[test]
fn a_user_gets_a_scope_of_the_users_systemd() {
    is_in_its_place(VM.case("user"), "/user.slice/user-4321.slice/user@4321.service/app.slice/pushflow-places-");
    is_in_its_place(CONTAINER.case("user"), "/user.slice/user-4321.slice/user@4321.service/app.slice/pushflow-places-");
}

#[test]
fn a_delegated_service_is_divided_up_itself() {
    is_in_its_place(VM.case("service"), "/system.slice/run-");
}

#[test]
fn a_service_that_is_not_delegated_is_left_as_it_is() {
    let case = VM.case("undelegated");
    let said = "warning pids_max is not applied: pushflow has no cgroup of its own, because the cgroup /sys/fs/cgroup/system.slice/run-";
    assert!(case.log.contains(said), "{}", case.log);
    assert!(case.log.contains("is not delegated to it; run it as a service with Delegate=yes"), "{}", case.log);
    assert_eq!(case.output["refused"], 0);
}

#[test]
fn without_controllers_one_line_says_what_does_not_hold_and_why() {
    let bomb = CONTAINER.case("bomb");
    assert_eq!(bomb.output["refused"], 0, "{}", bomb.log);
    let said: Vec<&str> = bomb.log.lines().filter(|line| line.contains("not applied")).collect();
    assert_eq!(said.len(), 1, "{}", bomb.log);
    assert!(
        said[0].contains("pids_max is not applied: the controller pids is not available for /sys/fs/cgroup/"),
        "{}",
        said[0]
    );
}

#[test]
fn what_left_its_session_is_killed_with_the_task_that_started_it() {
    let hostile = CONTAINER.case("hostile");
    assert_eq!(hostile.output["gone"], true, "{}", hostile.log);
}

#[test]
fn a_workflow_in_a_task_stays_in_the_cgroup_of_the_task() {
    let nested = CONTAINER.case("nested");
    let leaf = nested.output["forked"].as_str().unwrap_or_else(|| panic!("{}", nested.log));
    assert!(leaf.ends_with("/exec-inner-0"), "{leaf}");
    assert_eq!(nested.output["supervisor"], leaf);
}

#[test]
fn of_two_runs_in_one_delegated_cgroup_the_second_gets_another() {
    let twice = CONTAINER.case("twice");
    let place = |run: usize| twice.output[run]["forked"].as_str().unwrap_or_else(|| panic!("{}", twice.log));
    let places = [place(0), place(1)];
    assert!(places.iter().all(|place| place.ends_with("/pool-default-0")), "{places:?}");
    assert_ne!(places[0], places[1]);
    assert!(places.iter().any(|place| place.contains("/run-")), "{places:?}");
}

#[test]
fn no_leaf_and_no_scope_is_left_behind() {
    assert_eq!(VM.case("after").log, "");
}
