//! `pushflow new`: what it writes runs as it is, and it overwrites nothing.

use std::fs;

use crate::support::Project;

#[test]
fn a_new_workflow_is_valid_and_runs() {
    let project = Project::new();
    let made = project.pushflow(&["new", "mesh scan"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(made.stdout.starts_with("wrote mesh scan/task.py, mesh scan.toml"), "{}", made.stdout);
    assert!(made.stdout.contains("pushflow run 'mesh scan.toml' -i name=World"), "{}", made.stdout);
    let checked = project.pushflow(&["check", "mesh scan.toml"]);
    assert_eq!((checked.code, &*checked.stderr), (Some(0), ""));
    let finished = project.pushflow(&["run", "mesh scan.toml", "-i", "name=World"]);
    assert_eq!(finished.json(), serde_json::json!({ "name": "World", "reply": "Hello World!" }));
    let first = fs::read_to_string(project.path("mesh scan.toml")).unwrap();
    let schema = first.lines().next().unwrap().strip_prefix("#:schema ").unwrap().to_owned();
    let schema = match schema.strip_prefix("file://") {
        Some(installed) => installed.into(),
        None => project.path(&schema),
    };
    let schema: serde_json::Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn a_new_workflow_of_the_user_has_a_name() {
    let project = Project::new();
    let made = project.pushflow(&["new", "mesh", "--user"]);
    assert!(made.stdout.contains("systemctl --user start pushflow@mesh"), "{} {}", made.stdout, made.stderr);
    assert_eq!(project.pushflow(&["run", "mesh"]).json()["reply"], "Hello you!");
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_where_not_all_can_be_written() {
    let project = Project::new().file("a/task.py", "mine").file("b.toml", "mine").file("c", "a file, not a folder");
    for name in ["a", "b", "b.toml", "./b"] {
        let made = project.pushflow(&["new", name]);
        assert_eq!(made.code, Some(2), "{name}");
        assert!(made.stderr.contains("exists; choose another name, or remove it"), "{}", made.stderr);
    }
    let made = project.pushflow(&["new", "c"]);
    assert_eq!(made.code, Some(1));
    assert!(made.stderr.contains("cannot make the folder c"), "{}", made.stderr);
    assert!(!project.path("a.toml").exists() && !project.path("b").exists() && !project.path("c.toml").exists());
    assert_eq!(fs::read_to_string(project.path("b.toml")).unwrap(), "mine");
}

#[test]
fn what_is_no_name_is_refused() {
    let project = Project::new();
    for name in ["", ".", "..", ".hidden", "folder/", "a\nb"] {
        let made = project.pushflow(&["new", "--", name]);
        assert_eq!(made.code, Some(2), "{name:?}: {}", made.stdout);
        assert!(made.stderr.contains("is not a name for a workflow"), "{}", made.stderr);
    }
    let made = project.pushflow(&["new", "--user", "folder/name"]);
    assert!(made.stderr.contains("take a name, not the path folder/name"), "{}", made.stderr);
}
