//! The MongoDB server of a test, stopped and started as it likes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

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
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u64,
}

impl Server {
    pub fn start() -> Self {
        let mut process = Command::new(python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mx/server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let first: Value = serde_json::from_str(&line).expect("the server starts: see above");
        Server { process, requests, answers, port: first["port"].as_u64().unwrap() }
    }

    /// Its address, with a password that nobody may see. (It asks for none.)
    pub fn url(&self) -> String {
        format!("mongodb://localhost:{}/?appName=s3cret", self.port)
    }

    pub fn ask(&mut self, request: Value) -> Value {
        writeln!(self.requests, "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server fails at {request}: see above"))
    }

    pub fn stop(&mut self) {
        self.ask(json!({"do": "stop"}));
    }

    pub fn start_again(&mut self) {
        self.ask(json!({"do": "start"}));
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
        let request = json!({
            "do": "wait", "database": "bes", "collection": "bes", "filter": filter, "count": count, "seconds": 60,
        });
        let found = self.ask(request.clone())["found"].as_u64().unwrap();
        if found < count {
            panic!("{found} documents match {request}: {:#?}", self.documents("bes", "bes"));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
