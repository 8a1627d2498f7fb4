//! What may block or spin the loop, which alone notices signals, timeouts and the end of the guardian: a log that nobody reads, floods,
//! starts that fail, processes that are stopped. None of it makes a run immortal.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scene::{PRELUDE, Scene};
use crate::support::process::{Process, output};
use crate::support::{Project, python};

/// How long something may take that takes a moment: machines are busy.
const SOON: Duration = Duration::from_secs(60);

/// Waits for this, and fails after [`SOON`].
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < SOON, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The exit code of a child that ends soon.
fn code(child: &mut Child) -> Option<i32> {
    until("the end of pushflow", || child.try_wait().unwrap()).code()
}

pub(crate) fn start(scene: &Scene, stdout: Stdio, stderr: Stdio) -> Child {
    scene.command(&[]).stdout(stdout).stderr(stderr).spawn().unwrap()
}

/// A pipe whose reader reads nothing: both have to be kept.
fn unread() -> (std::io::PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    (reader, writer.into())
}

/// What comes out of a pipe until its end, which comes soon.
fn rest(mut reader: impl Read + Send + 'static) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        tell.send(reader.read_to_string(&mut text).map(|_| text))
    });
    told.recv_timeout(SOON).expect("the end of the pipe").unwrap()
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

pub(crate) fn wait_for_note(scene: &Scene, note: &str) {
    until(note, || scene.notes().iter().any(|line| line == note).then_some(()));
}

/// The supervisor below a guardian.
pub(crate) fn supervisor_of(guardian: &Child) -> Pid {
    let children = format!("/proc/{0}/task/{0}/children", guardian.id());
    until("the start of the supervisor", || {
        let text = fs::read_to_string(&children).ok()?;
        Some(Pid::from_raw(text.split_whitespace().next()?.parse().ok()?))
    })
}

const PRINTS_MUCH: &str = "
    for _ in range(3000): print('x' * 100, flush=True)
    note('printed')
    forever()";

#[test]
fn a_log_that_nobody_reads_holds_up_no_timeout() {
    let scene = Scene::of(
        Project::with_workflow(
            "timeout = '2s'\n[pool]\ngrace = '500ms'\n[actors.task]\nscript = 'task.py'",
            "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]",
        )
        .file("task.py", &format!("{PRELUDE}\ndef run(**_):\n{PRINTS_MUCH}\n")),
    );
    let (_reader, stderr) = unread();
    let mut child = start(&scene, Stdio::null(), stderr);
    assert_eq!(code(&mut child), Some(124));
    scene.nothing_is_left("timeout");
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_signal_and_no_death_of_the_guardian() {
    for (signal, wanted) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(143)), (Signal::SIGKILL, None)] {
        let scene = Scene::task(PRINTS_MUCH, "grace = '300ms'\n[service]\nstop_timeout = '1s'");
        let (_reader, stderr) = unread();
        let mut child = start(&scene, Stdio::null(), stderr);
        wait_for_note(&scene, "printed");
        kill(pid(&child), signal).unwrap();
        assert_eq!(code(&mut child), wanted, "{signal}");
        scene.soon_nothing_is_left(signal.as_str());
    }
}

#[test]
fn lines_that_nobody_reads_are_counted_and_the_count_is_told_to_who_reads_again() {
    let body = "
    for _ in range(1500): print('x' * 10_000, flush=True)
    note('printed')
    return {}";
    let scene = Scene::task(body, "");
    let (reader, stderr) = unread();
    let mut child = start(&scene, Stdio::null(), stderr);
    wait_for_note(&scene, "printed");
    let log = rest(reader);
    assert_eq!(code(&mut child), Some(0), "{}", log.lines().last().unwrap());
    assert!(log.contains("lines of the log were lost: nobody read standard error"));
    assert!(log.contains("run ended: finished"), "what pushflow itself says is kept longest");
}

#[test]
fn an_output_that_nobody_reads_waits_for_its_reader_until_a_signal() {
    let scene = Scene::task("    return {'long': 'x' * 1_000_000}", "");
    let (_reader, stdout) = unread();
    let (log, stderr) = std::io::pipe().unwrap();
    let mut child = start(&scene, stdout, stderr.into());
    let supervisor = supervisor_of(&child);
    let waits = || fs::read_to_string(format!("/proc/{supervisor}/wchan")).unwrap_or_default().contains("pipe_write");
    until("the wait for the reader", || waits().then_some(()));
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(code(&mut child), Some(143));
    scene.nothing_is_left("the output was not read");
    let text = rest(log);
    assert!(text.contains("run ended: finished"), "{text}");
}

#[test]
fn what_a_task_leaves_printing_without_end_does_not_hold_up_its_end() {
    let body = "
    subprocess.Popen(['yes'], start_new_session=True)
    time.sleep(0.3)
    return {'done': 1}";
    // At the end it is waited for as long as this.
    let scene = Scene::task(body, "grace = '300ms'\n[service]\nstop_timeout = '1s'");
    let mut child = start(&scene, Stdio::piped(), Stdio::null());
    assert_eq!(code(&mut child), Some(0));
    scene.nothing_is_left("yes");
}

