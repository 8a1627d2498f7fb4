//! The two buses.

/// Which bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusType {
    /// The system bus.
    System,
    /// The user's session bus.
    Session,
}

impl BusType {
    /// Its name for people.
    pub fn word(self) -> &'static str {
        match self {
            BusType::System => "system bus",
            BusType::Session => "session bus",
        }
    }
}
