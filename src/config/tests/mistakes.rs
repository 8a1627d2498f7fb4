//! Each class of mistake, as people see it.

use super::Folder;
use crate::config::{Style, load, render};

/// What the text is told, whether it is refused or not.
fn told(folder: &Folder, text: &str) -> String {
    match folder.load(text) {
        Ok(loaded) => format!("ok\n\n{}", render(&loaded.warnings, Style::Plain)),
        Err(errors) => errors.to_string(),
    }
}

fn snapshot(name: &str, text: &str) {
    shown(name, &told(&Folder::new(), text));
}

fn shown(name: &str, told: &str) {
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, told);
    });
}

macro_rules! mistakes {
    ($($name:ident: $text:expr;)*) => {
        $(#[test] fn $name() { snapshot(stringify!($name), $text); })*
    };
}

/// A good graph around one actor `a`.
fn around(text: &str) -> String {
    format!("links = [{{ from = \"start\", to = \"a\" }}, {{ from = \"a\", to = \"stop\" }}]\n{text}")
}

/// Refused, with a text that somebody can read.
fn refused(text: &str) -> String {
    let told = Folder::new().load(text).map(|_| ()).unwrap_err().to_string();
    assert!(told.len() < 300 << 10, "{} bytes", told.len());
    let longest = told.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(1000), "{longest:?}");
    told
}

#[test]
fn places_that_are_far_from_each_other_on_a_line_have_a_picture_each() {
    let link = "{ from = 'start', to = 'stop' }";
    let told = refused(&format!("links = [{link},{}{link}]", " ".repeat(70_000)));
    assert_eq!(told.matches("╭─[").count(), 2, "{told}");
    assert!(told.contains("integrate.toml:1:70042") && told.contains("integrate.toml:1:10"), "{told}");
}

#[test]
fn many_mistakes_are_shown_up_to_a_number() {
    let told = refused(&format!("links = [{}]", "{ from = 'start', to = 'stop' },".repeat(2600)));
    assert!(told.ends_with("… and 2549 more"), "{told}");
}

#[test]
fn texts_of_any_length_and_depth_are_refused_in_a_few_lines() {
    let long = "k".repeat(1 << 20);
    for text in [
        format!("x = {}", "[".repeat(500_000)),
        format!("x = {}1{}", "{ a = ".repeat(100_000), " }".repeat(100_000)),
        format!("a{} = 1", ".a".repeat(100_000)),
        format!("x = [{}]", " = ".repeat(50_000)),
        format!("x = {{ {} }}", "a = 1, ".repeat(50_000)),
        format!("{long} = 1\n{long} = '{long}'"),
        format!("links = [{{ from = '{long}', to = '{long}' }}]"),
        "\0".repeat(1000),
    ] {
        refused(&text);
    }
}

