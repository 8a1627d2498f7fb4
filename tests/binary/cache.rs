//! The compiled Python of workers, which is kept for the next run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::process::output;
use crate::support::{Project, finished, python};

const TASK: &str = "def run(**_): return {'done': True}";

/// Runs it with a cache in the project's folder, as in a container whose Python writes no `.pyc` files.
fn run(project: &Project) {
    let mut command = project.command(&["run", "-q", "w.toml"]);
    command.env("XDG_CACHE_HOME", project.path("cache")).env("PYTHONDONTWRITEBYTECODE", "1");
    let finished = finished(output(&mut command));
    assert_eq!((finished.json()["done"].clone(), &*finished.stderr), (true.into(), ""));
}

/// What is kept: one file, that only its owner can read and write.
fn kept(project: &Project) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(project.path("cache/pushflow")).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0).unwrap().path()
}

fn mode(path: &PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Changes the kept code so that a run that uses it leaves a mark.
fn mark(project: &Project) {
    let program = "import marshal, sys\n\
         kept = marshal.load(open(sys.argv[1], 'rb'))\n\
         kept['pushflow.spawn_main'] = compile('open(\"mark\", \"w\").close()', '', 'exec')\n\
         marshal.dump(kept, open(sys.argv[1], 'wb'))";
    let done = output(Command::new(python()).args(["-c", program]).arg(kept(project)));
    assert!(done.status.success());
}

#[test]
fn what_workers_are_made_of_is_compiled_once() {
    let project = Project::task(TASK);
    run(&project);
    assert_eq!(mode(&kept(&project)), 0o600);
    assert_eq!(mode(&project.path("cache/pushflow")), 0o700);
    mark(&project);
    run(&project);
    assert!(project.path("mark").exists(), "the second run compiled again");
}

#[test]
fn compiled_code_that_others_can_write_is_not_used() {
    let project = Project::task(TASK);
    run(&project);
    mark(&project);
    fs::set_permissions(kept(&project), fs::Permissions::from_mode(0o666)).unwrap();
    run(&project);
    assert!(!project.path("mark").exists());
    assert_eq!(mode(&kept(&project)), 0o600, "it is replaced");
}

#[test]
fn a_broken_file_in_the_cache_is_replaced() {
    let project = Project::task(TASK);
    run(&project);
    let whole = fs::read(kept(&project)).unwrap();
    for broken in [&whole[..0], &whole[..whole.len() / 2], b"garbage"] {
        fs::write(kept(&project), broken).unwrap();
        run(&project);
        assert_eq!(fs::metadata(kept(&project)).unwrap().len(), whole.len() as u64);
    }
}

#[test]
fn a_run_needs_no_place_for_a_cache() {
    let project = Project::task(TASK).file("cache", "a file where the folder would be");
    run(&project);
}
