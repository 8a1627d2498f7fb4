//! How a worker comes to be: contexts, and launchers in front of it.

use nix::sys::signal::Signal;

use crate::support::Project;
use crate::support::process::output;

const WHERE: &str = "
import os, sys
preloaded = os.getpid()
def run(**_):
    ppid = int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('PPid')))
    return {'pid': os.getpid(), 'imported_by': preloaded, 'nice': os.nice(0), 'parent': ppid,
            'environment': sorted(name for name in os.environ if name.startswith('PUSHFLOW_WORKER')),
            'argv': sys.argv}
";

#[test]
fn a_forked_worker_has_its_modules_from_the_forkserver_and_a_spawned_one_imports_them_itself() {
    for (pool, forked) in [
        ("context = 'forkserver'", true),
        ("context = 'forkserver'\npreload = false", false),
        ("context = 'fork'\npreload = false", true),
        ("context = 'spawn'", false),
    ] {
        let output = Project::task(WHERE).with_pool(pool).run(&[]).json();
        assert_eq!(output["pid"] != output["imported_by"], forked, "{pool}: {output}");
        assert_eq!(output["argv"], serde_json::json!(["pushflow-worker"]));
    }
}

#[test]
fn a_launcher_stands_in_front_of_the_worker_and_its_token_is_gone_from_the_environment() {
    let project = Project::task(WHERE).with_pool("launcher = ['nice', '-n', '7']");
    let output = project.run(&[]).json();
    // The tests may be nice themselves; nobody is nicer than 19.
    let own = rustix::process::nice(0).unwrap();
    assert_eq!(output["nice"], (own + 7).min(19));
    assert_eq!(output["environment"], serde_json::json!([]));
}

#[test]
fn a_launcher_may_start_the_worker_as_its_child_and_pass_on_no_descriptor() {
    let project = Project::task("import os\ndef run(**_):\n    print('hello from', os.getpid())\n    return {'pid': os.getpid()}\n")
        .file(
            "launch.py",
            "
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
sys.exit(child.wait() and 3)
",
        )
        .with_pool("launcher = ['python3', 'launch.py']");
    let finished = project.run(&[]);
    let pid = finished.json()["pid"].as_i64().unwrap();
    assert!(finished.stderr.contains(&format!("hello from {pid}")), "{}", finished.stderr);
}

#[test]
fn a_launcher_that_never_starts_its_worker_is_given_up_after_the_start_timeout() {
    let project = Project::task(WHERE).with_pool("launcher = ['sh', '-c', 'sleep 1000']\nstart_timeout = '300ms'");
    let finished = project.run(&["--timeout", "60s"]);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let why = "cannot start workers of pool default: no worker was ready after 300ms (start_timeout): the launcher `sh -c sleep 1000`";
    assert!(finished.stderr.contains(why), "{}", finished.stderr);
}

#[test]
fn modules_that_take_too_long_to_import_are_left_to_the_task_after_the_start_timeout() {
    for (pool, code) in
        [("start_timeout = '1s'", 0), ("start_timeout = '50ms'\ncontext = 'spawn'\npython = './slow'", 1)]
    {
        let project = Project::task(
            "import os, time\nif not os.path.exists('patient'):\n    open('patient', 'w').close()\n    time.sleep(1000)\ndef run(**_): return {'done': 1}\n",
        )
        .file("slow", "#!/bin/sh\nexec sleep 1000\n")
        .with_pool(pool);
        std::fs::set_permissions(project.path("slow"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let finished = project.run(&["--timeout", "60s"]);
        assert_eq!(finished.code, Some(code), "{pool}: {}", finished.stderr);
    }
}

#[test]
fn a_launcher_that_fails_is_an_error_with_its_last_words() {
    let run =
        |launcher: &str| Project::task(WHERE).with_pool(&format!("launcher = {launcher}")).run(&["--timeout", "60s"]);
    let finished = run("['no-such-launcher']");
    assert!(finished.stderr.contains("there is no launcher no-such-launcher"), "{}", finished.stderr);
    let finished = run("['sh', '-c', 'echo no licence; exit 4']");
    assert!(
        finished.stderr.contains("the launcher exited with code 4 before a worker was ready: no licence"),
        "{}",
        finished.stderr
    );
    let finished = run("['env', '-u', 'PUSHFLOW_WORKER_TOKEN']");
    assert!(finished.stderr.contains("the launcher has not passed on PUSHFLOW_WORKER_TOKEN"), "{}", finished.stderr);
}

#[test]
fn a_launcher_that_never_starts_a_worker_does_not_hold_up_the_end() {
    let project = Project::task(WHERE).with_pool("launcher = ['sh', '-c', 'echo waiting; exec sleep 1000']");
    let mut running = project.start(&[]);
    running.wait_for("waiting");
    running.signal(Signal::SIGINT);
    assert_eq!(running.finish().code, Some(130));
}

#[test]
fn the_folder_of_the_socket_goes_with_the_run() {
    let project = Project::task(WHERE).with_pool("launcher = ['env']").file("tmp/here", "");
    let finished =
        crate::support::finished(output(project.command(&["run", "w.toml"]).env("TMPDIR", project.path("tmp"))));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(std::fs::read_dir(project.path("tmp")).unwrap().count(), 1);
}
