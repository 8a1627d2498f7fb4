//! What good files mean.

use std::process::Command;
use std::time::Duration;

use super::{EXAMPLE, Folder, NESTED};
use crate::config::load;
use crate::graph::{
    Actor, Context, Kind, Limits, OnTimeout, PoolId, PoolType, Port, Record, RecordType, RecordUrl, Recording, Script,
    ServiceMode, Stdin, Stdout, Workers, Workflow,
};
use crate::payload::{Chunk, Key};

fn good(folder: &Folder, text: &str) -> Workflow {
    folder.load(text).unwrap_or_else(|errors| panic!("{errors}")).workflow
}

fn actor<'w>(workflow: &'w Workflow, path: &str) -> &'w Actor {
    workflow.actors.iter().find(|actor| actor.path == path).unwrap_or_else(|| panic!("no {path}"))
}

/// The paths that an actor's links lead to.
fn next<'w>(workflow: &'w Workflow, path: &str) -> Vec<&'w str> {
    actor(workflow, path).links.iter().map(|link| workflow.actor(link.to).path.as_str()).collect()
}

#[test]
fn the_example_is_read_as_it_is_written() {
    let folder = Folder::new();
    let workflow = good(&folder, EXAMPLE);
    assert_eq!(workflow.name, "integrate");
    assert_eq!(workflow.directory, folder.path());
    assert_eq!(workflow.timeout, Some(Duration::from_secs(1800)));
    assert_eq!(workflow.on_timeout, OnTimeout::Interrupt);
    assert_eq!(workflow.paths, [folder.path().join("tasks")]);
    let pool = &workflow.pools[0];
    assert_eq!((pool.name.as_str(), pool.kind, pool.context), ("default", PoolType::Process, Context::Forkserver));
    assert_eq!(pool.workers, Workers::Fixed(4));
    assert_eq!(pool.limits, Limits { memory_max: Some(2 << 30), ..Limits::default() });
    assert_eq!(workflow.service.mode, ServiceMode::Run);
    let add = actor(&workflow, "/integrate/add");
    assert_eq!((add.retry.times, add.timeout), (2, Some(Duration::from_secs(300))));
    let Kind::Python(Script::File { path, module }) = &add.kind else { panic!("{:?}", add.kind) };
    assert_eq!(**path, folder.path().join("tasks/add.py"));
    assert_eq!(&**module, "tasks.add");
    assert_eq!(next(&workflow, "/integrate/start"), ["/integrate/add"]);
    assert_eq!(workflow.scopes[0].on_error.len(), 1);
    let Kind::Router(router) = &actor(&workflow, "/integrate/decide").kind else { panic!() };
    assert_eq!(router.routes[0].port, Port::Bool(true));
    assert_eq!(router.routes[1].links[0].to, workflow.stop);
    assert!(router.other.is_none());
}

#[test]
fn submodels_are_flattened() {
    let workflow = good(&Folder::new(), NESTED);
    assert_eq!(next(&workflow, "/integrate/Fork it"), ["/integrate/sub/In", "/integrate/join"]);
    assert_eq!(next(&workflow, "/integrate/sub/In"), ["/integrate/sub/choose"]);
    assert_eq!(next(&workflow, "/integrate/sub/inner/In"), ["/integrate/sub/inner/add"]);
    assert_eq!(next(&workflow, "/integrate/sub/inner/Out"), ["/integrate/sub/Out"]);
    assert_eq!(next(&workflow, "/integrate/sub/Late"), ["/integrate/stop"]);
    assert!(matches!(actor(&workflow, "/integrate/join").kind, Kind::Join { arrivals: 2 }));
    let sub = actor(&workflow, "/integrate/sub/run").scope;
    let inner = actor(&workflow, "/integrate/sub/inner/add").scope;
    assert_eq!(workflow.scope(inner).parent, Some(sub));
    assert_eq!(workflow.actor(workflow.scope(sub).on_error[0].to).path, "/integrate/failed");
    let Kind::Router(router) = &actor(&workflow, "/integrate/sub/choose").kind else { panic!() };
    assert_eq!(router.item, Key::Position(0));
    assert_eq!(router.routes.iter().map(|route| route.port.clone()).collect::<Vec<_>>(), [Port::Int(3), Port::Null]);
    assert!(router.other.is_some());
    let run = actor(&workflow, "/integrate/sub/run");
    let Kind::Exec(exec) = &run.kind else { panic!() };
    assert_eq!((exec.stdin, &exec.stdout), (Stdin::Json, &Stdout::Key("text".into())));
    assert_eq!((run.pool, &exec.success_codes[..]), (PoolId(1), &[0, 1][..]));
    assert_eq!(workflow.pools[1].workers, Workers::Fixed(1), "one python actor is in this pool");
    assert_eq!(workflow.pools[1].limits.cpu_max, Some(1.5));
}

