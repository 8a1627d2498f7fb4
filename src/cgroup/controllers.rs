//! The controllers of a cgroup, and enabling them for its children.

use std::path::Path;

use super::{CgroupError, files};

/// A controller that pushflow uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "lowercase")]
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

/// A set of controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Controllers([bool; 4]);

impl Controllers {
    /// Whether the set contains a controller.
    pub fn has(self, controller: Controller) -> bool {
        self.0[controller as usize]
    }

    /// The controllers that are not in the set.
    pub fn missing(self) -> impl Iterator<Item = Controller> {
        Controller::ALL.into_iter().filter(move |controller| !self.has(*controller))
    }

    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        Controllers(Controller::ALL.map(|controller| words.contains(&controller.to_string().as_str())))
    }

    /// The controllers that a cgroup can enable for its children (`cgroup.controllers`).
    pub fn offered(folder: &Path) -> Result<Self, CgroupError> {
        files::read(folder, "cgroup.controllers").map(|text| Controllers::parse(&text))
    }

    /// The controllers of its children (`cgroup.subtree_control`).
    pub fn enabled(folder: &Path) -> Result<Self, CgroupError> {
        files::read(folder, "cgroup.subtree_control").map(|text| Controllers::parse(&text))
    }
}

/// Enables all available controllers for the children of a cgroup, one by one, so that a refused one does not affect the others.
/// Returns the enabled controllers and the errors.
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
