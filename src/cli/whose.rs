//! `--system` and `--user`, as systemctl has them.

use super::locate::Whose;
use crate::bus::BusType;

/// Whose services are meant.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct WhoseArgs {
    /// The services of the system (the default)
    #[arg(long, conflicts_with = "user")]
    system: bool,

    /// The services of this user
    #[arg(long)]
    user: bool,
}

impl WhoseArgs {
    pub(super) fn whose(self) -> Whose {
        if self.user { Whose::User } else { Whose::System }
    }
}

impl Whose {
    /// `system` or `user`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Whose::System => "system",
            Whose::User => "user",
        }
    }

    /// The bus that these services are on.
    pub(super) fn bus(self) -> BusType {
        match self {
            Whose::System => BusType::System,
            Whose::User => BusType::Session,
        }
    }

    /// What systemctl needs in order to mean the same: `systemctl --user`.
    pub(super) fn systemctl(self) -> &'static str {
        match self {
            Whose::System => "systemctl",
            Whose::User => "systemctl --user",
        }
    }
}
