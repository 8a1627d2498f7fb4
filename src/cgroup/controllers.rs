//! The controllers of a cgroup: what it has, and passing them on to its children.

use std::fmt;
use std::path::Path;

use super::{CgroupError, files};

/// A controller that pushflow makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Controller {
    Cpu,
    Io,
    Memory,
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Controller; 4] = [Controller::Cpu, Controller::Io, Controller::Memory, Controller::Pids];
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Controller::Cpu => "cpu",
            Controller::Io => "io",
            Controller::Memory => "memory",
            Controller::Pids => "pids",
        })
    }
}

/// A set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Controllers([bool; 4]);

impl Controllers {
    /// Whether one is in the set.
    pub fn has(self, controller: Controller) -> bool {
        self.0[controller as usize]
    }

    /// Those that are not in the set.
    pub fn missing(self) -> impl Iterator<Item = Controller> {
        Controller::ALL.into_iter().filter(move |controller| !self.has(*controller))
    }

    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        Controllers(Controller::ALL.map(|controller| words.contains(&controller.to_string().as_str())))
    }

    /// What a cgroup may pass on (`cgroup.controllers`).
    pub fn offered(folder: &Path) -> Result<Self, CgroupError> {
        files::read(folder, "cgroup.controllers").map(|text| Controllers::parse(&text))
    }

    /// What its children have (`cgroup.subtree_control`).
    pub fn enabled(folder: &Path) -> Result<Self, CgroupError> {
        files::read(folder, "cgroup.subtree_control").map(|text| Controllers::parse(&text))
    }
}

/// Passes every controller that there is on to the children of a cgroup, one by one: one that is refused leaves the
/// others. Returns what the children have, and what was refused.
pub(super) fn enable(folder: &Path) -> Result<(Controllers, Vec<CgroupError>), CgroupError> {
    let (offered, mut enabled) = (Controllers::offered(folder)?, Controllers::enabled(folder)?);
    let mut refused = Vec::new();
    for controller in Controller::ALL {
        if offered.has(controller) && !enabled.has(controller) {
            match files::write(folder, "cgroup.subtree_control", &format!("+{controller}")) {
                Ok(()) => enabled.0[controller as usize] = true,
                Err(error) => refused.push(error),
            }
        }
    }
    Ok((enabled, refused))
}
