//! One cgroup with processes: creating, limiting, killing and removing it.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{CgroupError, Controllers, Limits, Unapplied, files, memory, pids};

/// A cgroup with processes. [`Leaf::remove`] removes the folder; dropping the value does not.
#[derive(Debug)]
pub struct Leaf {
    folder: PathBuf,
    /// `cgroup.procs`, open for writing. A process that writes "0" to it moves into the cgroup, even if it may not open the file.
    procs_fd: OwnedFd,
    controllers: Controllers,
}

impl Leaf {
    /// Creates a cgroup. An empty one of this name, left behind earlier, is replaced.
    pub(super) fn make(folder: PathBuf, controllers: Controllers) -> Result<Self, CgroupError> {
        let made = match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_dir(&folder).and_then(|()| fs::create_dir(&folder))
            }
            made => made,
        };
        made.map_err(|error| CgroupError::new("create", &folder, error))?;
        Leaf::open(folder, controllers)
    }

    pub(super) fn open(folder: PathBuf, controllers: Controllers) -> Result<Self, CgroupError> {
        let path = folder.join("cgroup.procs");
        let procs_fd =
            OpenOptions::new().write(true).open(&path).map_err(|error| CgroupError::new("open", &path, error))?.into();
        Ok(Leaf { folder, procs_fd, controllers })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name: the last part of the path.
    pub fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The controllers that it has.
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// The open `cgroup.procs`: a child process writes "0" to it before it starts a program.
    pub fn procs_fd(&self) -> BorrowedFd<'_> {
        self.procs_fd.as_fd()
    }

    /// Applies limits. Returns those that could not be applied.
    pub fn limit(&self, limits: &Limits) -> Vec<Unapplied> {
        limits.apply(&self.folder, self.controllers)
    }

    /// Kills all its processes at once (Linux 5.14 and newer).
    pub fn kill(&self) -> Result<(), CgroupError> {
        files::write(&self.folder, "cgroup.kill", "1")
    }

    /// The processes in it.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let text = files::read(&self.folder, "cgroup.procs")?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Removes the cgroup. Returns false while it contains processes.
    pub fn remove(&self) -> Result<bool, CgroupError> {
        match fs::remove_dir(&self.folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(false),
            Err(error) => Err(CgroupError::new("remove", &self.folder, error)),
        }
    }

    /// The counters of the memory controller. `None` without that controller.
    pub fn memory_events(&self) -> Option<memory::Events> {
        files::read(&self.folder, "memory.events").ok().map(|text| memory::Events::parse(&text))
    }

    /// The peak memory usage in bytes.
    pub fn memory_peak(&self) -> Option<u64> {
        files::read(&self.folder, "memory.peak").ok().and_then(|text| files::single(&text))
    }

    /// Number of processes and threads that could not be created because of `pids.max`.
    pub fn refused_forks(&self) -> Option<u64> {
        files::read(&self.folder, "pids.events").ok().and_then(|text| pids::refused(&text))
    }
}
