//! The text of a workflow file for instances that are given here as the walking program would give them.

use serde_json::{Value, json};

use super::{Converted, Source};

/// Converts an instance whose node 0 is the start actor and whose node 1 is the stop actor of scope 0.
fn converted(scopes: Value, nodes: Value, warnings: Value) -> Converted {
    let mut all = json!([
        {"name": "Start actor", "scope": 0, "what": "start", "links": [{"to": 2}]},
        {"name": "Stop actor", "scope": 0, "what": "stop", "links": []},
    ]);
    let all_nodes = all.as_array_mut().expect("a list");
    all_nodes.extend(nodes.as_array().expect("a list").iter().cloned());
    let order: Vec<usize> = (0..all_nodes.len()).collect();
    let instance = json!({
        "name": "flow", "start": 0, "scopes": scopes, "nodes": all, "order": order, "warnings": warnings,
        "paths": [], "gevent": false,
    });
    let source = Source { module: "flows".into(), class: Some("Flow".into()), ..Source::default() };
    let converted = super::write(&source, serde_json::from_value(instance).expect("an instance"));
    converted.toml.parse::<toml::Table>().expect("TOML");
    converted
}

fn workflow() -> Value {
    json!([{"name": "flow", "parent": null, "ports": [], "on_error": []}])
}

fn python(name: &str, scope: usize, links: &[usize]) -> Value {
    let links: Vec<Value> = links.iter().map(|to| json!({"to": to})).collect();
    let what = json!({"python": {"script": "tasks.py", "errors": {"to": []}}});
    json!({"name": name, "scope": scope, "what": what, "links": links})
}

/// The file without its first two lines, which say where it comes from.
fn body(converted: &Converted) -> &str {
    converted.toml.split_once("\n\n").expect("a heading").1
}

