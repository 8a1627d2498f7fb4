//! `pushflow convert` with a real pypushflow: what it prints, and what it says where it cannot.

#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "../binary/process.rs"]
mod process;
#[path = "../parity/python.rs"]
mod python;

use std::process::Command;

const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/convert/flows.py");

struct Said {
    exit: i32,
    toml: String,
    errors: String,
}

fn convert_with(python: &std::path::Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow"));
    let output = process::output(command.arg("convert").args(arguments).arg("--python").arg(python));
    Said {
        exit: output.status.code().expect("it exits"),
        toml: String::from_utf8(output.stdout).expect("UTF-8"),
        errors: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn convert(arguments: &[&str]) -> Said {
    convert_with(&python::python(), arguments)
}

/// The file, without what depends on the machine.
fn converted(arguments: &[&str]) -> String {
    let said = convert(arguments);
    assert_eq!(said.exit, 0, "{}", said.errors);
    // The Python first: it may stand in the project's folder.
    said.toml.replace(&python::python().display().to_string(), "PYTHON").replace(env!("CARGO_MANIFEST_DIR"), "PROJECT")
}

/// The last line on standard error.
fn refused(arguments: &[&str]) -> String {
    let said = convert(arguments);
    assert_ne!(said.exit, 0, "{}", said.toml);
    assert_eq!(said.toml, "");
    let errors = said
        .errors
        .replace(&python::python().display().to_string(), "PYTHON")
        .replace(env!("CARGO_MANIFEST_DIR"), "PROJECT");
    errors.lines().last().expect("an error").to_owned()
}

#[test]
fn a_class_in_an_installed_module() {
    insta::assert_snapshot!(converted(&["pypushflow.tests.test_workflow4:Workflow4"]), @r#"
    # Converted from the pypushflow workflow pypushflow.tests.test_workflow4:Workflow4 by pushflow convert.

    links = [
        { from = "start", to = "Submodel 4.In" },
        { from = "Submodel 4.Out", to = "stop" },
    ]

    [workflow]
    name = "Workflow4"
    python = "PYTHON"
    on_error = ["stop"]

    [submodels."Submodel 4"]
    links = [
        { from = "In", to = "Python Error Handler Test" },
        { from = "Python Error Handler Test", to = "Out" },
    ]

    [submodels."Submodel 4".actors."Python Error Handler Test"]
    script = "pypushflow.tests.tasks.pythonErrorHandlerTest.py"
    bubble_errors = true
    "#);
}

#[test]
fn a_class_in_a_file_needs_the_folders_that_it_was_found_through() {
    insta::assert_snapshot!(converted(&[&format!("{FLOWS}:Simple")]), @r#"
    # Converted from the pypushflow workflow PROJECT/tests/convert/flows.py:Simple by pushflow convert.

    links = [
        { from = "start", to = "task" },
        { from = "task", to = "stop" },
    ]

    [workflow]
    name = "Simple"
    python = "PYTHON"
    paths = ["PROJECT/tests/convert", "/opt/beamline/tasks"]

    [actors.task]
    script = "tasks.one.py"
    "#);
}

#[test]
fn what_the_module_prints_goes_to_standard_error() {
    let said = convert(&[&format!("{FLOWS}:Simple")]);
    assert!(said.errors.contains("printed while the module is imported"), "{}", said.errors);
    assert!(said.errors.contains("printed by the constructor"), "{}", said.errors);
    assert!(!said.toml.contains("printed"), "{}", said.toml);
}

#[test]
fn the_constructor_gets_the_arguments_that_are_given() {
    let file = converted(&[&format!("{FLOWS}:Configured"), "--kwarg", "count=2", "--kwarg", "first=step"]);
    assert!(file.contains(r#"name = "Configured""#), "{file}");
    assert!(file.contains(r#"{ from = "step 0", to = "step 1" }"#), "{file}");
    let file = converted(&[&format!("{FLOWS}:Configured"), "--arg", "named", "--arg", "1"]);
    assert!(file.contains(r#"name = "named""#), "{file}");
    assert!(file.contains(r#"{ from = "task 0", to = "stop" }"#), "{file}");
}

#[test]
fn a_function_or_an_instance_will_do_too() {
    assert!(converted(&[&format!("{FLOWS}:factory")]).contains(r#"name = "from a factory""#));
    assert!(converted(&[&format!("{FLOWS}:READY")]).contains(r#"name = "a ready instance""#));
}

#[test]
fn the_class_may_be_left_out_where_there_is_only_one() {
    assert!(converted(&["pypushflow.tests.test_workflow1"]).contains(r#"name = "Workflow1""#));
}

#[test]
fn what_only_code_says_is_a_warning_in_the_file_and_on_standard_error() {
    let said = convert(&[&format!("{FLOWS}:Custom")]);
    let warnings: Vec<&str> = said.errors.lines().filter(|line| line.starts_with("warning: ")).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    warning: actor "slow": it is a flows.Slow, which overrides _execute, compileDownstreamData: what that does is not in this file
    warning: actor "unheard of": it is a flows.Unheard, which overrides _execute: what that does is not in this file
    warning: the workflow is a flows.Custom, which overrides triggerOnError: what that does is not in this file
    warning: actor "nobody leads here" is left out: nothing leads to it
    "#);
    insta::assert_snapshot!(converted(&[&format!("{FLOWS}:Custom")]), @r#"
    # Converted from the pypushflow workflow PROJECT/tests/convert/flows.py:Custom by pushflow convert.
    # WARNING: the workflow is a flows.Custom, which overrides triggerOnError: what that does is not in this file
    # WARNING: actor "nobody leads here" is left out: nothing leads to it

    links = [
        { from = "start", to = "task" },
        { from = "task", to = "slow" },
        { from = "slow", to = "unheard of" },
        { from = "unheard of", to = "stop" },
    ]

    [workflow]
    name = "Custom"
    python = "PYTHON"
    paths = ["PROJECT/tests/convert", "/opt/beamline/tasks"]

    [actors.task]
    script = "tasks.one.py"

    # WARNING: it is a flows.Slow, which overrides _execute, compileDownstreamData: what that does is not in this file
    [actors.slow]
    script = "tasks.two.py"

    # WARNING: it is a flows.Unheard, which overrides _execute: what that does is not in this file
    [actors."unheard of"]
    kind = "fork"
    "#);
}

#[test]
fn what_cannot_be_converted_is_refused_in_a_sentence() {
    let exits = FLOWS.replace("flows.py", "exits.py");
    let refusals = [
        refused(&["no.such.module:Class"]),
        refused(&["pypushflow.no_such_module:Class"]),
        refused(&["no/such/file.py:Class"]),
        refused(&[&format!("{FLOWS}:Simpel")]),
        refused(&[FLOWS]),
        refused(&[&format!("{FLOWS}:Failing")]),
        refused(&[&format!("{FLOWS}:Configured")]),
        refused(&[&format!("{FLOWS}:WithoutStop")]),
        refused(&[&format!("{FLOWS}:ThreadCounter")]),
        refused(&[&exits]),
        refused(&["json"]),
        refused(&[&format!("{FLOWS}:Simple"), "--kwarg", "count"]),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r"
    pushflow: PYTHON has no module no
    pushflow: PYTHON has no module pypushflow.no_such_module
    pushflow: there is no file no/such/file.py
    pushflow: PROJECT/tests/convert/flows.py has no class Simpel; its workflow classes: Simple, Configured, Custom, Failing, WithoutStop
    pushflow: PROJECT/tests/convert/flows.py has several workflow classes: write PROJECT/tests/convert/flows.py:CLASS with one of Simple, Configured, Custom, Failing, WithoutStop
    pushflow: Failing of PROJECT/tests/convert/flows.py cannot be instantiated: KeyError: 'no configuration for Failing' (PROJECT/tests/convert/flows.py:85)
    pushflow: Configured of PROJECT/tests/convert/flows.py cannot be instantiated: TypeError: Configured.__init__() missing 1 required positional argument: 'count'
    pushflow: the workflow WithoutStop of PROJECT/tests/convert/flows.py has no stopActor
    pushflow: ThreadCounter of PROJECT/tests/convert/flows.py is not a pypushflow workflow, but of type ThreadCounter
    pushflow: PROJECT/tests/convert/exits.py cannot be imported: SystemExit: this module is a program (PROJECT/tests/convert/exits.py:5)
    pushflow: json has no workflow class
    pushflow: --kwarg count is not KEY=VALUE
    ");
}

#[test]
fn a_python_that_is_not_there_or_has_no_pypushflow_is_named() {
    let said = convert_with("/no/such/python".as_ref(), &["module:Class"]);
    assert_eq!(said.errors, "pushflow: cannot start /no/such/python: No such file or directory (os error 2)\n");
    let folder = tempfile::tempdir().expect("a folder");
    // The same interpreter without its packages.
    let bare = folder.path().join("python");
    std::fs::write(&bare, format!("#!/bin/sh\nexec {} -S \"$@\"\n", python::python().display())).expect("a script");
    std::fs::set_permissions(&bare, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let said = convert_with(&bare, &["module:Class"]);
    let expected =
        format!("pypushflow is not installed in {}: set the Python that has it with --python", bare.display());
    assert!(said.errors.contains(&expected), "{}", said.errors);
}

#[test]
fn the_example_of_pypushflows_readme_is_converted_and_not_run() {
    let example = FLOWS.replace("flows.py", "example.py");
    let file = converted(&[&format!("{example}:Example")]);
    insta::assert_snapshot!(file, @r#"
    # Converted from the pypushflow workflow PROJECT/tests/convert/example.py:Example by pushflow convert.
    # WARNING: the argument level=10 of Example is left out: the installed pypushflow does not know it (pushflow --verbose logs more)
    # WARNING: the module runs a workflow when it is imported: what comes after its line 25 was not executed

    links = [
        { from = "start", to = "Greet" },
        { from = "Greet", to = "stop" },
    ]

    [workflow]
    name = "Example"
    python = "PYTHON"
    paths = ["PROJECT/tests/convert"]

    [actors.Greet]
    script = "pypushflow.tests.tasks.pythonActorTest.py"
    "#);
    // The name of an instance will do too, and none where there is one class.
    assert!(converted(&[&format!("{example}:example")]).contains(r#"name = "Example workflow""#));
    assert!(converted(&[&example]).contains(r#"name = "Example""#));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("example.toml");
    std::fs::write(&path, convert(&[&example]).toml).expect("the converted file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow"));
    let output =
        process::output(command.args(["run", &path.display().to_string(), "-i", "name=World", "--timeout", "60s"]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(r#""reply":"Hello World!""#), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
