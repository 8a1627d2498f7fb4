//! Completion in bash, zsh and fish: of verbs and options, and of the workflows, runs, services and hosts that there are.

use std::path::Path;

use crate::support::Project;
use crate::support::process::output;

/// What a shell prints for a script, with pushflow in its PATH.
fn shell(project: &Project, words: &[&str]) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_pushflow")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let done = output(project.program(words[0]).args(&words[1..]).env("PATH", path));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// What bash offers for the last of these words.
fn bash(project: &Project, words: &str) -> Vec<String> {
    let script = "source <(pushflow completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
        _clap_complete_pushflow pushflow \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let words: Vec<&str> = ["bash", "-c", script, "bash"].into_iter().chain(words.split(' ')).collect();
    let said = shell(project, &words);
    said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_their_values() {
    let project = Project::new();
    for (words, wanted) in [
        ("pushflow che", &["check", "check-pools", "check-daemonic"][..]),
        ("pushflow run --time", &["--timeout"]),
        ("pushflow run --pool g", &["gevent"]),
        ("pushflow history --status f", &["finished", "failed"]),
        // What only its user knows: no files are offered for it.
        ("pushflow run -i ", &[]),
    ] {
        assert_eq!(bash(&project, words), wanted, "{words}");
    }
}

#[test]
fn workflows_are_completed_by_their_files_and_by_their_names() {
    let project = Project::task("def run(**_): return {}").file("other.toml", "").file("notes.txt", "");
    let project = project.file(".config/pushflow/workflows/mesh.toml", "");
    assert_eq!(bash(&project, "pushflow run m"), ["mesh"]);
    assert_eq!(bash(&project, "pushflow graph o"), ["other.toml"]);
    assert_eq!(bash(&project, "pushflow check w"), ["w.toml"]);
    assert_eq!(bash(&project, "pushflow run n"), Vec::<String>::new(), "a text file is no workflow");
    assert_eq!(bash(&project, "pushflow submit m"), ["mesh"], "nothing runs: what could be started");
}

#[test]
fn recorded_runs_and_hosts_of_ssh_are_completed() {
    let project = Project::task("def run(**_): return {}").file(".ssh/config", "Host beamline\n");
    for _ in 0..2 {
        project.pushflow(&["run", "--history", "w.toml"]).json();
    }
    assert_eq!(bash(&project, "pushflow show w/"), ["w/2", "w/1"]);
    assert_eq!(bash(&project, "pushflow history w"), ["w", "w.toml"]);
    assert_eq!(bash(&project, "pushflow ps -H b"), ["beamline"]);
}

#[test]
fn fish_and_zsh_complete_too() {
    let project = Project::new();
    let said = shell(&project, &["fish", "-c", "pushflow completions fish | source; complete -C 'pushflow check-d'"]);
    assert!(said.starts_with("check-daemonic\t"), "{said}");
    // As a terminal has it: at the first TAB, with the file where zsh looks for it.
    let script = r#"mkdir functions; pushflow completions zsh > functions/_pushflow
        zmodload zsh/zpty; zpty terminal zsh -f -i
        zpty -w terminal "PS1=; fpath=(functions \$fpath); autoload -U compinit; compinit -u -D; echo REA''DY"
        zpty -r terminal line '*READY*'
        zpty -w -n terminal $'pushflow check-d\t'
        zpty -r terminal line '*check-daemonic*' && print completed
        zpty -d terminal"#;
    assert_eq!(shell(&project, &["zsh", "-fc", script]), "completed\n");
}
