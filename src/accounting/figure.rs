//! One figure and where it comes from.

use std::fmt;

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The cgroup: of every process in it, living or dead.
    Cgroup,
    /// `wait4(2)` at a process's death: of it and the children that it has waited for.
    Rusage,
    /// `/proc/PID`: of one process, and of the children that it has waited for where that can be (CPU time, I/O).
    Proc,
}

impl Origin {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Cgroup => "cgroup",
            Origin::Rusage => "rusage",
            Origin::Proc => "proc",
        }
    }
}

/// A figure that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

impl<T> Figure<T> {
    /// A figure.
    pub fn new(value: T, origin: Origin) -> Self {
        Figure { value, origin }
    }
}

/// Where the parts of a sum come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origins([bool; 3]);

impl Origins {
    /// Adds one.
    pub fn add(&mut self, origin: Origin) {
        self.0[origin as usize] = true;
    }

    /// Adds those of another sum.
    pub fn add_all(&mut self, others: Origins) {
        for (here, there) in self.0.iter_mut().zip(others.0) {
            *here |= there;
        }
    }

    /// Each once.
    pub fn iter(self) -> impl Iterator<Item = Origin> {
        [Origin::Cgroup, Origin::Rusage, Origin::Proc].into_iter().filter(move |origin| self.0[*origin as usize])
    }
}

impl From<Origin> for Origins {
    fn from(origin: Origin) -> Self {
        let mut origins = Origins::default();
        origins.add(origin);
        origins
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, origin) in self.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "+" })?;
            f.write_str(origin.word())?;
        }
        Ok(())
    }
}
