//! Two hundred kills of the supervisor at random moments, while eight clients submit.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bus::{Bus, Installed};
use crate::seed::Random;
use crate::support::process::Process;
use crate::{file, history};

const KILLS: u32 = 200;

/// Notes that it ran: one line written at once.
const TASK: &str = "
import os
def run(token, notes, **_):
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (token + '\\n').encode())
    os.close(file)
    return {'done': token}
";

/// Submits until it is told to end, and says what was accepted. A service that is being killed does not answer.
const CLIENT: &str = "
import json, signal, sys, time
import dbus
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
bus, count = dbus.SessionBus(), 0
while not ended:
    token = f'{sys.argv[1]}-{count}'
    count += 1
    try:
        path = bus.call_blocking(
            'org.pushflow.Workflow1.w', '/org/pushflow/workflow', 'org.pushflow.Workflow1', 'RunJson', 'sa{sv}',
            (json.dumps({'token': token, 'notes': sys.argv[2]}), {'label': token}), timeout=5)
        print(token, path.rsplit('/', 1)[1], flush=True)
        time.sleep(0.05)
    except dbus.DBusException:
        time.sleep(0.02)
";

/// Says which runs are told to have ended.
const LISTENER: &str = "
import dbus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
def finished(path, status):
    print(path.rsplit('/', 1)[1], status, flush=True)
bus.add_signal_receiver(finished, 'RunFinished', 'org.pushflow.Workflow1')
print('listening', flush=True)
GLib.MainLoop().run()
";

/// A process whose lines are collected; it is ended by its number.
struct Told(Process);

impl Told {
    fn start(bus: &Bus, arguments: &[&str]) -> Self {
        Told(Process::start(&mut bus.command("/usr/bin/python3", arguments)))
    }

    fn end(self) -> Vec<String> {
        self.0.signal(nix::sys::signal::Signal::SIGTERM);
        String::from_utf8(self.0.end().stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn two_hundred_kills_lose_no_run_and_make_none_run_or_end_twice() {
    let bus = Bus::new();
    let project = Installed::resident("max_concurrent_runs = 3\nmax_queued_runs = 100000", TASK);
    let notes = project.path("notes");
    let notes_path = notes.display().to_string();
    let listener = Told::start(&bus, &["-c", LISTENER]);
    let clients: Vec<_> =
        (0..8).map(|index| Told::start(&bus, &["-c", CLIENT, &format!("c{index}"), &notes_path])).collect();
    let mut random = Random::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    for _ in 0..KILLS {
        let service = bus.start(&project, "w");
        // A moment before it is on the bus, or while runs are accepted, begin and end.
        std::thread::sleep(Duration::from_millis(20 + random.below(500)));
        // This kills it.
        drop(service);
    }
    let accepted: Vec<String> = clients.into_iter().flat_map(Told::end).collect();
    let mut service = bus.start(&project, "w");
    service.wait_for("ready");
    assert_eq!(bus.call("w", "Drain", &[]).code, Some(0));
    let finished = service.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let told = listener.end();

    let runs = history(&project, &["w"]);
    let by_number: BTreeMap<u64, &serde_json::Value> =
        runs.iter().map(|run| (run["run"].as_u64().unwrap(), run)).collect();
    assert_eq!(by_number.len(), runs.len(), "no number was used twice");
    let ran = counted(fs::read_to_string(&notes).unwrap().lines());
    for line in &accepted {
        let (token, number) = line.split_once(' ').unwrap();
        let run = by_number.get(&number.parse().unwrap()).unwrap_or_else(|| panic!("run {line} is lost"));
        assert_eq!(run["label"], token, "{run}");
    }
    let mut ends: HashMap<&str, u32> = HashMap::new();
    for run in &runs {
        let (status, token) = (run["status"].as_str().unwrap(), run["label"].as_str().unwrap());
        assert!(["finished", "interrupted"].contains(&status) && run["ended_at"].is_u64(), "{run}");
        let times = ran.get(token).copied().unwrap_or_default();
        assert!(times == 1 || (times == 0 && status == "interrupted"), "{token} ran {times} times: {run}");
        *ends.entry(status).or_default() += 1;
    }
    let labels = counted(runs.iter().map(|run| run["label"].as_str().unwrap()));
    assert!(labels.values().all(|count| *count == 1), "a run was accepted twice");
    for (line, count) in counted(told.iter().filter_map(|line| line.split_once(' ')).map(|(number, _)| number)) {
        assert_eq!(count, 1, "the end of run {line} was told {count} times");
    }
    for (number, status) in told.iter().filter_map(|line| line.split_once(' ')) {
        assert_eq!(by_number[&number.parse::<u64>().unwrap()]["status"], status, "run {number}");
    }
    let check: String = rusqlite::Connection::open(file(&project))
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    eprintln!("{} accepted, {} recorded: {ends:?}", accepted.len(), runs.len());
    assert!(accepted.len() > 200 && ends.contains_key("finished") && ends.contains_key("interrupted"), "{ends:?}");
}

fn counted<'l>(lines: impl Iterator<Item = &'l str>) -> HashMap<String, u32> {
    let mut counts = HashMap::new();
    for line in lines {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}