#[test]
fn a_whole_workflow_file_may_be_a_submodel() {
    let folder = Folder::new();
    folder.write("parts/add.py", "");
    folder.write(
        "parts/refine.toml",
        r#"
        links = [{ from = "start", to = "a" }, { from = "a", to = "stop" }]
        workflow = { on_error = ["e"], paths = ["."] }
        actors = { a = { script = "add.py", bubble_errors = true }, e = { kind = "error-handler" } }
        "#,
    );
    let workflow = good(
        &folder,
        r#"
        links = [
            { from = "start", to = "one.In" }, { from = "one.Out", to = "two.In" }, { from = "two.Out", to = "stop" },
        ]
        submodels = { one = { file = "parts/refine.toml" }, two = { file = "parts/refine.toml" } }
        "#,
    );
    assert_eq!(next(&workflow, "/integrate/one/In"), ["/integrate/one/a"]);
    assert_eq!(next(&workflow, "/integrate/two/a"), ["/integrate/two/Out"]);
    assert_eq!(workflow.paths, [folder.path().join("parts/.")]);
    let a = actor(&workflow, "/integrate/one/a");
    let Kind::Python(Script::File { module, .. }) = &a.kind else { panic!() };
    assert_eq!(&**module, "parts.add");
    assert_eq!(workflow.actor(workflow.scope(a.scope).on_error[0].to).path, "/integrate/one/e");
}

#[test]
fn scripts_are_files_beside_the_workflow_or_modules() {
    let folder = Folder::new();
    let workflow = good(
        &folder,
        r#"
        links = [{ from = "start", to = "a" }, { from = "a", to = "b" }, { from = "b", to = "c" }, { from = "c", to = "stop" }]
        workflow.paths = ["lib"]
        actors = { a = { script = "shared.py" }, b = { script = "a.b.c.py" }, c = { script = "json" } }
        "#,
    );
    let script = |path| match &actor(&workflow, path).kind {
        Kind::Python(script) => script.clone(),
        other => panic!("{other:?}"),
    };
    let Script::File { path, module } = script("/integrate/a") else { panic!() };
    assert_eq!((&*path, &*module), (&*folder.path().join("lib/shared.py"), "lib.shared"));
    assert_eq!(script("/integrate/b"), Script::Module("a.b.c".into()));
    assert_eq!(script("/integrate/c"), Script::Module("json".into()));
}

#[test]
fn the_workflow_file_wins_over_the_defaults() {
    let folder = Folder::new();
    folder.write(
        "host/defaults.toml",
        "[pool]\nmax_workers = 3\ngrace = 1\n[pools.big]\n[workflow]\npython = \"./py\"\ntimeout = 9",
    );
    folder.write("w.toml", "links = [{ from = \"start\", to = \"stop\" }]\n[pool]\ngrace = 2\n[workflow]\ntimeout = 8");
    let loaded = load(&folder.path().join("w.toml"), Some(&folder.path().join("host/defaults.toml"))).unwrap();
    let workflow = loaded.workflow;
    assert_eq!(workflow.pools[0].workers, Workers::Fixed(3));
    assert_eq!(workflow.pools[0].grace, Duration::from_secs(2));
    assert_eq!(workflow.pools[1].name, "big");
    assert_eq!(workflow.timeout, Some(Duration::from_secs(8)));
    assert_eq!(workflow.python, Some(folder.path().join("host/./py")));
    assert_eq!(loaded.warnings.len(), 1, "the interpreter is not there");
    assert!(load(&folder.path().join("w.toml"), Some(&folder.path().join("none.toml"))).is_ok());
}

