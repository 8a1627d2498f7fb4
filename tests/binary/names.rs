//! What FILE and NAME on the command line mean.

use crate::support::{Project, python};

/// A workflow that says which file it is.
fn says(what: &str) -> String {
    format!(
        "links = [{{ from = 'start', to = 'a' }}, {{ from = 'a', to = 'stop' }}]\n[workflow]\npython = {:?}\n\
         [inputs]\nfrom = '{what}'\n[actors.a]\nkind = 'fork'\n",
        python()
    )
}

fn installed(name: &str) -> Project {
    Project::new().file(&format!(".config/pushflow/workflows/{name}.toml"), &says("installed"))
}

fn from(project: &Project, workflow: &str) -> String {
    project.pushflow(&["run", workflow]).json()["from"].as_str().unwrap().to_owned()
}

#[test]
fn a_name_is_that_of_an_installed_workflow_whatever_is_in_this_folder() {
    let project = installed("hello").file("hello", &says("planted")).file("hello.toml", &says("file"));
    assert_eq!(from(&project, "hello"), "installed");
    assert_eq!(from(&project, "./hello"), "planted");
    assert_eq!(from(&project, "hello.toml"), "file");
    for verb in ["graph", "doctor"] {
        let said = project.pushflow(&[verb, "hello"]);
        assert!(said.code.is_some_and(|code| code < 2), "{verb}: {}", said.stderr);
    }
}

#[test]
fn a_name_that_is_not_installed_is_missing_and_the_file_here_is_told() {
    let project = Project::new().file("planted", &says("planted")).file("other.toml", &says("file"));
    for verb in ["run", "graph", "doctor"] {
        for (name, here) in [("planted", "./planted"), ("other", "./other.toml")] {
            let said = project.pushflow(&[verb, name]);
            assert_eq!(said.code, Some(3), "{verb} {name}: {}", said.stderr);
            assert!(said.stderr.contains(&format!("to use the file in this folder, write {here}")), "{}", said.stderr);
        }
    }
    for name in ["", "..", "no where"] {
        assert_eq!(project.pushflow(&["run", name]).code, Some(3), "{name:?}");
    }
}

#[test]
fn what_is_no_file_is_said_and_never_waited_for() {
    let project = Project::new().file("folder.toml/x", "");
    nix::unistd::mkfifo(&project.path("pipe.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/dev/zero", project.path("zero.toml")).unwrap();
    std::fs::File::create(project.path("large.toml")).unwrap().set_len(1 << 30).unwrap();
    for (file, why) in [
        ("pipe.toml", "it is a pipe or a device, not a file"),
        ("zero.toml", "it is a pipe or a device, not a file"),
        ("folder.toml", "it is a folder"),
        ("large.toml", "it is larger than 64 MiB"),
    ] {
        let said = project.pushflow(&["check", file]);
        assert_eq!(said.code, Some(2), "{file}: {}", said.stderr);
        assert!(said.stderr.contains(why), "{file}: {}", said.stderr);
    }
    let endless = project.file("w.toml", &says("file")).run(&["--inputs", "/dev/zero"]);
    assert_eq!(endless.code, Some(2), "{}", endless.stderr);
}
