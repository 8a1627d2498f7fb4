//! The command itself: help, wrong usage, names of workflows.

use crate::support::Project;

#[test]
fn help_is_on_standard_output_and_has_an_example() {
    let project = Project::new();
    for verb in [&["--help"][..], &["run", "--help"], &["check", "--help"], &["graph", "--help"]] {
        let finished = project.pushflow(verb);
        assert_eq!(finished.code, Some(0), "{verb:?}");
        assert!(finished.stdout.contains("Example"), "{verb:?}: {}", finished.stdout);
    }
}

#[test]
fn wrong_usage_is_status_2_and_a_missing_workflow_status_3() {
    let project = Project::new();
    assert_eq!(project.pushflow(&[]).code, Some(2));
    assert_eq!(project.pushflow(&["dance"]).code, Some(2));
    assert_eq!(project.pushflow(&["run"]).code, Some(2));
    let missing = project.pushflow(&["run", "missing.toml"]);
    assert_eq!((missing.code, &*missing.stderr), (Some(3), "pushflow: missing.toml does not exist\n"));
    let missing = project.pushflow(&["run", "missing"]);
    assert_eq!(missing.code, Some(3));
    assert!(
        missing.stderr.starts_with("pushflow: there is no workflow missing: looked for missing.toml in "),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_workflow_of_the_user_is_found_by_its_name() {
    let project = Project::task("def run(**_): return {'found': True}");
    std::fs::create_dir_all(project.path(".config/pushflow/workflows")).unwrap();
    for name in ["w.toml", "task.py"] {
        std::fs::copy(project.path(name), project.path(".config/pushflow/workflows").join(name)).unwrap();
    }
    assert_eq!(project.pushflow(&["run", "w"]).json()["found"], true);
}

#[test]
fn an_invalid_file_is_status_2_and_nothing_runs() {
    let project = Project::new().file("w.toml", "[actors.a]\nkind = 'fork'\nbolour = 'red'\n");
    for verb in ["run", "check"] {
        let finished = project.pushflow(&[verb, "w.toml"]);
        assert_eq!((finished.code, &*finished.stdout), (Some(2), ""), "{verb}");
        assert!(finished.stderr.contains("bolour"), "{}", finished.stderr);
    }
}

#[test]
fn a_workflow_is_drawn_in_the_format_that_the_file_name_says() {
    let project = Project::task("def run(**_): return {}");
    for (arguments, start) in [
        (&["graph", "w.toml"][..], "digraph"),
        (&["graph", "w.toml", "--format", "mermaid"], "flowchart"),
        (&["graph", "w.toml", "--format", "svg"], "<svg"),
    ] {
        let finished = project.pushflow(arguments);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(finished.stdout.contains(start) && finished.stdout.contains("task"), "{}", finished.stdout);
    }
    assert_eq!(project.pushflow(&["graph", "w.toml", "--output", "w.svg"]).stdout, "");
    assert!(std::fs::read_to_string(project.path("w.svg")).unwrap().contains("<svg"));
}

#[test]
fn the_schema_is_json_and_says_what_a_workflow_file_may_hold() {
    let finished = Project::new().pushflow(&["schema"]);
    assert_eq!(finished.json()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(finished.json()["properties"].get("actors").is_some());
}

#[test]
fn a_workflow_that_is_a_link_finds_its_files_beside_the_file_itself_or_else_beside_the_link() {
    let links = "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'prog' }, { from = 'prog', to = 'other' }, { from = 'other', to = 'stop' }]";
    let sections = "[actors.task]\nscript = 'task.py'\n[actors.prog]\nkind = 'exec'\ncommand = ['cat', 'said.txt']\nstdout_key = 'said'\n[actors.other]\nscript = 'other.py'";
    let project = Project::with_workflow(sections, links)
        .file("task.py", "def run(**_): return {'task': 'beside the file'}")
        .file("said.txt", "the file's")
        .file(".config/pushflow/workflows/task.py", "def run(**_): return {'task': 'beside the link'}")
        .file(".config/pushflow/workflows/other.py", "def run(**_): return {'other': 'beside the link'}");
    // A relative link, as `ln -sr` makes it, and one more that leads to it.
    std::os::unix::fs::symlink("../../../w.toml", project.path(".config/pushflow/workflows/linked.toml")).unwrap();
    std::os::unix::fs::symlink("linked.toml", project.path(".config/pushflow/workflows/again.toml")).unwrap();
    for name in ["linked", "again", ".config/pushflow/workflows/linked.toml"] {
        let output = project.pushflow(&["run", name]).json();
        assert_eq!(output["task"], "beside the file", "{name}");
        assert_eq!(output["said"], "the file's", "{name}");
        assert_eq!(output["other"], "beside the link", "{name}");
    }
    let checked = project.pushflow(&["check", ".config/pushflow/workflows/again.toml"]);
    assert_eq!((checked.code, &*checked.stderr), (Some(0), ""));
    // What people call it is the name of the link.
    assert!(project.pushflow(&["graph", "linked"]).stdout.contains("digraph \"linked\""));
    std::os::unix::fs::symlink("/no/such/file.toml", project.path(".config/pushflow/workflows/dead.toml")).unwrap();
    let dead = project.pushflow(&["run", "dead"]);
    assert_eq!(dead.code, Some(3));
    assert!(
        dead.stderr.contains("dead.toml is a symbolic link to /no/such/file.toml, which does not exist"),
        "{}",
        dead.stderr
    );
}

#[test]
fn a_dash_for_a_file_is_standard_output() {
    let project = Project::task("def run(**_): return {'n': 1}");
    assert_eq!(project.run(&["--output", "-"]).json()["n"], 1);
    let both = project.run(&["--output", "-", "--accounting-file", "-"]);
    let lines: Vec<serde_json::Value> = both.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() == 2 && lines[0]["n"] == 1 && lines[1]["workflow"] == "w", "{}", both.stdout);
    assert!(project.pushflow(&["graph", "w.toml", "--output", "-", "--format", "svg"]).stdout.contains("<svg"));
    assert_eq!(project.run(&["--history"]).code, Some(0));
    assert!(project.pushflow(&["show", "w/1", "--timeline", "-"]).stdout.contains("<svg"));
    assert!(project.pushflow(&["show", "w/1", "--trace", "-"]).any_json().is_object());
    assert!(!project.path("-").exists());
    assert_eq!(project.run(&["--output", "./-"]).stdout, "");
    assert!(project.path("-").exists());
}

#[test]
fn a_check_warns_of_programs_that_cannot_be_started_here_and_of_scripts_without_run() {
    let links = "links = [{ from = 'start', to = 'task' }, { from = 'start', to = 'good' }, { from = 'start', to = 'none' }, \
                 { from = 'start', to = 'plain' }, { from = 'start', to = 'any' }, { from = 'start', to = 'elsewhere' }, \
                 { from = 'start', to = 'module' }, { from = 'task', to = 'stop' }]";
    let exec = |name: &str, command: &str, more: &str| {
        format!("[actors.{name}]\nkind = 'exec'\ncommand = ['{command}']\n{more}\n")
    };
    let sections = [
        "[actors.task]\nscript = 'task.py'\n[actors.module]\nscript = 'package.steps'\n".to_owned(),
        exec("good", "./good.sh", "cwd = 'programs'"),
        exec("none", "no-such-program", ""),
        exec("plain", "./plain.sh", ""),
        exec("any", "{program}", ""),
        exec("elsewhere", "good.sh", "env = { PATH = 'programs' }"),
    ]
    .concat();
    let project = Project::with_workflow(&sections, links)
        .file("task.py", "class Task:\n    def run(self): return {}\n")
        .file("package/steps.py", "def main(): return {}\n")
        .file("programs/good.sh", "#!/bin/sh\n")
        .file("plain.sh", "#!/bin/sh\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(project.path("programs/good.sh"), executable).unwrap();
    let checked = project.pushflow(&["check", "w.toml"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("4 warnings"), "{}{}", checked.stdout, checked.stderr);
    let said = checked.stderr.replace("\n  │ ", " ");
    for warning in [
        "the script `task.py` has no function `run`",
        "the script `package.steps` has no function `run`",
        "`no-such-program` cannot be started on this host: there is no such program in PATH",
        "`./plain.sh` cannot be started on this host: it may not be executed: run chmod +x",
    ] {
        assert!(said.contains(warning), "{warning}: {said}");
    }
}
