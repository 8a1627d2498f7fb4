//! The verbs that talk to running services over D-Bus: one file each, and here what they share.

mod client;
mod list;
mod status;
mod stop;
mod submit;
mod text;

pub(super) use list::{ListArgs, list};
pub(super) use status::{StatusArgs, status};
pub(super) use stop::{StopArgs, stop};
pub(super) use submit::{SubmitArgs, submit};
pub(super) use text::{print, print_table};

use super::locate::Whose;
use super::whose::WhoseArgs;

/// Where the services are.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    whose: WhoseArgs,

    /// On another host, over ssh
    #[arg(short = 'H', long, value_name = "[USER@]HOST", conflicts_with = "user")]
    host: Option<String>,
}

impl PlaceArgs {
    fn whose(&self) -> Whose {
        self.whose.whose()
    }

    /// The systemctl that means the same services.
    fn systemctl(&self) -> String {
        match &self.host {
            Some(host) => format!("systemctl -H {host}"),
            None => self.whose().systemctl().to_owned(),
        }
    }
}
