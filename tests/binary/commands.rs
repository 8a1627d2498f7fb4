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
