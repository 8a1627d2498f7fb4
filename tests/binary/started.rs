//! Started from anywhere: whatever a parent has set or closed, it works, or says why it does not.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::process::output;
use crate::support::{Finished, Project, finished, python};

fn project() -> Project {
    Project::task("def run(**_): return {'done': 1}\n")
}

/// `pushflow run w.toml`, started by this shell command, in which `$@` is it.
fn by_shell(project: &Project, script: &str) -> Finished {
    by(project, "sh", &["-c", script, "sh"])
}

fn by(project: &Project, program: &str, arguments: &[&str]) -> Finished {
    let run = project.command(&["run", "w.toml"]);
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "60", program]).args(arguments).arg(run.get_program()).args(run.get_args());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    finished(output(command.current_dir(project.path("")).stdin(Stdio::null())))
}

#[test]
fn with_sigchld_ignored() {
    assert_eq!(by_shell(&project(), "trap '' CHLD TERM ALRM; exec \"$@\"").json(), json!({ "done": 1 }));
}

#[test]
fn with_every_signal_blocked() {
    let script = "import os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\nos.execvp(sys.argv[1], sys.argv[1:])";
    let project = Project::task(
        "import signal\ndef run(**_): return {'blocked': len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), 'child': signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL}\n",
    );
    let python = python();
    let finished = by(&project, python.to_str().unwrap(), &["-c", script]);
    assert_eq!(finished.json(), json!({ "blocked": 0, "child": true }));
}

#[test]
fn without_standard_descriptors() {
    for closed in ["<&-", "2>&-", "<&- 2>&-"] {
        assert_eq!(by_shell(&project(), &format!("exec \"$@\" {closed}")).json(), json!({ "done": 1 }), "{closed}");
    }
    let finished = by_shell(&project(), "exec \"$@\" <&- >&- 2>&-");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), ""));
}

#[test]
fn without_a_home_folder() {
    assert_eq!(by_shell(&project(), "unset HOME; exec \"$@\"").json(), json!({ "done": 1 }));
}

#[test]
fn in_a_folder_that_is_gone() {
    let project = project();
    let workflow = project.path("w.toml");
    let command = format!(
        "mkdir gone; cd gone; rmdir ../gone; exec {} run {}",
        env!("CARGO_BIN_EXE_pushflow"),
        workflow.display()
    );
    assert_eq!(by_shell(&project, &command).json(), json!({ "done": 1 }));
}

#[test]
fn with_a_limit_on_the_size_of_files_it_says_what_the_limit_means() {
    let project = Project::task("def run(**_): return {'size': len(bytes(10_000_000))}\n");
    let finished = by_shell(&project, "ulimit -f 16; exec \"$@\"");
    assert_eq!(finished.json(), json!({ "size": 10_000_000 }));
    assert!(finished.stderr.contains("`ulimit -f`"), "{}", finished.stderr);
    let project = Project::task("def run(**_): return {'long': bytes(10_000_000)}\n");
    let finished = by_shell(&project, "ulimit -f 16; exec \"$@\"");
    assert!(
        finished.code == Some(0) || finished.stderr.contains("File too large"),
        "{:?} {}",
        finished.code,
        finished.stderr
    );
}

#[test]
fn with_very_few_open_files_it_says_why_nothing_can_be_started() {
    for most in [8, 16, 24] {
        let finished = by_shell(&project(), &format!("ulimit -n {most}; exec \"$@\""));
        assert_eq!(finished.code, Some(1), "{most}: {}", finished.stderr);
        assert!(finished.stderr.contains("Too many open files"), "{most}: {}", finished.stderr);
    }
}

#[test]
fn with_a_path_that_is_not_utf8_it_refuses_and_says_so() {
    let project = project();
    let folder = project.path("").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&folder).unwrap();
    for file in ["w.toml", "task.py"] {
        fs::copy(project.path(file), folder.join(file)).unwrap();
    }
    let finished = finished(output(project.command(&["run", "w.toml"]).current_dir(&folder)));
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("is not valid UTF-8"), "{}", finished.stderr);
    // The folder for temporary files may have any name.
    let finished = by_shell(
        &project.with_pool("launcher = ['nice']"),
        "TMPDIR=$PWD/$(printf 'caf\\351'); export TMPDIR; exec \"$@\"",
    );
    assert_eq!(finished.json(), json!({ "done": 1 }));
}

#[test]
fn with_a_long_folder_for_temporary_files_workers_behind_launchers_start() {
    let finished = by_shell(
        &project().with_pool("launcher = ['nice']"),
        &format!("TMPDIR=$PWD/{}; mkdir $TMPDIR; export TMPDIR; exec \"$@\"", "x".repeat(120)),
    );
    assert_eq!(finished.json(), json!({ "done": 1 }));
}

#[test]
fn a_umask_of_0_lets_nobody_else_write_to_its_sockets_and_is_that_of_the_tasks() {
    let project = Project::task(
        "import os, time\ndef run(**_):\n    print('umask', os.umask(0), flush=True)\n    time.sleep(1000)\n",
    )
    .with_pool("launcher = ['nice']");
    let folder = project.path("tmp");
    fs::create_dir(&folder).unwrap();
    let run = project.command(&["run", "w.toml"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    command.env("TMPDIR", &folder).env("XDG_RUNTIME_DIR", project.path("")).env("HOME", project.path(""));
    let mut running = project.start_as(&mut command);
    let line = running.wait_for("umask");
    assert!(line.contains("umask 0"), "{line}");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let first = |folder: &std::path::Path| fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let (status, launchers) = (project.path("pushflow"), first(&folder));
    assert_eq!(mode(&status), 0o700);
    assert_eq!(mode(&first(&status)), 0o600);
    assert_eq!(mode(&launchers), 0o711);
    running.signal(Signal::SIGINT);
    let begin = Instant::now();
    assert_eq!(running.finish().code, Some(130));
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_tilde_in_python_and_paths_is_the_home_folder() {
    let project = Project::task("import module\ndef run(**_): return {'found': module.FOUND}\n");
    let workflow = fs::read_to_string(project.path("w.toml")).unwrap();
    let workflow = workflow.replace(&format!("python = {:?}", python()), "python = '~/py'\npaths = ['~/modules']");
    let project = project
        .file("w.toml", &workflow)
        .file("py", &format!("#!/bin/sh\nexec {} \"$@\"\n", python().display()))
        .file("modules/module.py", "FOUND = 'here'\n");
    fs::set_permissions(project.path("py"), fs::Permissions::from_mode(0o755)).unwrap();
    // The home folder of these tests is the project's.
    let finished = project.run(&[]);
    assert_eq!(finished.json(), json!({ "found": "here" }));
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
    let wrong = project.file("w.toml", &workflow.replace("~/modules", "~no-such-user/modules"));
    let finished = wrong.run(&[]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("there is no user no-such-user"), "{}", finished.stderr);
}
