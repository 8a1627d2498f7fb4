//! Whose histories are whose: files of one name, and who may read them.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::history;
use crate::support::{Project, python};

/// Two files `same.toml`, each with a task that says which it is.
fn two_of_one_name() -> Project {
    ["x", "y"].iter().fold(Project::new(), |project, folder| {
        let workflow = format!(
            "links = [{{ from = 'start', to = 't' }}, {{ from = 't', to = 'stop' }}]\n[workflow]\npython = {:?}\n\
             [actors.t]\nscript = 't.py'\n",
            python()
        );
        let task = format!("def run(**_): return {{'from': '{folder}'}}");
        project.file(&format!("{folder}/same.toml"), &workflow).file(&format!("{folder}/t.py"), &task)
    })
}

fn show(project: &Project, run: &str) -> Value {
    let finished = project.pushflow(&["show", run, "--json"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn two_files_of_one_name_have_a_history_each_and_runs_name_their_file() {
    let project = two_of_one_name();
    for file in ["x/same.toml", "y/same.toml", "./x/../x/same.toml", "y/same.toml"] {
        let run = project.pushflow(&["run", file, "--history"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    let folder = std::fs::canonicalize(project.path("")).unwrap();
    for (run, from) in [("same/1", "x"), ("same/2", "x"), ("same-2/1", "y"), ("same-2/2", "y")] {
        let shown = show(&project, run);
        assert_eq!(shown["outputs"]["from"], from);
        assert_eq!(shown["file"], folder.join(from).join("same.toml").display().to_string());
    }
    assert!(project.pushflow(&["show", "same/1"]).stdout.contains("x/same.toml"));
    // By their name all of them, by a file its own.
    assert_eq!(history(&project, &["same"]).len(), 4);
    let of_file = history(&project, &["y/same.toml"]);
    assert!(of_file.len() == 2 && of_file.iter().all(|run| run["workflow"] == "same-2"), "{of_file:?}");
    let table = project.pushflow(&["history", "--user"]).stdout;
    assert!(table.lines().next().unwrap().ends_with("FILE") && table.contains("y/same.toml"), "{table}");
}

#[test]
fn a_history_of_an_earlier_version_is_shown_and_goes_on() {
    let project = Project::task("def run(**_): return {}");
    assert_eq!(project.run(&["--history"]).code, Some(0));
    let connection = rusqlite::Connection::open(crate::file(&project)).unwrap();
    connection
        .execute_batch(
            "ALTER TABLE runs DROP COLUMN file; ALTER TABLE state DROP COLUMN file; ALTER TABLE state DROP COLUMN aged_to;
             ALTER TABLE state DROP COLUMN aged_boot; ALTER TABLE state DROP COLUMN aged_up; PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    assert_eq!(show(&project, "w/1")["file"], Value::Null);
    assert_eq!(project.run(&["--history"]).code, Some(0));
    assert_eq!(history(&project, &["w"]).len(), 2);
    assert!(show(&project, "w/2")["file"].as_str().is_some_and(|file| file.ends_with("/w.toml")));
}

#[test]
fn the_history_of_a_user_is_for_nobody_else() {
    let project = Project::task("def run(**_): return {}");
    assert_eq!(project.run(&["--history"]).code, Some(0));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = crate::file(&project);
    // As an earlier version made it.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(project.run(&["--history"]).code, Some(0));
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}