#[test]
fn a_gevent_workflow_has_a_gevent_pool() {
    let links = "links = [{ from = 'start', to = 'stop' }]\nworkflow.gevent = true\n";
    let folder = Folder::new();
    let workflow = good(&folder, links);
    assert_eq!((workflow.pools[0].kind, workflow.pools[0].gevent), (PoolType::Gevent, true));
    let workflow = good(&folder, &format!("{links}pool.type = 'process'"));
    assert_eq!((workflow.pools[0].kind, workflow.pools[0].gevent), (PoolType::Process, false));
}

/// Python itself reads the pickles.
#[test]
fn inputs_are_python_values() {
    let folder = Folder::new();
    let workflow = good(
        &folder,
        r#"
        links = [{ from = "start", to = "stop" }]
        [inputs]
        "0" = "é"
        "07" = -1
        big = 170_000_000_000_000_000_000_000_000_000
        hex = 0xff
        float = 1.5
        inf = -inf
        yes = true
        nothing = { "$none" = true }
        deep = { b = [1, { "$none" = true }, [], {}], a = "x" }
        at = 2026-01-02T03:04:05.678901234+02:00
        utc = 2026-01-02T03:04:05Z
        local = 2026-01-02 03:04:05
        day = 2026-01-02
        clock = 03:04:05.5
        "#,
    );
    let mut shown = String::new();
    for (key, value) in workflow.inputs.iter() {
        let Chunk::Inline(stream) = value.stream() else { panic!("small values are inline") };
        let script = format!("import pickle; print(repr(pickle.loads(bytes({:?}))))", &stream[..]);
        let output = Command::new("python3").args(["-c", &script]).output().unwrap();
        shown += &format!("{key:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
    insta::assert_snapshot!(shown, @r#"
    Position(0): 'é'
    Text("07"): -1
    Text("big"): 170000000000000000000000000000
    Text("hex"): 255
    Text("float"): 1.5
    Text("inf"): -inf
    Text("yes"): True
    Text("nothing"): None
    Text("deep"): {'b': [1, None, [], {}], 'a': 'x'}
    Text("at"): datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone(datetime.timedelta(seconds=7200)))
    Text("utc"): datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    Text("local"): datetime.datetime(2026, 1, 2, 3, 4, 5)
    Text("day"): datetime.date(2026, 1, 2)
    Text("clock"): datetime.time(3, 4, 5, 500000)
    "#);
}

#[test]
fn runs_are_recorded_where_the_file_says_and_a_host_says_where_that_is() {
    let folder = Folder::new();
    let graph = "links = [{ from = \"start\", to = \"stop\" }]\n";
    let defaults = folder.path().join("pushflow.toml");
    let recording = |defaults_text: &str, text: &str| {
        std::fs::write(&defaults, defaults_text).unwrap();
        let file = folder.path().join("recorded.toml");
        std::fs::write(&file, format!("{graph}{text}")).unwrap();
        load(&file, Some(&defaults)).unwrap_or_else(|errors| panic!("{errors}")).workflow.record
    };
    let host = "[record]\nurl_file = \"url\"\nhost = \"id30\"\nport = 8080\n";
    assert_eq!(recording(host, ""), Recording::Unset);
    let Recording::In(record) = recording(host, "[record]\ntype = \"besdb\"\ninitiator = \"ui\"") else { panic!() };
    let wanted = Record {
        url: RecordUrl::File(folder.path().join("url")),
        initiator: Some("ui".into()),
        host: Some("id30".into()),
        port: Some(8080),
        ..Record::from_environment()
    };
    assert_eq!(record, wanted);
    let Recording::In(record) = recording(host, "[record]\ntype = \"mongodb\"\ncredential = \"c\"\ncollection = \"x\"")
    else {
        panic!()
    };
    assert_eq!((record.kind, record.url), (RecordType::MongoDb, RecordUrl::Credential("c".into())));
    assert_eq!((record.database.as_str(), record.collection.as_str()), ("bes", "x"));
    assert_eq!(recording("[record]\ntype = \"besdb\"", "[record]\ntype = \"none\""), Recording::Never);
    let Recording::In(record) = recording("[record]\ntype = \"besdb\"", "") else { panic!() };
    assert_eq!(record.url, RecordUrl::Credential(Record::CREDENTIAL.into()));
}
