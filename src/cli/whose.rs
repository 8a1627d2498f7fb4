//! `--system` and `--user`, as in systemctl.

use super::locate::Whose;
use crate::bus::BusType;

/// System services or user services.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct WhoseArgs {
    /// Services of the system (default)
    #[arg(long, conflicts_with = "user")]
    system: bool,

    /// Services of this user
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

    /// The systemctl command for these services.
    pub(super) fn systemctl(self) -> &'static str {
        match self {
            Whose::System => "systemctl",
            Whose::User => "systemctl --user",
        }
    }
}
