//! Which histories there are.

use std::fs;
use std::path::PathBuf;

use anyhow::anyhow;
use tracing::warn;

use super::FILE;
use crate::cli::locate::Whose;
use crate::cli::{Exit, Failure};
use crate::history::{HistoryError, Reader};

/// Whose histories.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct WhereArgs {
    /// Only those of the system's services
    #[arg(long, conflicts_with = "user")]
    system: bool,

    /// Only this user's: services, and runs in the foreground
    #[arg(long)]
    user: bool,
}

impl WhereArgs {
    fn places(self) -> Vec<Whose> {
        match (self.system, self.user) {
            (true, _) => vec![Whose::System],
            (_, true) => vec![Whose::User],
            _ => vec![Whose::User, Whose::System],
        }
    }
}

/// The history of one workflow.
pub(in crate::cli) struct Found {
    pub(in crate::cli) name: String,
    pub(in crate::cli) reader: Reader,
}

/// The histories that can be read: of one workflow, or all. What is in the way of others is said, with what to do.
pub(in crate::cli) fn all(place: WhereArgs, name: Option<&str>) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    let mut unread = Vec::new();
    let places = place.places().into_iter().filter_map(|whose| Some((whose, whose.state_folder()?)));
    let places: Vec<(Whose, PathBuf)> = places.collect();
    for (whose, folder) in &places {
        let names = match name {
            Some(name) => vec![name.to_owned()],
            None => names_in(folder),
        };
        for name in names {
            match Reader::open(&folder.join(&name).join(FILE)) {
                Ok(reader) => found.push(Found { name, reader }),
                Err(HistoryError::Missing(_)) => {}
                Err(error) => unread.push((*whose, error)),
            }
        }
    }
    match (found.is_empty(), unread.as_slice(), name) {
        (true, [], Some(name)) => {
            let places: Vec<_> = places.iter().map(|(_, place)| place.join(name).display().to_string()).collect();
            let why = anyhow!("there is no history of {name}: looked in {}", places.join(", "));
            Err(Failure::Because(Exit::NotFound, why))
        }
        (_, [], _) => Ok(found),
        (true, unread, _) => Err(anyhow!(what_to_do(unread)).into()),
        (false, unread, _) => {
            warn!("{}", what_to_do(unread));
            Ok(found)
        }
    }
}

/// Why some histories are not read, and how that changes.
fn what_to_do(unread: &[(Whose, HistoryError)]) -> String {
    let Some((whose, error)) = unread.last() else { return String::new() };
    let more = match unread.len() - 1 {
        0 => String::new(),
        1 => " (and one more is not read)".to_owned(),
        more => format!(" (and {more} more are not read)"),
    };
    let remedy = match (error, whose) {
        (HistoryError::Denied(_), Whose::System) => {
            ". Only root and members of the group pushflow may read the histories of the system's services (sudo usermod -aG \
             pushflow USER, and log in again); with --user you see only your own"
        }
        (HistoryError::Denied(_), Whose::User) => ". It belongs to somebody else: was it made with sudo?",
        _ => "",
    };
    format!("{error}{more}{remedy}")
}

fn names_in(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_may_not_be_read_comes_with_what_to_do() {
        let denied = |name: &str| (Whose::System, HistoryError::Denied(name.into()));
        assert_eq!(
            what_to_do(&[denied("/a"), denied("/b")]),
            "/b may not be read by this user (and one more is not read). Only root and members of the group pushflow may read \
             the histories of the system's services (sudo usermod -aG pushflow USER, and log in again); with --user you see \
             only your own"
        );
    }
}
