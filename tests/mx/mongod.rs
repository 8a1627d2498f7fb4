//! A `mongod` on PATH is the server of the tests. What stands in for one here (`stand_in.py`) shows that it is found, started with
//! options that mongod documents, stopped, started again with its documents, and ended; not that a real one answers as it does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::history::History;
use crate::recorder::{Recorder, command};
use crate::server::{Server, python};

#[test]
fn a_mongod_on_path_is_the_server_keeps_its_documents_over_a_stop_and_is_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("mongod");
    let stand_in = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mx/stand_in.py");
    fs::write(&program, format!("#!/bin/sh\nexec '{}' '{stand_in}' \"$@\"\n", python().display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut server = Server::found_on(path.as_ref());
    assert_eq!(server.name, format!("{} (db version v0.0.0, which stands in for one)", program.display()));

    let history = History::new();
    let mut recorder = Recorder::start(command(&history, &server));
    history.whole(1, 2);
    server.wait_for(json!({"status": "finished"}), 1);
    let before = server.documents("bes", "bes");
    let first = server.ask(json!({"do": "process"}))["pid"].as_i64().unwrap();
    server.stop();
    history.whole(2, 2);
    recorder.wait_for("is away");
    server.start_again();
    let second = server.ask(json!({"do": "process"}))["pid"].as_i64().unwrap();
    assert_ne!(first, second);
    server.wait_for(json!({"status": "finished"}), 2);
    assert!(server.documents("bes", "bes").contains(&before[0]));
    assert_eq!(recorder.end().0.code(), Some(0));
    drop(server);
    for pid in [first, second] {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid}");
    }
}
