//! `pushflow history` and `pushflow show`.

use serde_json::{Value, json};

use crate::bus::{Bus, Installed};
use crate::history;
use crate::support::Project;

const FAILS: &str = "
def run(x=1, **_):
    if x == 2:
        raise ValueError('no beam')
    return {'y': list(range(x)), 'odd': {3}, 'large': 'a' * 100_000}
";

fn recorded() -> Project {
    let project = Project::task(FAILS);
    assert_eq!(project.run(&["--history", "-i", "x=3"]).code, Some(0));
    assert_eq!(project.run(&["--history", "-i", "x=2"]).code, Some(1));
    project
}

fn json(project: &Project, arguments: &[&str]) -> Value {
    let finished = project.pushflow(arguments);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn runs_are_found_by_status_time_and_actor_newest_first() {
    let project = recorded();
    let ids = |arguments: &[&str]| {
        let runs = history(&project, arguments);
        runs.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), ["w/2", "w/1"]);
    assert_eq!(ids(&["w", "--status", "failed"]), ["w/2"]);
    assert_eq!(ids(&["--workflow", "w", "--since", "1h", "--actor", "task"]), ["w/2", "w/1"]);
    assert!(ids(&["--actor", "nobody"]).is_empty() && ids(&["--since", "2999-01-01"]).is_empty());
    let missing = project.pushflow(&["history", "v"]);
    assert_eq!(missing.code, Some(3));
    assert!(missing.stderr.contains("there is no history of v"), "{}", missing.stderr);
    let table = project.pushflow(&["history"]).stdout;
    assert!(table.lines().nth(1).unwrap().starts_with("w/2  failed"), "{table}");
}

#[test]
fn a_run_is_shown_with_its_values_and_errors() {
    let project = recorded();
    let run = json(&project, &["show", "1", "--json", "--tasks"]);
    assert_eq!((&run["inputs"], &run["actors"][0]["tasks"]), (&json!({"x": 3}), &json!(1)));
    let outputs = &run["all_tasks"][0]["outputs"];
    assert_eq!((&outputs["y"], &outputs["odd"]), (&json!([0, 1, 2]), &json!({"$type": "set", "$repr": "{3}"})));
    assert_eq!(outputs["large"]["$bytes"].as_u64().unwrap() / 10_000, 10, "{outputs}");
    let failed = json(&project, &["show", "w/2", "--json"]);
    let error = &failed["errors"][0];
    assert_eq!((&error["status"], &error["error"]), (&json!("error"), &json!("no beam")));
    assert!(error["traceback"].as_str().unwrap().contains("raise ValueError('no beam')"));
    let text = project.pushflow(&["show", "w/2"]).stdout;
    assert!(text.starts_with("w/2: failed") && text.contains("  ValueError: no beam"), "{text}");
    for (name, code, why) in [("w/9", 3, "no run w/9 is recorded"), ("w/x", 2, "names no run")] {
        let finished = project.pushflow(&["show", name]);
        assert_eq!(finished.code, Some(code));
        assert!(finished.stderr.contains(why), "{}", finished.stderr);
    }
}

#[test]
fn what_runs_of_a_service_have_used_is_recorded() {
    let works = "def run(**_):\n    for _ in range(30): sum(range(200_000))\n    return {}";
    let (bus, project) = (Bus::new(), Installed::resident("", works));
    let _service = bus.serve(&project, "w");
    assert_eq!(bus.call("w", "Run", &["a{sv}a{sv}", "0", "0"]).code, Some(0));
    assert_eq!(bus.end("w", 1), "finished");
    let run = json(&project, &["show", "w/1", "--user", "--json", "--tasks"]);
    for (what, figures) in [("the run", &run), ("its actor", &run["actors"][0]), ("its task", &run["all_tasks"][0])] {
        let figures = &figures["figures"];
        assert!(figures["cpu_user_us"].as_u64() > Some(0) && figures["origin"].is_string(), "{what}: {figures}");
    }
}

#[test]
fn a_run_is_drawn_and_traced() {
    let project = recorded();
    assert_eq!(project.pushflow(&["show", "w/1", "--timeline", "w.svg", "--trace", "w.json"]).code, Some(0));
    assert_eq!(project.pushflow(&["show", "w/1", "--timeline", "w.html"]).code, Some(0));
    let svg = std::fs::read_to_string(project.path("w.svg")).unwrap();
    let bars = roxmltree::Document::parse(&svg).unwrap();
    assert!(bars.descendants().any(|node| node.text().is_some_and(|text| text.starts_with("task, task 0: took"))));
    let trace: Value = serde_json::from_slice(&std::fs::read(project.path("w.json")).unwrap()).unwrap();
    let tasks: Vec<_> = trace["traceEvents"].as_array().unwrap().iter().filter(|it| it["ph"] == "X").collect();
    assert_eq!((tasks.len(), &tasks[0]["name"]), (1, &json!("task")));
    let wrong = project.pushflow(&["show", "w/1", "--timeline", "w.png"]);
    assert_eq!((wrong.code, wrong.stderr.contains("a timeline must be an .svg or .html file")), (Some(2), true));
}
