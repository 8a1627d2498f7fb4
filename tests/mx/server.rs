//! The MongoDB server of a test, stopped and started as it likes.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Once;

use serde_json::{Value, json};

use crate::support::process::Process;

/// The interpreter that has pypushflow, mockupdb and mongomock.
pub fn python() -> PathBuf {
    let python = match std::env::var_os("PUSHFLOW_TEST_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env/bin/python"),
    };
    assert!(
        python.exists(),
        "the tests need {}; tests/run makes it, PUSHFLOW_TEST_PYTHON names another",
        python.display()
    );
    python
}

pub struct Server {
    process: Option<Process>,
    requests: Option<ChildStdin>,
    port: u64,
    /// What it is.
    pub name: String,
    /// Its documents, where it has a process of its own.
    _folder: tempfile::TempDir,
}

impl Server {
    /// A `mongod`, where there is one on PATH.
    pub fn start() -> Self {
        let server = Server::found_on(&std::env::var_os("PATH").unwrap_or_default());
        // Past the test harness, which keeps what tests that pass have printed to itself.
        static SAID: Once = Once::new();
        SAID.call_once(|| _ = writeln!(std::io::stderr(), "the MongoDB server of these tests: {}", server.name));
        server
    }

    pub fn found_on(path: &OsStr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(python());
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mx/server.py"))
            .arg(folder.path())
            .env("PATH", path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped());
        let mut process = Process::start(&mut command);
        let requests = process.stdin();
        let first: Value = serde_json::from_str(&process.line()).unwrap();
        let (port, name) = (first["port"].as_u64().unwrap(), first["name"].as_str().unwrap().to_owned());
        Server { process: Some(process), requests, port, name, _folder: folder }
    }

    /// Its address, with a password that nobody may see. (It asks for none.)
    pub fn url(&self) -> String {
        format!("mongodb://localhost:{}/?appName=s3cret", self.port)
    }

    pub fn ask(&mut self, request: Value) -> Value {
        writeln!(self.requests.as_mut().unwrap(), "{request}").unwrap();
        serde_json::from_str(&self.process.as_mut().unwrap().line()).unwrap()
    }

    pub fn stop(&mut self) {
        self.ask(json!({"do": "stop"}));
    }

    pub fn start_again(&mut self) {
        self.ask(json!({"do": "start"}));
    }

    /// It takes connections and answers nothing.
    pub fn be_deaf(&mut self) {
        self.ask(json!({"do": "hang", "how": "deaf"}));
    }

    /// It greets, and answers nothing else.
    pub fn hang(&mut self) {
        self.ask(json!({"do": "hang", "how": "idle"}));
    }

    /// A client waits for it.
    pub fn wait_until_asked(&mut self) {
        assert_eq!(self.ask(json!({"do": "held", "seconds": 60}))["held"], true);
    }

    /// It answers again; what has come meanwhile it does so much later, also where nobody waits for the answer any more.
    pub fn go_on(&mut self, late: u64) {
        self.ask(json!({"do": "hang", "how": null, "late": late}));
    }

    /// It has done all that it was asked to.
    pub fn wait_until_quiet(&mut self) {
        assert_eq!(self.ask(json!({"do": "quiet", "seconds": 60}))["quiet"], true);
    }

    /// All documents, by `_id`.
    pub fn documents(&mut self, database: &str, collection: &str) -> Vec<Value> {
        let mut answer = self.ask(json!({"do": "documents", "database": database, "collection": collection}));
        let Value::Array(mut documents) = answer["documents"].take() else { panic!() };
        documents.sort_by_key(|document| document["_id"].to_string());
        documents
    }

    /// Waits until so many documents of `bes` match.
    pub fn wait_for(&mut self, filter: Value, count: u64) {
        self.wait_for_in("bes", filter, count);
    }

    /// The same in another collection of the database `bes`.
    pub fn wait_for_in(&mut self, collection: &str, filter: Value, count: u64) {
        let request = json!({
            "do": "wait", "database": "bes", "collection": collection, "filter": filter, "count": count, "seconds": 60,
        });
        let found = self.ask(request.clone())["found"].as_u64().unwrap();
        if found < count {
            panic!("{found} documents match {request}: {:#?}", self.documents("bes", collection));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input, and the mongod with it.
        drop(self.requests.take());
        let process = self.process.take().unwrap();
        if !std::thread::panicking() {
            process.end();
        }
    }
}
