//! The examples in `conf`, through the real binary: what they print and what they write.

#[allow(dead_code, reason = "no test crate uses all of it")]
#[path = "binary/process.rs"]
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/workflows").join(format!("{name}.toml"))
}

/// What a run said: exit status, the JSON on standard output, what is on standard error.
struct Ran {
    code: Option<i32>,
    output: Json,
    log: String,
}

/// Runs an example from a folder that has nothing to do with it, without anybody's configuration.
fn run(name: &str, inputs: &[&str]) -> (Ran, TempDir) {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushflow"));
    command.current_dir(elsewhere.path()).env("HOME", elsewhere.path()).env("TMPDIR", elsewhere.path());
    command.env("XDG_RUNTIME_DIR", elsewhere.path()).env("NO_COLOR", "1");
    for name in ["CONFIG", "STATE", "CACHE", "DATA"] {
        command.env_remove(format!("XDG_{name}_HOME"));
    }
    command.arg("run").arg(example(name));
    for input in inputs {
        command.args(["-i", input]);
    }
    let output = process::output(&mut command);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}\n{log}"));
    (Ran { code: output.status.code(), output: json, log }, elsewhere)
}

impl Ran {
    /// The run finished, and its output has these values among others.
    #[track_caller]
    fn finished_with(&self, expected: &Json) {
        self.ended_with(0, expected);
    }

    #[track_caller]
    fn ended_with(&self, code: i32, expected: &Json) {
        assert_eq!(self.code, Some(code), "{}", self.log);
        for (key, value) in expected.as_object().expect("an object") {
            assert_eq!(self.output.get(key), Some(value), "{key} in {}\n{}", self.output, self.log);
        }
    }
}

#[test]
fn hello_greets_whoever_is_named() {
    let (ran, _) = run("hello", &["name=World"]);
    assert_eq!(ran.output, json!({"name": "World", "reply": "Hello World!"}), "{}", ran.log);
    let (ran, _) = run("hello", &[]);
    ran.finished_with(&json!({"reply": "Hello you!"}));
}

#[test]
fn centre_moves_until_the_sample_is_in_the_beam() {
    let (ran, _) = run("centre", &[]);
    ran.finished_with(&json!({"moves": 3, "distance": 2.9, "position": [2.5, -1.40625], "centred": true}));
    let (ran, _) = run("centre", &["position=[1, 1]"]);
    ran.finished_with(&json!({"moves": 0}));
}

#[test]
fn screening_joins_three_analyses() {
    let (ran, _) = run("screening", &[]);
    ran.finished_with(&json!({
        "spot_count": 40, "strong_spots": 21, "resolution": 1.8, "ice_share": 0.045, "verdict": "good: measure it",
    }));
}

#[test]
fn recovery_is_not_needed_when_all_goes_well() {
    let (ran, _) = run("recovery", &[]);
    ran.finished_with(&json!({"image": "lysozyme-3_0001.cbf", "shutter": "closed", "mounted": null}));
}

#[test]
fn recovery_takes_the_error_that_bubbles_out_of_the_submodel() {
    let (ran, _) = run("recovery", &["flux=0"]);
    ran.ended_with(1, &json!({"note": "lysozyme-3 was put back: no beam: 0 photons per second", "mounted": null}));
    assert_eq!(ran.output["WorkflowException"]["errorMessage"], "no beam: 0 photons per second");
    assert!(ran.log.contains("the shutter is closed"), "{}", ran.log);
}

#[test]
fn recovery_skips_a_sample_that_is_not_there() {
    let (ran, _) = run("recovery", &["sample="]);
    ran.ended_with(0, &json!({"sample": ""}));
    assert_eq!(ran.output["WorkflowException"]["errorMessage"], "there is no sample to mount");
}

#[test]
fn verify_compares_a_folder_with_its_checksums() {
    let (ran, _) = run("verify", &[]);
    ran.finished_with(&json!({"different": 0, "files": 2, "damaged": []}));
}

#[test]
fn verify_names_the_files_that_are_damaged() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let folder = data.path().join("a b {c}");
    fs::create_dir(&folder).expect("a folder");
    for name in ["frames.txt", "parameters.txt", "SHA256SUMS"] {
        fs::copy(example("verify").with_file_name("verify/dataset").join(name), folder.join(name)).expect("a copy");
    }
    fs::write(folder.join("frames.txt"), "1 0\n").expect("a changed file");
    let (ran, _) = run("verify", &[&format!("folder={}", folder.display())]);
    ran.finished_with(&json!({"different": 1, "files": 2, "damaged": ["frames.txt"]}));
}

#[test]
fn data_reduction_finds_the_resolution_and_writes_its_files() {
    let (ran, elsewhere) = run("data-reduction", &["output=reduced"]);
    // A relative path is relative to where pushflow was started.
    let folder = elsewhere.path().canonicalize().expect("a folder").join("reduced");
    ran.finished_with(&json!({
        "cell": [10.21, 14.631, 19.84], "resolution": 1.7, "reflections": 810, "unique": 299, "r_merge": 0.0322,
        "output": folder, "report": folder.join("report.html"), "merged": folder.join("merged.hkl"),
    }));
    assert_eq!(ran.output["cycles"].as_array().map(Vec::len), Some(6));
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let reflections = |name: &str| read(name).lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(reflections("integrated.hkl"), 810);
    assert_eq!(reflections("merged.hkl"), 299);
    assert_eq!(read("lattice.txt").lines().last(), Some("10.21 14.631 19.84"));
    assert!(read("report.html").contains("299 unique reflections to <b>1.7 Å</b>"));
}

#[test]
fn data_reduction_writes_below_the_temporary_folder_unless_told_otherwise() {
    let (ran, elsewhere) = run("data-reduction", &["enough=0"]);
    ran.finished_with(&json!({"resolution": 1.2}));
    let report = Path::new(ran.output["report"].as_str().expect("a path"));
    assert!(report.starts_with(elsewhere.path()) && report.is_file(), "{}", report.display());
    assert!(ran.log.contains("everything is written to"), "{}", ran.log);
}

#[test]
fn data_reduction_without_images_ends_in_error() {
    let (ran, _) = run("data-reduction", &["images=/nowhere"]);
    ran.ended_with(1, &json!({"images": "/nowhere"}));
    assert_eq!(ran.output["WorkflowException"]["errorMessage"], "there is no folder /nowhere with images");
}

#[test]
fn quicklook_judges_an_image() {
    let (ran, _) = run("quicklook", &[]);
    ran.finished_with(&json!({"spots": 40, "worth_it": true}));
    let (ran, elsewhere) = run("quicklook", &["enough=100"]);
    ran.finished_with(&json!({"worth_it": false}));
    drop(elsewhere);
}
