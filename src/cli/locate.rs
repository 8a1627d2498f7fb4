//! Resolves FILE or NAME on the command line to the workflow file, and finds the defaults file.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::{Exit, Failure};
use crate::systemd::escape::instance;

/// Whether `FILE|NAME` is a file: it has a slash, or ends in `.toml`.
pub(super) fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".toml")
}

/// The file of `FILE|NAME`. A name is always that of an installed workflow: the current folder may belong to somebody else.
pub(super) fn workflow_file(name: &str) -> Result<PathBuf, Failure> {
    if is_path(name) {
        let path = Path::new(name);
        return match path.is_file() {
            true => Ok(path.to_owned()),
            false if path.exists() => Err(not_found(format!("{name} is not a file"))),
            false => Err(not_found(format!("{name} does not exist"))),
        };
    }
    installed(name, &workflow_folders()).map_err(|failure| {
        let here = [format!("./{name}"), format!("./{name}.toml")];
        let here = here.into_iter().find(|path| !name.is_empty() && Path::new(path).is_file());
        match (failure, here) {
            (Failure::Because(exit, error), Some(here)) => {
                Failure::Because(exit, anyhow!("{error:#}; to use the file in this folder, write {here}"))
            }
            (failure, _) => failure,
        }
    })
}

/// Whether a service of this file ends after one run, according to the file or else the defaults.
pub(super) fn runs_once(file: &Path, defaults: Option<&Path>) -> bool {
    let mode = |path: &Path| {
        let table: toml::Table = crate::config::read_text(path).ok()?.parse().ok()?;
        Some(
            table
                .get("service")
                .and_then(|service| service.get("mode"))
                .and_then(|mode| mode.as_str().map(str::to_owned)),
        )
    };
    let Some(own) = mode(file) else { return false };
    own.or_else(|| defaults.and_then(mode).flatten()).is_none_or(|mode| mode == "run")
}

/// System services or services of this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// `--system`.
    System,
    /// `--user`.
    User,
}

impl Whose {
    /// The folders of the workflows of these services, in order of precedence.
    pub(super) fn workflow_folders(self) -> Vec<PathBuf> {
        match self {
            Whose::System => vec!["/etc/pushflow/workflows".into(), "/usr/share/pushflow/workflows".into()],
            Whose::User => user_folder().map(|folder| folder.join("workflows")).into_iter().collect(),
        }
    }

    /// The folder of their histories, which contains a folder for each workflow.
    pub(super) fn state_folder(self) -> Option<PathBuf> {
        match self {
            Whose::System => Some("/var/lib/pushflow".into()),
            Whose::User => {
                let state =
                    absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
                Some(state.join("pushflow"))
            }
        }
    }

    /// The folder of the history of a service.
    pub(super) fn state_folder_of(self, name: &str) -> Option<PathBuf> {
        let folder = self.state_folder()?;
        // systemd has created the folder of a unit.
        let made = of_unit("STATE_DIRECTORY").filter(|made| made.parent() == Some(&*folder));
        made.or_else(|| Some(folder.join(instance(name))))
    }

    /// The runtime folder of a service: in memory, until shutdown or logout. It may not exist yet.
    pub(super) fn runtime_folder(self, name: &str) -> Option<PathBuf> {
        let name = instance(name);
        of_unit("RUNTIME_DIRECTORY").or_else(|| match self {
            Whose::System => Some(Path::new("/run/pushflow").join(name)),
            Whose::User => absolute("XDG_RUNTIME_DIR").map(|folder| folder.join("pushflow").join(name)),
        })
    }

    /// Their defaults file, if it exists.
    pub(super) fn defaults_file(self) -> Option<PathBuf> {
        let folder = match self {
            Whose::System => Some("/etc/pushflow".into()),
            Whose::User => user_folder(),
        };
        folder.map(|folder| folder.join("pushflow.toml")).filter(|path| path.is_file())
    }

    /// The workflow file of a service.
    pub(super) fn workflow_file(self, name: &str) -> Result<PathBuf, Failure> {
        if name.contains('/') || name.starts_with('.') || name.is_empty() {
            let why = anyhow!("{name:?} is not the name of an installed workflow; `pushflow run` takes files");
            return Err(Failure::Because(Exit::Usage, why));
        }
        installed(name, &self.workflow_folders())
    }
}

fn installed(name: &str, folders: &[PathBuf]) -> Result<PathBuf, Failure> {
    let found = folders.iter().map(|folder| folder.join(format!("{name}.toml"))).find(|path| path.is_file());
    found.ok_or_else(|| {
        let links = folders.iter().map(|folder| folder.join(format!("{name}.toml")));
        if let Some((link, to)) = links.filter_map(|link| Some((link.clone(), std::fs::read_link(link).ok()?))).next() {
            let why = "which does not exist, or may not be read by this user";
            return not_found(format!("{} is a symbolic link to {}, {why}", link.display(), to.display()));
        }
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        not_found(format!("there is no workflow {name}: looked for {name}.toml in {}", folders.join(", ")))
    })
}

/// The error that a workflow is not installed.
pub(super) fn not_installed(name: &str) -> Failure {
    match installed(name, &workflow_folders()) {
        Ok(file) => not_found(format!("{} cannot be read", file.display())),
        Err(failure) => failure,
    }
}

fn not_found(message: String) -> Failure {
    Failure::Because(Exit::NotFound, anyhow!(message))
}

/// The folders of installed workflows: the user's, then the system's.
fn workflow_folders() -> Vec<PathBuf> {
    [Whose::User, Whose::System].into_iter().flat_map(Whose::workflow_folders).collect()
}

/// The defaults file: the user's, or else the system's.
pub(super) fn defaults_file() -> Option<PathBuf> {
    [Whose::User, Whose::System].into_iter().find_map(Whose::defaults_file)
}

fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The first of the folders that systemd has created for a unit (systemd.exec(5)).
fn of_unit(variable: &str) -> Option<PathBuf> {
    let folders = env::var(variable).ok().filter(|folders| folders.starts_with('/'))?;
    // A colon separates folders, or is part of a name.
    let first = if Path::new(&folders).is_dir() { &folders } else { folders.split(':').next()? };
    Some(first.into())
}

fn user_folder() -> Option<PathBuf> {
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("pushflow"))
}