#[test]
fn every_kind_of_actor_is_written_as_a_person_would() {
    let nodes = json!([
        {"name": "add", "scope": 0, "links": [{"to": 3}],
         "what": {"python": {"script": "pkg.add.py", "errors": {"to": [8], "bubble_to": [0]}}}},
        {"name": "Fork \"it\"", "scope": 0, "what": "fork", "links": [{"to": 4}, {"to": 5}]},
        {"name": "one", "scope": 0, "what": {"status": {"word": "halfway"}}, "links": [{"to": 5}]},
        {"name": "both", "scope": 0, "what": {"join": {"arrivals": 2}}, "links": [{"to": 6}]},
        {"name": "which", "scope": 0, "what": {"router": {"item": {"text": "a.b"}}}, "links": [
            {"to": 7, "port": {"int": 3}}, {"to": 1, "port": {"text": "other"}}]},
        {"name": "three", "scope": 0, "what": {"join": {"arrivals": 3}}, "links": [{"to": 1}]},
        {"name": "Error handler", "scope": 0, "what": "error-handler", "links": [{"to": 1}]},
    ]);
    let scopes = json!([{"name": "flow", "parent": null, "ports": [], "on_error": [8]}]);
    insta::assert_snapshot!(converted(scopes, nodes, json!([])).toml, @r#"
    # Converted from the pypushflow workflow flows:Flow by pushflow convert.

    links = [
        { from = "start", to = "add" },
        { from = "add", to = "Fork \"it\"" },
        { from = "add", to = "Error handler", on_error = true },
        { from = "Fork \"it\"", to = "one" },
        { from = "Fork \"it\"", to = "both" },
        { from = "one", to = "both" },
        { from = "both", to = "which" },
        { from = "which", to = "three", port = 3 },
        { from = "which", to = "stop", port = "other" },
        { from = "three", to = "stop" },
        { from = "Error handler", to = "stop" },
    ]

    [workflow]
    name = "flow"
    on_error = ["Error handler"]

    [actors.add]
    script = "pkg.add.py"
    bubble_errors = true

    [actors."Fork \"it\""]
    kind = "fork"

    [actors.one]
    kind = "status"
    status = "halfway"

    [actors.both]
    kind = "join"

    [actors.which]
    kind = "router"
    item = "a.b"

    [actors.three]
    kind = "join"
    arrivals = 3

    [actors."Error handler"]
    kind = "error-handler"
    "#);
}

#[test]
fn a_link_across_the_border_of_a_submodel_gets_a_port() {
    let scopes = json!([
        {"name": "flow", "parent": null, "ports": [], "on_error": []},
        {"name": "outer", "parent": 0, "ports": ["In", "Out"], "on_error": []},
        {"name": "inner", "parent": 1, "ports": ["In", "Out"], "on_error": []},
    ]);
    let nodes = json!([python("deep", 2, &[3, 4, 1]), python("beside", 0, &[2]), python("deep too", 2, &[1])]);
    insta::assert_snapshot!(body(&converted(scopes, nodes, json!([]))), @r#"
    links = [
        { from = "start", to = "outer.to deep" },
        { from = "outer.to beside", to = "beside" },
        { from = "outer.to stop", to = "stop" },
        { from = "beside", to = "outer.to deep" },
    ]

    [workflow]
    name = "flow"

    [actors.beside]
    script = "tasks.py"

    [submodels.outer]
    ports = ["to deep", "to beside", "to stop"]
    links = [
        { from = "to deep", to = "inner.to deep" },
        { from = "inner.to beside", to = "to beside" },
        { from = "inner.to stop", to = "to stop" },
    ]

    [submodels.outer.submodels.inner]
    ports = ["to deep", "to beside", "to stop"]
    links = [
        { from = "to deep", to = "deep" },
        { from = "deep", to = "to beside" },
        { from = "deep", to = "deep too" },
        { from = "deep", to = "to stop" },
        { from = "deep too", to = "to stop" },
    ]

    [submodels.outer.submodels.inner.actors.deep]
    script = "tasks.py"

    [submodels.outer.submodels.inner.actors."deep too"]
    script = "tasks.py"
    "#);
}

#[test]
fn ports_are_named_from_inside_and_from_outside() {
    let scopes = json!([
        {"name": "flow", "parent": null, "ports": [], "on_error": []},
        {"name": "Sub.1", "parent": 0, "ports": ["In", "Out", "Aux"], "on_error": [4]},
    ]);
    let nodes = json!([
        {"name": "In", "scope": 1, "what": "port", "links": [{"to": 4}]},
        {"name": "Out", "scope": 1, "what": "port", "links": [{"to": 1}]},
        python("work", 1, &[3, 5]),
        {"name": "Aux", "scope": 1, "what": "port", "links": [{"to": 6}]},
        python("after", 0, &[1]),
    ]);
    insta::assert_snapshot!(body(&converted(scopes, nodes, json!([]))), @r#"
    links = [
        { from = "start", to = "Sub_1.In" },
        { from = "Sub_1.Out", to = "stop" },
        { from = "Sub_1.Aux", to = "after" },
        { from = "after", to = "stop" },
    ]

    [workflow]
    name = "flow"

    [actors.after]
    script = "tasks.py"

    [submodels.Sub_1]
    ports = ["Aux"]
    links = [
        { from = "In", to = "work" },
        { from = "work", to = "Out" },
        { from = "work", to = "Aux" },
    ]

    [submodels.Sub_1.actors.work]
    script = "tasks.py"
    "#);
}

#[test]
fn a_port_that_is_passed_both_ways_becomes_a_fork() {
    let scopes = json!([
        {"name": "flow", "parent": null, "ports": [], "on_error": []},
        {"name": "Sub", "parent": 0, "ports": ["In", "Out", "Mid"], "on_error": []},
    ]);
    let nodes = json!([
        {"name": "In", "scope": 1, "what": "port", "links": [{"to": 3}]},
        {"name": "Mid", "scope": 1, "what": "port", "links": [{"to": 4}, {"to": 1}]},
        python("work", 1, &[2]),
    ]);
    insta::assert_snapshot!(body(&converted(scopes, nodes, json!([]))), @r#"
    links = [
        { from = "start", to = "Sub.to In 2" },
        { from = "Sub.to stop", to = "stop" },
    ]

    [workflow]
    name = "flow"

    [submodels.Sub]
    ports = ["to In 2", "to stop"]
    links = [
        { from = "to In 2", to = "In 2" },
        { from = "In 2", to = "Mid" },
        { from = "Mid", to = "work" },
        { from = "Mid", to = "to stop" },
        { from = "work", to = "In 2" },
    ]

    [submodels.Sub.actors."In 2"]
    kind = "fork"

    [submodels.Sub.actors.Mid]
    kind = "fork"

    [submodels.Sub.actors.work]
    script = "tasks.py"
    "#);
}

#[test]
fn what_nothing_leads_to_is_left_out() {
    let scopes = json!([{"name": "flow", "parent": null, "ports": [], "on_error": [3]}]);
    let nodes = json!([python("add", 0, &[1]), python("never", 0, &[4]), python("neither", 0, &[1])]);
    let converted = converted(scopes, nodes, json!([]));
    assert!(!converted.toml.contains("[actors.ne"), "{}", converted.toml);
    assert!(!converted.toml.contains("on_error"), "{}", converted.toml);
    assert_eq!(
        converted.warnings,
        ["actor \"never\" is left out: nothing leads to it", "actor \"neither\" is left out: nothing leads to it"]
    );
}

#[test]
fn a_router_without_other_fails_to_where_the_task_before_it_does() {
    let router = |port: &str| {
        let what = json!({"python": {"script": "tasks.py", "errors": {"to": [4], "bubble_to": [0]}}});
        let nodes = json!([
            {"name": "add", "scope": 0, "what": what, "links": [{"to": 3}]},
            {"name": "which", "scope": 0, "what": {"router": {"item": {"text": "a"}}},
             "links": [{"to": 1, "port": {"text": port}}]},
            python("notify", 0, &[1]),
        ]);
        converted(workflow(), nodes, json!([])).toml
    };
    let error_link = "{ from = \"which\", to = \"notify\", on_error = true }";
    assert!(router("true").contains(error_link));
    assert_eq!(router("true").matches("bubble_errors = true").count(), 2);
    assert!(!router("other").contains(error_link));
    assert_eq!(router("other").matches("bubble_errors = true").count(), 1);
}

#[test]
fn the_same_link_twice_goes_through_a_fork_the_second_time() {
    let nodes = json!([python("add", 0, &[1, 1])]);
    insta::assert_snapshot!(body(&converted(workflow(), nodes, json!([]))), @r#"
    links = [
        { from = "start", to = "add" },
        { from = "add", to = "stop" },
        { from = "add", to = "Stop actor again" },
        { from = "Stop actor again", to = "stop" },
    ]

    [workflow]
    name = "flow"

    [actors.add]
    script = "tasks.py"

    [actors."Stop actor again"]
    kind = "fork"
    "#);
}

#[test]
fn what_leads_back_to_start_leads_to_a_fork_behind_it() {
    let nodes = json!([python("add", 0, &[0, 1])]);
    insta::assert_snapshot!(body(&converted(workflow(), nodes, json!([]))), @r#"
    links = [
        { from = "start", to = "Start actor" },
        { from = "add", to = "Start actor" },
        { from = "add", to = "stop" },
        { from = "Start actor", to = "add" },
    ]

    [workflow]
    name = "flow"

    [actors.add]
    script = "tasks.py"

    [actors."Start actor"]
    kind = "fork"
    "#);
}

#[test]
fn errors_that_bubble_past_a_scope_are_written_as_error_links() {
    let scopes = json!([
        {"name": "flow", "parent": null, "ports": [], "on_error": [1]},
        {"name": "Sub", "parent": 0, "ports": ["In", "Out"], "on_error": [4]},
    ]);
    let inner = |bubble_to: &[usize]| {
        let what = json!({"python": {"script": "tasks.py", "errors": {"to": [], "bubble_to": bubble_to}}});
        json!({"name": "work", "scope": 1, "what": what, "links": []})
    };
    let nodes = |bubble_to: &[usize]| {
        let entry = json!({"name": "In", "scope": 1, "what": "port", "links": [{"to": 3}]});
        json!([entry, inner(bubble_to), python("save", 0, &[1])])
    };
    let usual = converted(scopes.clone(), nodes(&[1, 0]), json!([]));
    assert!(usual.toml.contains("bubble_errors = true") && !usual.toml.contains("on_error = true"), "{}", usual.toml);
    let past_the_submodel = converted(scopes, nodes(&[0]), json!([]));
    insta::assert_snapshot!(body(&past_the_submodel), @r#"
    links = [
        { from = "start", to = "Sub.In" },
        { from = "Sub.to stop", to = "stop" },
    ]

    [workflow]
    name = "flow"

    [submodels.Sub]
    ports = ["to stop"]
    links = [
        { from = "In", to = "work" },
        { from = "work", to = "to stop", on_error = true },
    ]

    [submodels.Sub.actors.work]
    script = "tasks.py"
    "#);
}

#[test]
fn error_actors_of_a_submodel_are_named_inside_or_around_whichever_is_sure() {
    let scopes = json!([
        {"name": "flow", "parent": null, "ports": [], "on_error": [2]},
        {"name": "Sub", "parent": 0, "ports": ["In"], "on_error": [3, 4, 1]},
    ]);
    let bubbling = json!({"python": {"script": "tasks.py", "errors": {"to": [], "bubble_to": [1, 0]}}});
    let nodes = json!([
        {"name": "In", "scope": 1, "what": "port", "links": [{"to": 5}]},
        python("notify", 0, &[1]),
        python("clean up", 1, &[]),
        {"name": "work", "scope": 1, "what": bubbling, "links": []},
    ]);
    insta::assert_snapshot!(body(&converted(scopes, nodes, json!([]))), @r#"
    links = [
        { from = "start", to = "Sub.In" },
        { from = "notify", to = "stop" },
        { from = "Sub.to stop", to = "stop" },
    ]

    [workflow]
    name = "flow"
    on_error = ["Sub.In"]

    [actors.notify]
    script = "tasks.py"

    [submodels.Sub]
    ports = ["to stop"]
    on_error = ["notify", "clean up", "to stop"]
    links = [
        { from = "In", to = "work" },
    ]

    [submodels.Sub.actors."clean up"]
    script = "tasks.py"

    [submodels.Sub.actors.work]
    script = "tasks.py"
    bubble_errors = true
    "#);
}

#[test]
fn a_join_says_how_many_arrivals_it_takes_only_where_its_links_do_not() {
    let join = |arrivals: usize| {
        let join = json!({"name": "join", "scope": 0, "what": {"join": {"arrivals": arrivals}}, "links": [{"to": 1}]});
        converted(workflow(), json!([python("add", 0, &[3]), join]), json!([])).toml
    };
    assert!(!join(1).contains("arrivals"));
    assert!(join(4).contains("\narrivals = 4\n"));
    assert!(join(0).contains("# pypushflow's join never fires"));
}

#[test]
fn warnings_are_returned_and_written_beside_their_actor() {
    let warnings = json!([
        {"text": "it is a flows.Odd, which overrides _execute", "node": 2},
        {"text": "actor \"lost\" is left out:\nnothing leads to it", "node": null},
    ]);
    let converted = converted(workflow(), json!([python("a/b", 0, &[1])]), warnings);
    assert_eq!(
        converted.warnings,
        [
            "actor \"a/b\": it is a flows.Odd, which overrides _execute",
            "actor \"lost\" is left out:\\nnothing leads to it",
        ]
    );
    insta::assert_snapshot!(converted.toml, @r#"
    # Converted from the pypushflow workflow flows:Flow by pushflow convert.
    # WARNING: actor "lost" is left out:\nnothing leads to it

    links = [
        { from = "start", to = "a_b" },
        { from = "a_b", to = "stop" },
    ]

    [workflow]
    name = "flow"

    # WARNING: it is a flows.Odd, which overrides _execute
    [actors.a_b]
    script = "tasks.py"
    # pypushflow's name: a/b
    "#);
}
