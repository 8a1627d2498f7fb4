//! The documents of `pushflow run` and of pypushflow, for the same workflows, field by field.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value, json};

use crate::server::{Server, python};
use crate::support::process::output;

/// What runs with pypushflow's variables and without them.
const VARIABLES: [&str; 5] = ["MONGOURL", "INITIATOR", "HOST", "PORT", "OBJECTID"];

fn without_variables(command: &mut Command) -> &mut Command {
    VARIABLES.iter().for_each(|name| _ = command.env_remove(format!("PYPUSHFLOW_{name}")));
    // The time on the wall, which is not UTC there.
    command.env("TZ", "Asia/Kolkata").env("LOGNAME", "opid30")
}

/// Runs workflows in pypushflow; what they raise.
fn there(requests: &Value, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(python());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mx/reference.py")).arg(requests.to_string());
    let output = output(without_variables(&mut command).envs(variables.iter().copied()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A workflow of `recorded.py`, converted, with a `[record]` section, in a folder of its own.
struct Here {
    folder: tempfile::TempDir,
}

impl Here {
    fn new() -> Self {
        Here { folder: tempfile::tempdir().unwrap() }
    }

    fn pushflow(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow"));
        let folder = self.folder.path();
        command.current_dir(folder).env("XDG_CONFIG_HOME", folder).env("XDG_STATE_HOME", folder).env("NO_COLOR", "1");
        command.env("XDG_RUNTIME_DIR", folder).env_remove("DBUS_SESSION_BUS_ADDRESS");
        without_variables(&mut command);
        command
    }

    fn convert(&self, class: &str, record: &str) -> PathBuf {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut command = self.pushflow();
        command.arg("convert").arg(format!("{}:{class}", tests.join("mx/recorded.py").display()));
        command.arg("--python").arg(python()).env("PYTHONPATH", tests.join("parity"));
        let output = output(&mut command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = self.folder.path().join(format!("{class}.toml"));
        std::fs::write(&file, format!("{}\n{record}", String::from_utf8(output.stdout).unwrap())).unwrap();
        file
    }

    fn run(&self, file: &Path, inputs: &Value, variables: &[(&str, &str)]) -> Output {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut command = self.pushflow();
        command.arg("run").arg(file).env("PYTHONPATH", tests.join("parity")).envs(variables.iter().copied());
        for (key, value) in inputs.as_object().unwrap() {
            command.arg("-i").arg(format!("{key}={value}"));
        }
        output(&mut command)
    }

    fn url_file(&self, server: &Server) -> String {
        let path = self.folder.path().join("mongo-url");
        std::fs::write(&path, server.url()).unwrap();
        path.display().to_string()
    }
}

/// What differs between two documents, with its place.
fn differences(place: &str, there: &Value, here: &Value) -> Vec<String> {
    let last = place.rsplit('.').next().unwrap_or_default();
    let same = match (there, here) {
        // Of a list of frames the last line is the error; the frames are each program's own.
        (Value::Array(one), Value::Array(other)) if last == "traceBack" => {
            one.last() == other.last()
                && other.iter().all(|line| line.as_str().is_some_and(|line| line.ends_with('\n')))
        }
        (Value::Object(one), Value::Object(other)) if one.contains_key("$date") && last.ends_with("Time") => {
            let millis =
                |date: &Map<String, Value>| date["$date"]["$numberLong"].as_str().unwrap().parse::<i64>().unwrap();
            // Both ran within the same minutes, on the same wall.
            other.contains_key("$date") && (millis(one) - millis(other)).abs() < 600_000
        }
        // Of an actor, and of a document without a request id, it is made up.
        (Value::Object(one), Value::Object(other)) if one.contains_key("$oid") => other.contains_key("$oid"),
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            let each = |key: &String| match (one.get(key), other.get(key)) {
                (Some(there), Some(here)) => differences(&format!("{place}.{key}"), there, here),
                (there, here) => vec![format!("{place}.{key}: there {there:?}, here {here:?}")],
            };
            return keys.flat_map(each).collect();
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            return pairs.flat_map(|(at, (one, other))| differences(&format!("{place}[{at}]"), one, other)).collect();
        }
        _ => there == here,
    };
    if same { Vec::new() } else { vec![format!("{place}: there {there}, here {here}")] }
}

/// Runs a workflow in both with a request id, and compares.
fn compare(classes: &[&str]) {
    let (mut server_there, mut server_here) = (Server::start(), Server::start());
    let inputs = json!({"value": 1, "limit": 4});
    let requests: Vec<Value> = classes.iter().map(|class| json!({
        "class": class, "inputs": inputs,
        "db_options": {"db_type": "besdb", "url": server_there.url(), "request_id": class, "initiator": "ui", "host": "id30", "port": 8080},
    })).collect();
    assert_eq!(there(&Value::Array(requests), &[]), "");
    let here = Here::new();
    let url = here.url_file(&server_here);
    for class in classes {
        let record = format!(
            "[record]\ntype = \"besdb\"\nurl_file = \"{url}\"\ninitiator = \"ui\"\nhost = \"id30\"\nport = 8080\n"
        );
        let file = here.convert(class, &record);
        let output = here.run(&file, &inputs, &[("PYPUSHFLOW_OBJECTID", class)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("not recorded") && !said.contains("s3cret"), "{class}: {said}");
    }
    let (there, here) = (server_there.documents("bes", "bes"), server_here.documents("bes", "bes"));
    assert_eq!((there.len(), here.len()), (classes.len(), classes.len()));
    let pairs = there.iter().zip(&here);
    assert!(pairs.clone().all(|(there, here)| there["_id"] == here["_id"]), "{there:#?} {here:#?}");
    let differences: Vec<_> =
        pairs.flat_map(|(there, here)| differences(there["name"].as_str().unwrap(), there, here)).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn straight_looping_joined_and_nested_workflows_are_recorded_as_pypushflow_records_them() {
    compare(&["Straight", "Loop", "ForkAndJoin", "Nested", "WithoutTasks", "StatusWord", "Logged"]);
}

#[test]
fn errors_are_recorded_as_pypushflow_records_them() {
    compare(&["Handled", "Recovered"]);
}

#[test]
fn what_bson_cannot_hold_is_replaced_as_pypushflow_replaces_it() {
    compare(&["Values"]);
}

#[test]
fn pypushflows_environment_variables_work_without_a_section() {
    let (mut server_there, mut server_here) = (Server::start(), Server::start());
    for id in ["0123456789abcdef01234567", "no object id"] {
        let variables = |server: &Server| -> Vec<(&'static str, String)> {
            vec![
                ("PYPUSHFLOW_MONGOURL", server.url()),
                ("PYPUSHFLOW_OBJECTID", id.to_owned()),
                ("PYPUSHFLOW_INITIATOR", "mxcube".to_owned()),
                ("PYPUSHFLOW_HOST", "there".to_owned()),
                ("PYPUSHFLOW_PORT", "123".to_owned()),
            ]
        };
        let borrowed = |variables: &[(&'static str, String)]| -> Vec<(&'static str, String)> { variables.to_vec() };
        let theirs = borrowed(&variables(&server_there));
        let theirs: Vec<(&str, &str)> = theirs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(there(&json!([{"class": "Straight", "inputs": {"value": 1}}]), &theirs), "");
        let ours = variables(&server_here);
        let ours: Vec<(&str, &str)> = ours.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let here = Here::new();
        here.run(&here.convert("Straight", ""), &json!({"value": 1}), &ours);
        // What the file says wins.
        let never = here.run(&here.convert("Straight", "[record]\ntype = \"none\""), &json!({"value": 1}), &ours);
        assert!(never.status.success());
    }
    let (there, here) = (server_there.documents("bes", "bes"), server_here.documents("bes", "bes"));
    assert_eq!((there.len(), here.len()), (2, 2));
    assert!(there.iter().zip(&here).all(|(there, here)| there["_id"] == here["_id"]), "{there:#?} {here:#?}");
    let differences: Vec<_> = there.iter().zip(&here).flat_map(|(there, here)| differences("", there, here)).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn plain_documents_in_any_collection_have_an_id_of_their_own() {
    let (mut server_there, mut server_here) = (Server::start(), Server::start());
    let options = json!({"db_type": "pymongo", "url": server_there.url(), "database": "d", "collection": "c"});
    let classes = ["Straight", "WithoutTasks"];
    let requests: Vec<_> =
        classes.iter().map(|class| json!({"class": class, "inputs": {"value": 1}, "db_options": options})).collect();
    assert_eq!(there(&Value::Array(requests), &[]), "");
    let here = Here::new();
    let url = here.url_file(&server_here);
    for class in classes {
        let record =
            format!("[record]\ntype = \"mongodb\"\nurl_file = \"{url}\"\ndatabase = \"d\"\ncollection = \"c\"\n");
        here.run(&here.convert(class, &record), &json!({"value": 1}), &[]);
    }
    let by_name = |mut documents: Vec<Value>| {
        documents.sort_by_key(|document| document["name"].to_string());
        documents
    };
    let (there, here) = (by_name(server_there.documents("d", "c")), by_name(server_here.documents("d", "c")));
    assert_eq!((there.len(), here.len()), (2, 2));
    for (there, here) in there.iter().zip(&here) {
        let mut there = there.clone();
        for document in [&there, here] {
            assert_eq!(document["Request ID"], document["_id"]["$oid"]);
        }
        there["Request ID"] = here["Request ID"].clone();
        assert_eq!(differences("", &there, here), Vec::<String>::new());
    }
}

#[test]
fn a_run_without_a_request_id_is_recorded_under_one_of_its_own_and_an_input_can_hold_it() {
    let mut server = Server::start();
    // pypushflow does not run such a workflow at all.
    let options = json!({"db_type": "besdb", "url": server.url()});
    let raised = there(&json!([{"class": "Straight", "inputs": {"value": 1}, "db_options": options}]), &[]);
    assert_eq!(raised, "ValueError: The request ID needs to be provided\n");
    let here = Here::new();
    let record =
        format!("[record]\ntype = \"besdb\"\nurl_file = \"{}\"\nrequest_id_from = \"id\"\n", here.url_file(&server));
    let file = here.convert("Straight", &record);
    let output = here.run(&file, &json!({"value": 1}), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has no request id"), "{said}");
    here.run(&file, &json!({"value": 1, "id": "of an input"}), &[]);
    let documents = server.documents("bes", "bes");
    let named = |document: &&Value| document["Request ID"] == "of an input";
    assert_eq!((documents.len(), documents.iter().filter(named).count()), (2, 1));
    let made_up = documents.iter().find(|document| !named(document)).unwrap();
    assert_eq!(made_up["Request ID"], made_up["_id"]["$oid"]);
    assert_eq!(made_up["initiator"], "opid30");
}

#[test]
fn the_next_run_records_what_a_server_that_was_away_has_missed() {
    let mut server = Server::start();
    let here = Here::new();
    let url = here.folder.path().join("mongo-url");
    std::fs::write(&url, "mongodb://localhost:1/?serverSelectionTimeoutMS=200").unwrap();
    let record = format!("[record]\ntype = \"besdb\"\nurl_file = \"{}\"\n", url.display());
    let file = here.convert("Straight", &record);
    let output = here.run(&file, &json!({"value": 1, "request_id": "one"}), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("MongoDB at localhost:1 is away, runs go on"), "{said}");
    assert!(said.contains("not everything is recorded yet"), "{said}");
    std::fs::write(&url, server.url()).unwrap();
    here.run(&file, &json!({"value": 1, "request_id": "two"}), &[]);
    let documents = server.documents("bes", "bes");
    assert_eq!(documents.len(), 2, "{documents:#?}");
    assert!(
        documents
            .iter()
            .all(|document| document["status"] == "finished" && document["actors"].as_array().unwrap().len() == 2)
    );
}
