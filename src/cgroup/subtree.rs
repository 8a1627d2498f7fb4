//! The part of the hierarchy that is delegated to this supervisor.
//!
//! A cgroup cannot have both processes and enabled controllers ("no internal process constraint", cgroup-v2.rst). So the
//! supervisor moves into a leaf cgroup, `supervisor/`, and everything that it starts gets leaf cgroups beside that.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::delegation::claim;
use super::{CgroupError, Controller, Controllers, Leaf, NotDelegated, Own, controllers, files};

/// Maximum length of a name in bytes. The limit of the kernel is 255.
const MAX_NAME: usize = 150;

/// The leaf of the supervisor.
pub(super) const SUPERVISOR: &str = "supervisor";

/// A delegated cgroup, with this process in `supervisor/` below it.
#[derive(Debug)]
pub struct Subtree {
    folder: PathBuf,
    controllers: Controllers,
    refused: Vec<CgroupError>,
    hybrid: bool,
    /// Held until this supervisor ends.
    _lock: File,
}

impl Subtree {
    /// Moves this process, with all threads, into the leaf `supervisor` of its cgroup, and enables all controllers for the leaves.
    /// `granted`: see [`claim`].
    pub fn take(own: &Own, granted: bool) -> Result<Self, NotDelegated> {
        let lock = claim(own, granted)?;
        let supervisor = own.folder.join(SUPERVISOR);
        let leaf = Leaf::make(supervisor.clone(), Controllers::default())
            .or_else(|error| Leaf::open(supervisor.clone(), Controllers::default()).map_err(|_| error))?;
        nix::unistd::write(leaf.procs_fd(), b"0")
            .map_err(|error| CgroupError::new("move the supervisor to", &supervisor, error))?;
        move_the_others(&own.folder, &leaf);
        let (controllers, refused) = controllers::enable(&own.folder)?;
        Ok(Subtree { folder: own.folder.clone(), controllers, refused, hybrid: own.hybrid, _lock: lock })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The controllers of its leaves.
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// Describes which of these controllers are missing, and why.
    pub fn what_is_missing(&self, wanted: &[Controller]) -> Option<String> {
        let missing = self.controllers.missing().filter(|controller| wanted.contains(controller));
        let missing: Vec<String> = missing.map(|controller| controller.to_string()).collect();
        if missing.is_empty() {
            return None;
        }
        let why = match self.refused.first() {
            Some(refused) => format!(": {refused}"),
            None if self.hybrid => " (cgroups v1 use them)".to_owned(),
            None => String::new(),
        };
        let (noun, verb) = if missing.len() == 1 { ("controller", "is") } else { ("controllers", "are") };
        Some(format!("the {noun} {} {verb} not available for {}{why}", missing.join(", "), self.folder.display()))
    }

    /// How to get the missing controllers, if that is known.
    pub fn remedy(&self) -> &'static str {
        match self.controllers.missing().next() {
            Some(_) if self.hybrid && self.refused.is_empty() => {
                "boot the host with systemd.unified_cgroup_hierarchy=1"
            }
            Some(_) if self.refused.is_empty() => "the unit above must delegate them (Delegate=yes)",
            _ => "",
        }
    }

    /// Creates a leaf. Its name is escaped.
    pub fn leaf(&self, kind: &str, what: &str, number: u32) -> Result<Leaf, CgroupError> {
        Leaf::make(self.folder.join(format!("{kind}-{}-{number}", escaped(what))), self.controllers)
    }
}

/// Moves all other processes of a delegated cgroup (the guardian, or the shell that started it) to a leaf, so that controllers can be
/// enabled. If that fails, enabling the controllers reports it.
fn move_the_others(folder: &Path, leaf: &Leaf) {
    let text = files::read(folder, "cgroup.procs").unwrap_or_default();
    for process in text.lines() {
        // A process may have ended meanwhile.
        let _ = nix::unistd::write(leaf.procs_fd(), process.as_bytes());
    }
}

/// A name as part of a file name: escaped as by systemd-escape(1), and shortened.
pub fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        if escaped.len() >= MAX_NAME {
            break;
        }
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn names_are_escaped_and_shortened() {
        assert_eq!(escaped("default"), "default");
        assert_eq!(escaped("sub/a b"), "sub\\x2fa\\x20b");
        assert!(escaped(&"ä".repeat(200)).len() <= super::MAX_NAME + 4);
    }
}
