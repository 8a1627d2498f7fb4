//! One cgroup with processes in it: made, limited, killed and removed.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{CgroupError, Controllers, Limits, Unapplied, files, memory, pids};

/// A cgroup that holds processes. The folder is removed by [`Leaf::remove`], not when the value goes.
#[derive(Debug)]
pub struct Leaf {
    folder: PathBuf,
    /// `cgroup.procs`, open for writing: a process that writes "0" to it moves in, also one that could not open it.
    door: OwnedFd,
    controllers: Controllers,
}

impl Leaf {
    /// Makes a cgroup. An empty one that was left behind under this name is replaced.
    pub(super) fn make(folder: PathBuf, controllers: Controllers) -> Result<Self, CgroupError> {
        let made = match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_dir(&folder).and_then(|()| fs::create_dir(&folder))
            }
            made => made,
        };
        made.map_err(|error| CgroupError::new("make", &folder, error))?;
        Leaf::open(folder, controllers)
    }

    pub(super) fn open(folder: PathBuf, controllers: Controllers) -> Result<Self, CgroupError> {
        let path = folder.join("cgroup.procs");
        let door =
            OpenOptions::new().write(true).open(&path).map_err(|error| CgroupError::new("open", &path, error))?.into();
        Ok(Leaf { folder, door, controllers })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name, the last part of the folder's.
    pub fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The controllers that it has.
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// Where a process writes "0" to move in, before it runs anything of the user's.
    pub fn door(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }

    /// Puts limits on it; returns those that are not in force.
    pub fn limit(&self, limits: &Limits) -> Vec<Unapplied> {
        limits.apply(&self.folder, self.controllers)
    }

    /// Kills every process in it, however it came there, at once (Linux 5.14 and newer).
    pub fn kill(&self) -> Result<(), CgroupError> {
        files::write(&self.folder, "cgroup.kill", "1")
    }

    /// The processes in it.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let text = files::read(&self.folder, "cgroup.procs")?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Removes it. False while there still is something in it.
    pub fn remove(&self) -> Result<bool, CgroupError> {
        match fs::remove_dir(&self.folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(false),
            Err(error) => Err(CgroupError::new("remove", &self.folder, error)),
        }
    }

    /// What the memory controller has counted; absent where there is none.
    pub fn memory_events(&self) -> Option<memory::Events> {
        files::read(&self.folder, "memory.events").ok().map(|text| memory::Events::parse(&text))
    }

    /// The most memory that was used at once, bytes.
    pub fn memory_peak(&self) -> Option<u64> {
        files::read(&self.folder, "memory.peak").ok().and_then(|text| files::single(&text))
    }

    /// How often a process or thread could not be started because of `pids.max`.
    pub fn refused_forks(&self) -> Option<u64> {
        files::read(&self.folder, "pids.events").ok().and_then(|text| pids::refused(&text))
    }
}
