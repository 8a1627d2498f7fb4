//! A figure and its origin.

use std::fmt;

/// The origin of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Origin {
    /// The cgroup: all its processes, running or ended.
    Cgroup,
    /// wait4(2) at the end of a process: the process and the children that it has waited for.
    Rusage,
    /// `/proc/PID`: one process and, for CPU time and I/O, the children that it has waited for.
    Proc,
}

impl Origin {
    /// Its name.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

impl<T> Figure<T> {
    /// A figure with its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Figure { value, origin }
    }
}

/// The origins of the parts of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origins([bool; 3]);

impl Origins {
    /// Adds an origin.
    pub fn add(&mut self, origin: Origin) {
        self.0[origin as usize] = true;
    }

    /// Adds the origins of another sum.
    pub fn add_all(&mut self, others: Origins) {
        for (here, there) in self.0.iter_mut().zip(others.0) {
            *here |= there;
        }
    }

    /// The origins, each once.
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