mistakes! {
    unknown_keys_name_the_nearest: &around(r#"
actor = 1
[pool]
max_worker = 2
colour = "red"
[pools.big]
memory = "2G"
[service]
mod = "run"
[workflow]
nam = "x"
[actors.a]
script = "top.py"
timeot = 3
"#);
    keys_of_another_kind_are_explained: &around(r#"
[actors.a]
command = ["true"]
memory_max = "1G"
[actors.b]
kind = "fork"
timeout = 3
"#);
    wrong_types_say_what_is_wanted: &around(r#"
[workflow]
name = 3
paths = "tasks"
gevent = "yes"
timeout = true
[pool]
max_workers = "4"
launcher = ["nice", 5]
memory_max = 1.5
cpu_max = []
[service]
max_queued_runs = 2.5
[actors]
a = "top.py"
"#);
    bad_values_say_why: &around(r#"
[workflow]
name = "a/b"
timeout = "soon"
on_timeout = "kill"
[pool]
type = "proces"
max_workers = 0
memory_max = "2X"
cpu_max = "150"
cpu_weight = 20000
grace = "200000w"
context = "scaling"
[pools.other]
type = "scaling"
max_workers = -2
[service]
max_concurrent_runs = 0
[actors.a]
kind = "exec"
command = []
success_codes = [256]
env = { "A=B" = "c" }
timeout = 0
"#);
    records_that_contradict_themselves: &around(r#"
[record]
type = "mongo"
url_file = "url"
credential = "name"
url = "mongodb://user:password@host"
port = "80"
[actors.a]
script = "top.py"
"#);
    a_record_without_a_type: &around("[record]\nhost = \"id30\"\n[actors.a]\nscript = \"top.py\"");
    unknown_kind: &around("[actors.a]\nkind = \"pyhton\"\nscript = \"top.py\"\n[actors.b]\nkind = \"submodel\"");
    what_is_missing_is_named: &around(r#"
[actors.a]
[actors.b]
kind = "exec"
[actors.c]
kind = "router"
[actors.d]
kind = "status"
"#);
    missing_keys: r#"
links = [{ from = "start" }, { to = "stop" }, { from = "start", to = "a" }, { from = "start", to = "b" }]
[actors.a]
[actors.b]
kind = "exec"
[actors.c]
kind = "router"
[actors.d]
kind = "status"
"#;
    syntax_errors_are_all_shown: "[workflow]\nname = \"x\nmax = = 3\n[actors.a\nscript = top.py\n";
    links_in_two_ways: &around("[actors.a]\nkind = \"fork\"\n[[links]]\nfrom = \"a\"\n[[links.x]]");
    a_key_twice: &around("[actors.a]\nscript = \"top.py\"\ntimeout = 1\ntimeout = 2\nretris = 1\n[actors.a]\nkind = \"fork\"");
    lists_for_tables: &around(r#"
[actors.a]
script = "top.py"
[[submodels]]
[[pools]]
"#);
    links_with_unknown_ends: r#"
[actors.check]
script = "tasks/check.py"
[actors.add]
script = "tasks/add.py"
[submodels.sub]
links = [{ from = "In", to = "Out" }]
[[links]]
from = "start"
to = "chekc"
[[links]]
from = "check"
to = "sub.Inn"
[[links]]
from = "sub"
to = "add"
[[links]]
from = "add.Out"
to = "nowhere"
[[links]]
from = "somewhere"
to = "stop"
[[links]]
from = "add"
to = "Out"
"#;
    links_the_wrong_way: r#"
[submodels.sub]
links = [{ from = "In", to = "Out" }, { from = "Out", to = "In" }]
[[links]]
from = "start"
to = "sub.Out"
[[links]]
from = "sub.In"
to = "start"
[[links]]
from = "stop"
to = "sub.In"
[[links]]
from = "sub.Out"
to = "stop"
"#;
    unreached_actors: r#"
[actors.a]
script = "top.py"
[actors.lost]
script = "top.py"
[actors.behind]
script = "top.py"
[actors.round]
script = "top.py"
[actors.about]
script = "top.py"
[[links]]
from = "start"
to = "a"
[[links]]
from = "lost"
to = "behind"
[[links]]
from = "round"
to = "about"
[[links]]
from = "about"
to = "round"
"#;
    nothing_leads_to_stop: "[actors.a]\nscript = \"top.py\"\n[[links]]\nfrom = \"start\"\nto = \"a\"";
    an_empty_file: "";
    ports_and_errors_of_the_wrong_actors: r#"
[actors.fork]
kind = "fork"
[actors.choose]
kind = "router"
item = "x"
[actors.a]
script = "top.py"
[[links]]
from = "start"
to = "fork"
[[links]]
from = "fork"
to = "choose"
port = "true"
[[links]]
from = "fork"
to = "a"
on_error = true
[[links]]
from = "a"
to = "stop"
port = 1
on_error = true
[[links]]
from = "fork"
to = "stop"
port = 2.5
"#;
    a_router_without_other: &around("[actors.a]\nkind = \"router\"\nitem = \"x\"\n[actors.b]\nkind = \"fork\"").replace(
        "{ from = \"a\", to = \"stop\" }", "{ from = \"a\", to = \"stop\", port = true }, { from = \"a\", to = \"b\", port = 2 }");
    scripts_that_are_not_there: r#"
links = [
    { from = "start", to = "a" }, { from = "start", to = "b" }, { from = "start", to = "c" },
    { from = "start", to = "d" }, { from = "start", to = "e" }, { from = "e", to = "stop" },
]
[workflow]
paths = ["lib", "gone"]
[actors]
a = { script = "tasks/ad.py" }
b = { script = "missing.py" }
c = { script = "tasks" }
d = { script = "not a module" }
e = { script = "pypushflow.tests.tasks.pythonActorTest.py" }
"#;
    a_link_twice: r#"
[actors.a]
script = "top.py"
[[links]]
from = "start"
to = "a"
[[links]]
from = "a"
to = "stop"
[[links]]
from = "start"
to = "a"
"#;
    a_join_that_nothing_leads_to: &around("[actors.a]\nkind = \"fork\"\n[actors.j]\nkind = \"join\"");
    an_unknown_pool: &around("[actors.a]\nscript = \"top.py\"\npool = \"bigg\"\n[pools.big]\n[pools.default]");
    names_that_cannot_be: r#"
links = [{ from = "start", to = "sub.In" }, { from = "sub.Out", to = "stop" }]
[actors]
"a.b" = { kind = "fork" }
"a/b" = { kind = "fork" }
"a\u0007" = { kind = "fork" }
"" = { kind = "fork" }
sub = { kind = "fork" }
start = { kind = "exec" }
begin = { kind = "start" }
[submodels.sub]
ports = ["x", "x"]
actors.In.kind = "fork"
"#;
    error_actors: r#"
links = [{ from = "start", to = "sub.In" }, { from = "sub.Out", to = "stop" }, { from = "sub.Out", to = "a", on_error = true }]
[workflow]
on_error = ["notfy", "notify", "notify"]
[actors.notify]
kind = "error-handler"
[actors.a]
kind = "error-handler"
[submodels.sub]
on_error = ["inner"]
links = [{ from = "In", to = "inner" }, { from = "inner", to = "Out" }]
actors.inner.kind = "fork"
"#;
    submodels_that_are_not_joined: r#"
links = [{ from = "start", to = "stop" }, { from = "half.Out", to = "stop" }, { from = "start", to = "half.In" }]
[submodels.unused]
links = [{ from = "In", to = "Out" }]
[submodels.half]
actors.a.kind = "fork"
links = [{ from = "In", to = "a" }]
"#;
    cycles_without_a_task: r#"
links = [
    { from = "start", to = "f" }, { from = "f", to = "g" }, { from = "g", to = "f" }, { from = "g", to = "a" },
    { from = "a", to = "a" }, { from = "a", to = "stop" },
]
[actors]
f = { kind = "fork" }
g = { kind = "fork" }
a = { script = "top.py" }
"#;
    inputs_that_python_cannot_have: &around(r#"
[actors.a]
kind = "fork"
[inputs]
half = { "$none" = false }
also = { "$none" = true, x = 1 }
leap = 23:59:60
zero = 0000-01-01
long = 1_000_000_000_000_000_000_000_000_000_000_000_000_000_000
"#);
    output_twice: &around("[actors.a]\nkind = \"exec\"\ncommand = [\"a\"]\nstdout = \"json\"\nstdout_key = \"k\"\nstdin = \"text\"");
    pools_that_contradict_themselves: &around(
        "[actors.a]\nkind = \"fork\"\n[pool]\ntype = \"gevent\"\ngevent = false\nmax_workers = 2\nscaling_cap = 3");
    a_submodel_with_file_and_graph: &around(
        "[actors.a]\nkind = \"fork\"\n[submodels.s]\nfile = \"nowhere.toml\"\nactors.a.kind = \"fork\"");
    long_lines_are_shown_in_part: &format!(
        "links = [{}{{ from = 'start', to = 'stpo' }},{}]",
        "{ from = 'start', to = 'a' }, ".to_owned() + &" ".repeat(900),
        "{ from = 'a', to = 'stop' },".to_owned() + &" ".repeat(900),
    );
    characters_of_many_bytes: "links = [{ from = \"start\", to = \"prüfen\" }, { from = \"prufen\", to = \"stop\", prot = 1 }]\n[actors.\"prüfen\"]\nkind = \"fork\"";
}

#[test]
fn a_file_of_a_submodel_is_shown_with_its_own_lines() {
    let folder = Folder::new();
    folder.write("parts/refine.toml", "[actors.a]\nscript = \"nope.py\"\n[[links]]\nfrom = \"start\"\nto = \"b\"\n");
    folder.write("parts/loop.toml", "submodels.again.file = \"loop.toml\"\nlinks = [{ from = \"In\", to = \"Out\" }]");
    let text = r#"
links = [{ from = "start", to = "r.In" }, { from = "r.Out", to = "l.In" }, { from = "l.Out", to = "stop" }]
submodels.r.file = "parts/refine.toml"
submodels.twice.file = "parts/refine.toml"
submodels.l.file = "parts/loop.toml"
submodels.gone.file = "parts/refin.toml"
"#;
    shown("submodel_files", &told(&folder, text));
}

#[test]
fn other_line_ends_and_a_byte_order_mark_are_fine() {
    let folder = Folder::new();
    let text = "\u{feff}links = [{ from = 'start', to = 'stop' }]\r\n[pool]\r\nmax_worker = 1\r\n";
    shown("line_ends", &told(&folder, text));
    assert!(folder.load(&text.replace("max_worker", "max_workers")).is_ok());
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let folder = Folder::new();
    let errors = load(&folder.path().join("nope.toml"), None).unwrap_err();
    assert!(errors.is_missing_file());
    let told = errors.to_string().replace(&folder.path().display().to_string(), "FOLDER");
    shown("missing_file", &told);
}

#[test]
fn a_file_that_is_not_text_says_where() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("bytes.toml"), b"[workflow]\nname = \"caf\xe9\"\n").unwrap();
    let errors = load(&folder.path().join("bytes.toml"), None).unwrap_err();
    shown("not_utf8", &errors.to_string().replace(&folder.path().display().to_string(), "FOLDER"));
}

#[test]
fn the_defaults_have_their_own_places() {
    let folder = Folder::new();
    folder.write("defaults.toml", "[pool]\nmax_workers = \"many\"\n[actors.a]\n");
    folder.write("w.toml", "links = [{ from = \"start\", to = \"stop\" }]");
    let errors = load(&folder.path().join("w.toml"), Some(&folder.path().join("defaults.toml"))).unwrap_err();
    shown("defaults", &errors.to_string().replace(&folder.path().display().to_string(), "FOLDER"));
}

#[test]
fn colours_and_ascii_are_styles_of_the_same_text() {
    let folder = Folder::new();
    let errors = folder.load("links = [{ from = \"start\", to = \"stpo\" }]").unwrap_err();
    assert!(errors.render(Style::Ascii).is_ascii());
    assert!(errors.render(Style::Colour).contains('\u{1b}'));
    assert!(!errors.render(Style::Plain).contains('\u{1b}'));
    shown("ascii", &errors.render(Style::Ascii));
}