/// Two tasks, for one of which no worker can be started: the first takes the interpreter away.
fn without_an_interpreter(first: &str) -> Scene {
    let project = Project::with_workflow(
        "[pool]\ncontext = 'spawn'\nmax_workers = 2\ngrace = '300ms'\n[actors.a]\nscript = 'a.py'\n[actors.b]\nscript = 'b.py'\n\
         [actors.wait]\nkind = 'exec'\ncommand = ['sh', '-c', 'until test -e gone; do sleep 0.05; done']\n[actors.j]\nkind = 'join'",
        "links = [{ from = 'start', to = 'a' }, { from = 'start', to = 'wait' }, { from = 'wait', to = 'b' },
                  { from = 'a', to = 'j' }, { from = 'b', to = 'j' }, { from = 'j', to = 'stop' }]",
    );
    let workflow = fs::read_to_string(project.path("w.toml")).unwrap();
    let workflow = workflow.replace(&format!("{:?}", python()), "'./py'");
    let project = project
        .file("w.toml", &workflow)
        .file("py", &format!("#!/bin/sh\nexec {} \"$@\"\n", python().display()))
        .file("a.py", &format!("{PRELUDE}\ndef run(**_):\n    os.unlink('py')\n    open('gone', 'w').close()\n    note('gone')\n{first}\n"))
        .file("b.py", "def run(**_): return {'b': 1}\n");
    fs::set_permissions(project.path("py"), fs::Permissions::from_mode(0o755)).unwrap();
    Scene::of(project)
}

#[test]
fn tasks_for_which_no_worker_can_be_started_wait_for_those_that_there_are() {
    let scene = without_an_interpreter("    time.sleep(1.5)\n    return {'a': 1}");
    let finished = scene.run(&[]);
    assert_eq!(finished.json(), serde_json::json!({ "a": 1, "b": 1 }));
    assert_eq!(finished.stderr.matches("cannot start more workers").count(), 1, "{}", finished.stderr);
    scene.nothing_is_left(&finished.stderr);
}

#[test]
fn starts_that_fail_again_and_again_hold_up_no_signal() {
    let scene = without_an_interpreter("    forever()");
    let mut running = scene.start();
    running.wait_for("cannot start more workers");
    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGINT);
    let finished = running.finish();
    assert_eq!(finished.code, Some(130), "{}", finished.stderr);
    scene.nothing_is_left(&finished.stderr);
}

#[test]
fn an_actor_that_cannot_start_and_is_tried_again_at_once_holds_up_no_signal() {
    let project = Project::with_workflow(
        "[actors.task]\nkind = 'exec'\ncommand = ['/no/such/program']\n",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'task', on_error = true }, { from = 'task', to = 'stop' }]",
    );
    let scene = Scene::of(project);
    let mut child = start(&scene, Stdio::null(), Stdio::null());
    let supervisor = supervisor_of(&child);
    // It has a CPU for itself.
    until("the loop of errors", || {
        let stat = fs::read_to_string(format!("/proc/{supervisor}/stat")).ok()?;
        let ticks: u64 = stat.rsplit(')').next()?.split_whitespace().nth(11)?.parse().ok()?;
        (ticks > 20).then_some(())
    });
    kill(pid(&child), Signal::SIGINT).unwrap();
    assert_eq!(code(&mut child), Some(130));
    scene.nothing_is_left("a loop of errors");
}

/// `pushflow run` with no more open files than this.
fn with_open_files(scene: &Scene, most: u32) -> std::process::Output {
    let run = scene.command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]).arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    output(shell.current_dir(scene.project.path("")).stdin(Stdio::null()))
}

#[test]
fn more_workers_than_files_may_be_open_for_is_fewer_workers() {
    let fork: String =
        (0..40).map(|n| format!("{{ from = 'start', to = 'a{n}' }}, {{ from = 'a{n}', to = 'j' }}, ")).collect();
    let actors: String = (0..40).map(|n| format!("[actors.a{n}]\nscript = 'a.py'\n")).collect();
    let project = Project::with_workflow(
        &format!("[pool]\nmax_workers = 40\n[actors.j]\nkind = 'join'\n{actors}"),
        &format!("links = [{fork} {{ from = 'j', to = 'stop' }}]"),
    )
    .file("a.py", "import time\ndef run(**_):\n    time.sleep(0.3)\n    return {}\n");
    let scene = Scene::of(project);
    let output = with_open_files(&scene, 100);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert_eq!(log.matches("cannot start more workers").count(), 1, "{log}");
    scene.nothing_is_left(&log);
}

