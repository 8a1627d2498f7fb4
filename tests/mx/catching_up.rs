//! Whatever the server and the recorder do: every run is there in the end, once, as it was.

use std::fs;

use serde_json::{Value, json};

use crate::history::History;
use crate::recorder::{Recorder, command, url_file};
use crate::server::Server;

/// Every run of 1 to `runs` is there once, whole, with so many actors in their order.
fn assert_whole(server: &mut Server, runs: u64, actors: u64) {
    let documents = server.documents("bes", "bes");
    let mut requests: Vec<_> = documents.iter().map(|document| document["Request ID"].as_str().unwrap()).collect();
    requests.sort_unstable();
    let mut wanted: Vec<_> = (1..=runs).map(|id| format!("request {id}")).collect();
    wanted.sort_unstable();
    assert_eq!(requests, wanted);
    for document in &documents {
        assert_eq!(document["status"], "finished", "{document:#}");
        let numbers: Vec<_> =
            list(&document["actors"]).iter().map(|actor| number(&actor["outData"]["number"])).collect();
        assert_eq!(numbers, (1..=actors).collect::<Vec<_>>(), "{document:#}");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// An integer in extended JSON.
fn number(value: &Value) -> u64 {
    value["$numberInt"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_thousand_runs_are_all_there_once_each_though_the_server_goes_away_in_the_middle() {
    let (mut server, history) = (Server::start(), History::new());
    let mut recorder = Recorder::start(command(&history, &server));
    (1..=400).for_each(|id| history.whole(id, 2));
    server.wait_for(json!({}), 100);
    server.stop();
    (401..=700).for_each(|id| history.whole(id, 2));
    recorder.wait_for("is away");
    (701..=1000).for_each(|id| history.whole(id, 2));
    server.start_again();
    recorder.wait_for("is back");
    server.wait_for(json!({"status": "finished"}), 1000);
    let (status, said) = recorder.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    let lines = |text: &str| said.iter().filter(|line| line.contains(text)).count();
    assert_eq!((lines("is away"), lines("is back"), said.len()), (1, 1, 3), "{said:#?}");
    assert_whole(&mut server, 1000, 2);
}

#[test]
fn a_document_grows_as_its_run_goes_on() {
    let (mut server, history) = (Server::start(), History::new());
    let recorder = Recorder::start(command(&history, &server));
    history.begin(1, "{\"request_id\":\"r\"}");
    server.wait_for(json!({"status": "started", "actors": {"$exists": false}}), 1);
    let first = history.task(1, "{\"a\":1}");
    server.wait_for(json!({"actors.0.status": "started", "actors.0.inData": {"a": 1}}), 1);
    let second = history.task(1, "{}");
    history.done(second, "{}");
    server.wait_for(json!({"actors.0.status": "started", "actors.1.status": "finished"}), 1);
    history.done(first, "{\"b\":2}");
    server.wait_for(json!({"status": "started", "actors.0.outData": {"b": 2}}), 1);
    history.end(1, "failed");
    server.wait_for(json!({"status": "error", "stopTime": {"$exists": true}}), 1);
    assert_eq!(recorder.end().0.code(), Some(0));
    assert_eq!(list(&server.documents("bes", "bes")[0]["actors"]).len(), 2);
}

#[test]
fn killed_at_any_moment_a_recorder_goes_on_where_it_was() {
    let (mut server, history) = (Server::start(), History::new());
    // Slow enough to be killed between any two of its writes.
    server.ask(json!({"do": "delay", "seconds": 0.002}));
    for round in 0..10 {
        (1..=10).for_each(|number| history.whole(round * 10 + number, 3));
        let recorder = Recorder::start(command(&history, &server));
        server.wait_for(json!({"status": "finished"}), round * 10 + round);
        recorder.kill();
    }
    let (status, said) = Recorder::once(command(&history, &server)).end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert_whole(&mut server, 100, 3);
}

#[test]
fn without_its_bookmark_everything_is_recorded_again_and_nothing_is_doubled() {
    let (mut server, history) = (Server::start(), History::new());
    (1..=5).for_each(|id| history.whole(id, 3));
    assert_eq!(Recorder::once(command(&history, &server)).end().0.code(), Some(0));
    let before = server.documents("bes", "bes");
    fs::remove_file(history.folder().join("recorded.json")).unwrap();
    let (status, said) = Recorder::once(command(&history, &server)).end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert_eq!(server.documents("bes", "bes"), before);
    assert!(!said.iter().any(|line| line.contains("not recorded")), "{said:#?}");
}

#[test]
fn a_write_whose_answer_is_lost_is_there_once() {
    let (mut server, history) = (Server::start(), History::new());
    let mut recorder = Recorder::start(command(&history, &server));
    for id in 1..=20 {
        server.ask(json!({"do": "lose", "answers": 1}));
        history.whole(id, 2);
        server.wait_for(json!({"status": "finished"}), id);
    }
    recorder.wait_for("is back");
    assert_eq!(recorder.end().0.code(), Some(0));
    assert_whole(&mut server, 20, 2);
}

#[test]
fn a_server_that_refuses_is_told_from_a_document_that_it_refuses() {
    let (mut server, history) = (Server::start(), History::new());
    let mut recorder = Recorder::start(command(&history, &server));
    // Unauthorized.
    server.ask(json!({"do": "refuse", "code": 13}));
    history.whole(1, 1);
    recorder.wait_for("is away, runs go on, and are recorded later: it says: refused by the test");
    // BadValue... of a command that MongoDB calls no document: it never takes this one.
    server.ask(json!({"do": "refuse", "code": 22}));
    recorder.wait_for("run 1 is not recorded: refused by the test");
    server.ask(json!({"do": "refuse", "code": null}));
    history.whole(2, 1);
    server.wait_for(json!({"Request ID": "request 2"}), 1);
    assert_eq!(recorder.end().0.code(), Some(0));
    assert_eq!(server.documents("bes", "bes").len(), 1);
}

#[test]
fn a_second_run_with_a_request_id_leaves_the_document_of_the_first() {
    let (mut server, history) = (Server::start(), History::new());
    history.begin(1, "{\"request_id\":\"r\"}");
    history.end(1, "finished");
    history.begin(2, "{\"request_id\":\"r\"}");
    history.end(2, "failed");
    let (status, said) = Recorder::once(command(&history, &server)).end();
    assert_eq!(status.code(), Some(0));
    assert!(
        said.iter().any(|line| line.contains("run 2 is not recorded: there is a document of another run")),
        "{said:#?}"
    );
    let documents = server.documents("bes", "bes");
    assert_eq!((documents.len(), &documents[0]["status"]), (1, &json!("finished")));
}

#[test]
fn a_document_that_becomes_too_large_keeps_its_actors_without_their_data() {
    let (mut server, history) = (Server::start(), History::new());
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(900_000));
    history.at_once(|history| {
        history.begin(1, "{\"request_id\":\"r\"}");
        for _ in 0..12 {
            let task = history.task(1, &large);
            history.done(task, &large);
        }
        history.end(1, "finished");
    });
    let (status, said) = Recorder::once(command(&history, &server)).end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("as large as MongoDB takes them")), "{said:#?}");
    let document = &server.documents("bes", "bes")[0];
    let actors = list(&document["actors"]);
    assert_eq!((actors.len(), &document["status"]), (12, &json!("finished")));
    assert!(actors[0]["inData"]["text"].is_string());
    assert_eq!(actors[11]["outData"], json!({"not recorded": "the document would be too large"}));
    assert!(actors.iter().all(|actor| actor["status"] == "finished"));
}

#[test]
fn a_history_that_lost_its_last_moments_or_is_another_is_copied_from_the_start() {
    let (mut server, history) = (Server::start(), History::new());
    (1..=3).for_each(|id| history.whole(id, 1));
    let mut recorder = Recorder::start(command(&history, &server));
    server.wait_for(json!({}), 3);
    // The numbers of the changes of run 3 are used again.
    history.turn_back_to(10);
    history.whole(4, 1);
    server.wait_for(json!({"Request ID": "request 4"}), 1);
    recorder.wait_for("runs are recorded in MongoDB at localhost:");
    history.replace_identity();
    history.whole(5, 1);
    server.wait_for(json!({"Request ID": "request 5"}), 1);
    assert_eq!(recorder.end().0.code(), Some(0));
    assert_whole(&mut server, 5, 1);
}

#[test]
fn two_recorders_of_a_history_take_turns() {
    let (mut server, history) = (Server::start(), History::new());
    let mut first = Recorder::start(command(&history, &server));
    history.whole(1, 1);
    first.wait_for("runs are recorded");
    let mut second = Recorder::start(command(&history, &server));
    history.whole(2, 1);
    server.wait_for(json!({}), 2);
    assert_eq!(first.end().0.code(), Some(0));
    history.whole(3, 1);
    second.wait_for("runs are recorded");
    server.wait_for(json!({}), 3);
    assert_eq!(second.end().0.code(), Some(0));
    assert_whole(&mut server, 3, 1);
}

#[test]
fn the_address_is_in_no_log_and_no_list_of_processes_and_may_be_mended_meanwhile() {
    let (mut server, history) = (Server::start(), History::new());
    let start = command(&history, &server);
    url_file(&history, "mongodb://user:s3cret@localhost:1/?serverSelectionTimeoutMS=200");
    let mut recorder = Recorder::start(start);
    history.whole(1, 1);
    recorder.wait_for("MongoDB at localhost:1 is away");
    let line = fs::read(format!("/proc/{}/cmdline", recorder.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&line).contains("s3cret"));
    url_file(&history, &server.url());
    recorder.wait_for("is back");
    server.wait_for(json!({}), 1);
    let (status, said) = recorder.end();
    assert_eq!(status.code(), Some(0));
    assert!(!said.iter().any(|line| line.contains("s3cret")), "{said:#?}");
}

#[test]
fn what_cannot_be_recorded_before_the_end_is_left_to_the_next() {
    let (mut server, history) = (Server::start(), History::new());
    let start = || {
        let command = command(&history, &server);
        url_file(&history, "mongodb://localhost:1/?serverSelectionTimeoutMS=200");
        command
    };
    let mut recorder = Recorder::start(start());
    history.whole(1, 1);
    recorder.wait_for("is away");
    let (status, said) = recorder.end();
    assert_eq!(status.code(), Some(75), "{said:#?}");
    assert!(said.last().unwrap().starts_with("not everything is recorded yet"), "{said:#?}");
    assert_eq!(Recorder::once(command(&history, &server)).end().0.code(), Some(0));
    assert_whole(&mut server, 1, 1);
}

#[test]
fn a_server_that_takes_connections_and_answers_nothing_is_away_until_it_does() {
    let (mut server, history) = (Server::start(), History::new());
    server.be_deaf();
    let mut recorder = Recorder::start(command(&history, &server));
    (1..=5).for_each(|id| history.whole(id, 2));
    recorder.wait_for("is away, runs go on, and are recorded later: it has not answered");
    (6..=10).for_each(|id| history.whole(id, 2));
    server.go_on(0);
    recorder.wait_for("is back");
    server.wait_for(json!({"status": "finished"}), 10);
    let (status, said) = recorder.end();
    assert_eq!((status.code(), said.len()), (Some(0), 2), "it is said once, and when it is over: {said:#?}");
    assert_whole(&mut server, 10, 2);
}

#[test]
fn a_server_that_hangs_in_the_middle_of_a_write_is_away_and_what_it_does_late_harms_nothing() {
    let (mut server, history) = (Server::start(), History::new());
    let mut recorder = Recorder::start(command(&history, &server));
    history.begin(1, "{\"request_id\":\"request 1\"}");
    let tasks: Vec<_> = (0..2).map(|number| history.task(1, &format!("{{\"number\":{number}}}"))).collect();
    server.wait_for(json!({"actors.1.status": "started"}), 1);
    server.hang();
    // The write that is given up says that the run goes on.
    history.done(tasks[0], "{\"number\":1}");
    server.wait_until_asked();
    recorder.wait_for("is away, runs go on, and are recorded later: it has not answered within 30 seconds");
    history.done(tasks[1], "{\"number\":2}");
    history.end(1, "finished");
    (2..=20).for_each(|id| history.whole(id, 2));
    server.go_on(20);
    recorder.wait_for("is back");
    server.wait_for(json!({"status": "finished"}), 20);
    server.wait_until_quiet();
    let (status, said) = recorder.end();
    assert_eq!((status.code(), said.len()), (Some(0), 3), "it is said once, and when it is over: {said:#?}");
    assert_whole(&mut server, 20, 2);
}
