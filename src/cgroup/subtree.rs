//! The part of the hierarchy that was delegated to this supervisor.
//!
//! Processes and enabled controllers exclude each other in one cgroup ("no internal processes", cgroup-v2.rst), so the
//! supervisor moves into a leaf of its own, `supervisor/`, and everything it starts gets leaves beside that.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::delegation::claim;
use super::{CgroupError, Controller, Controllers, Leaf, NotDelegated, Own, controllers, files};

/// Names are cut after so many bytes; the kernel takes 255.
const LONGEST_NAME: usize = 150;

/// The leaf of the supervisor.
pub(super) const SUPERVISOR: &str = "supervisor";

/// A delegated cgroup, with this process in `supervisor/` below it.
#[derive(Debug)]
pub struct Subtree {
    folder: PathBuf,
    controllers: Controllers,
    refused: Vec<CgroupError>,
    hybrid: bool,
    /// Held as long as this supervisor lives.
    _lock: File,
}

impl Subtree {
    /// Moves this process into the leaf `supervisor` of its cgroup, and passes on what controllers there are. All of its
    /// threads move along. `granted` is what [`claim`] wants to know.
    pub fn take(own: &Own, granted: bool) -> Result<Self, NotDelegated> {
        let lock = claim(own, granted)?;
        let supervisor = own.folder.join(SUPERVISOR);
        let leaf = Leaf::make(supervisor.clone(), Controllers::default())
            .or_else(|error| Leaf::open(supervisor.clone(), Controllers::default()).map_err(|_| error))?;
        nix::unistd::write(leaf.door(), b"0")
            .map_err(|error| CgroupError::new("move the supervisor to", &supervisor, error))?;
        move_the_others(&own.folder, &leaf);
        let (controllers, refused) = controllers::enable(&own.folder)?;
        Ok(Subtree { folder: own.folder.clone(), controllers, refused, hybrid: own.hybrid, _lock: lock })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The controllers that its leaves have.
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// Which of these controllers are missing and why, if any are.
    pub fn what_is_missing(&self, wanted: &[Controller]) -> Option<String> {
        let missing = self.controllers.missing().filter(|controller| wanted.contains(controller));
        let missing: Vec<String> = missing.map(|controller| controller.to_string()).collect();
        if missing.is_empty() {
            return None;
        }
        let why = match self.refused.first() {
            Some(refused) => format!(": {refused}"),
            None if self.hybrid => " (cgroups of version 1 hold them)".to_owned(),
            None => String::new(),
        };
        let (noun, verb) = if missing.len() == 1 { ("controller", "is") } else { ("controllers", "are") };
        Some(format!("the {noun} {} {verb} not there for {}{why}", missing.join(", "), self.folder.display()))
    }

    /// What brings the missing controllers, where that is known.
    pub fn remedy(&self) -> &'static str {
        match self.controllers.missing().next() {
            Some(_) if self.hybrid && self.refused.is_empty() => {
                "boot the host with systemd.unified_cgroup_hierarchy=1"
            }
            Some(_) if self.refused.is_empty() => "the unit above must delegate them (Delegate=yes)",
            _ => "",
        }
    }

    /// Makes a leaf with this name, of which what a folder's name cannot have is escaped.
    pub fn leaf(&self, kind: &str, what: &str, number: u32) -> Result<Leaf, CgroupError> {
        Leaf::make(self.folder.join(format!("{kind}-{}-{number}", escaped(what))), self.controllers)
    }
}

/// Moves what else is in a delegated cgroup, the supervisor's own guardian or the shell that started it, out of the way of
/// the controllers. What cannot be moved shows when they are enabled.
fn move_the_others(folder: &Path, leaf: &Leaf) {
    let text = files::read(folder, "cgroup.procs").unwrap_or_default();
    for process in text.lines() {
        // One that has ended meanwhile is out of the way.
        let _ = nix::unistd::write(leaf.door(), process.as_bytes());
    }
}

/// A name as a part of a file's name: as systemd-escape(1) does it, cut where it gets too long.
pub fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        if escaped.len() >= LONGEST_NAME {
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
    fn names_become_names_of_folders() {
        assert_eq!(escaped("default"), "default");
        assert_eq!(escaped("sub/a b"), "sub\\x2fa\\x20b");
        assert!(escaped(&"ä".repeat(200)).len() <= super::LONGEST_NAME + 4);
    }
}
