//! From FILE or NAME on the command line to the workflow file, and to the default configuration beside it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::{Exit, Failure};

/// The file that `FILE|NAME` means: a path if it looks like one or exists, else a workflow installed under that name.
pub(super) fn workflow_file(name: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if name.contains('/') || name.ends_with(".toml") {
        let what = if path.exists() { "is not a file" } else { "does not exist" };
        return Err(not_found(format!("{name} {what}")));
    }
    let folders = workflow_folders();
    let found = folders.iter().map(|folder| folder.join(format!("{name}.toml"))).find(|path| path.is_file());
    found.ok_or_else(|| {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        not_found(format!("there is no workflow {name}: looked for {name}.toml in {}", folders.join(", ")))
    })
}

fn not_found(message: String) -> Failure {
    Failure::Because(Exit::NotFound, anyhow!(message))
}

/// Where workflows are installed: the user's folder, then the system's.
fn workflow_folders() -> Vec<PathBuf> {
    let user = user_folder().map(|folder| folder.join("workflows"));
    user.into_iter().chain(["/etc/pushflow/workflows".into(), "/usr/share/pushflow/workflows".into()]).collect()
}

/// The default configuration: the user's, else the system's, if there is one.
pub(super) fn defaults_file() -> Option<PathBuf> {
    let user = user_folder().map(|folder| folder.join("pushflow.toml"));
    user.into_iter().chain(["/etc/pushflow/pushflow.toml".into()]).find(|path| path.is_file())
}

fn user_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("pushflow"))
}