#[test]
fn a_value_with_more_files_than_may_be_open_is_the_end_of_its_task_and_says_so() {
    let body = "
    import array
    return {'many': [array.array('b', bytes(70_000)) for _ in range(150)], 'numpy': arrays()}";
    let scene = Scene::of(Project::task(&format!(
        "{PRELUDE}\ndef arrays():\n    import numpy\n    return [numpy.zeros(70_000, dtype='u1') for _ in range(150)]\n\ndef run(**_):\n{body}\n"
    )));
    let output = with_open_files(&scene, 64);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    // Where such a value needs fewer files, it arrives.
    let arrived = output.status.code() == Some(0);
    assert!(arrived || log.contains("open files"), "{:?} {log}", output.status);
    scene.nothing_is_left(&log);
}

/// Stops the main thread of a process, and no other, until it is killed itself (ptrace(2), PTRACE_SEIZE and PTRACE_INTERRUPT).
const STOP_A_THREAD: &str = "
import ctypes, os, sys, time
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
pid = int(sys.argv[1])
for request in 0x4206, 0x4207:
    if ptrace(request, pid, None, None) != 0:
        print(os.strerror(ctypes.get_errno()), flush=True)
        sys.exit(1)
os.waitpid(pid, 0x40000000)
print('stopped', flush=True)
time.sleep(1000)
";

#[test]
fn a_loop_that_does_not_turn_does_not_outlive_its_guardian() {
    let scene = Scene::task("    daemon()\n    note('ready')\n    forever()", "");
    let mut child = start(&scene, Stdio::null(), Stdio::null());
    let supervisor = supervisor_of(&child);
    wait_for_note(&scene, "ready");
    let mut tracer = Command::new(python());
    let mut tracer = Process::start(tracer.args(["-c", STOP_A_THREAD, &supervisor.to_string()]));
    let said = tracer.line();
    assert!(
        said.starts_with("stopped"),
        "this test traces a process: run it as root, or with kernel.yama.ptrace_scope = 0"
    );
    kill(pid(&child), Signal::SIGKILL).unwrap();
    code(&mut child);
    scene.soon_nothing_is_left("the main thread was stopped");
}

/// The folder for temporary files of a project, with a socket for workers behind launchers in it as soon as there is one.
fn socket_in(folder: &Path) -> UnixStream {
    until("the socket", || {
        let found = fs::read_dir(folder)
            .ok()?
            .flatten()
            .find(|it| it.file_name().to_string_lossy().starts_with("pushflow-"))?;
        UnixStream::connect(found.path().join("door")).ok()
    })
}

#[test]
fn connections_without_a_token_keep_no_worker_out_and_are_few_lines_of_the_log() {
    let script = "def run(left=10, **_): return {'left': left - 1, 'again': 'more' if left > 1 else 'no'}\n";
    let project = Project::with_workflow(
        "[pool]\nlauncher = ['nice']\nmax_tasks_per_worker = 1\n[actors.task]\nscript = 'task.py'\n[actors.r]\nkind = 'router'\nitem = 'again'\n",
        "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'r' }, { from = 'r', to = 'task', port = 'more' },
                  { from = 'r', to = 'stop', port = 'other' }]",
    )
    .file("task.py", script);
    let scene = Scene::of(project);
    let folder = scene.project.path("tmp");
    fs::create_dir(&folder).unwrap();
    let mut command = scene.command(&[]);
    let mut child = command.env("TMPDIR", &folder).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut held, begin) = (Vec::new(), Instant::now());
    let ended = until("the end", || {
        if child.try_wait().unwrap().is_none() {
            // Some say nothing, some go at once.
            held.extend((held.len() < 300).then(|| socket_or_none(&folder)).flatten());
            drop(socket_or_none(&folder));
            return None;
        }
        child.try_wait().unwrap()
    });
    let log = rest(child.stderr.take().unwrap());
    assert_eq!(ended.code(), Some(0), "{log}");
    assert!(!held.is_empty(), "there was a flood");
    // At once, and then in 30 s.
    let most = 1 + begin.elapsed().as_secs() / 30;
    assert!((1..=most).contains(&(log.matches("did not have the token").count() as u64)), "{log}");
    scene.nothing_is_left(&log);
}

fn socket_or_none(folder: &Path) -> Option<UnixStream> {
    let found =
        fs::read_dir(folder).ok()?.flatten().find(|it| it.file_name().to_string_lossy().starts_with("pushflow-"))?;
    UnixStream::connect(found.path().join("door")).ok()
}

#[test]
fn a_connection_without_a_token_is_closed_after_a_while() {
    let project = Project::task("import time\ndef run(**_): time.sleep(1000)\n")
        .with_pool("launcher = ['sh', '-c', 'sleep 1000; exec \"$@\"', 'sh']");
    let scene = Scene::of(project);
    let folder = scene.project.path("tmp");
    fs::create_dir(&folder).unwrap();
    let mut child =
        scene.command(&[]).env("TMPDIR", &folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut stream = socket_in(&folder);
    stream.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "it is closed");
    kill(pid(&child), Signal::SIGINT).unwrap();
    code(&mut child);
    scene.nothing_is_left("a launcher that starts nothing");
}
