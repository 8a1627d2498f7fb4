//! Finds the histories of workflows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use tracing::warn;

use super::{FILE, place};
use crate::cli::locate::{Whose, is_path};
use crate::cli::{Exit, Failure};
use crate::history::{HistoryError, Reader};
use crate::systemd::escape::name_of_instance;

/// Histories of system services, of this user, or both.
#[derive(Debug, Default, Clone, Copy, clap::Args)]
pub(in crate::cli) struct WhereArgs {
    /// Only runs of system services
    #[arg(long, conflicts_with = "user")]
    system: bool,

    /// Only runs of this user: services and foreground
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

/// The histories that can be read: of one workflow, or all. Others are reported, with advice.
pub(in crate::cli) fn all(place: WhereArgs, name: Option<&str>) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    let mut unread = Vec::new();
    let places = place.places().into_iter().filter_map(|whose| Some((whose, whose.state_folder()?)));
    let places: Vec<(Whose, PathBuf)> = places.collect();
    for (whose, folder) in &places {
        for (below, called) in names_in(folder) {
            if name.is_some_and(|name| !may_be(name, &called)) {
                continue;
            }
            match Reader::open(&folder.join(&below).join(FILE)) {
                Ok(reader) if name.is_some_and(|name| !is_meant(name, &called, &reader)) => {}
                Ok(reader) => found.push(Found { name: called, reader }),
                Err(HistoryError::Missing(_)) => {}
                Err(error) => unread.push((*whose, error)),
            }
        }
    }
    match (found.is_empty(), unread.as_slice(), name) {
        (true, [], Some(name)) => {
            let places: Vec<_> = places.iter().map(|(_, place)| place.display().to_string()).collect();
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

/// The folders in which histories may be, and what the workflows are called.
fn names_in(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), name_of_instance(&name))).collect()
}

/// Whether the history of this name can be meant, without a look into it.
fn may_be(wanted: &str, called: &str) -> bool {
    is_path(wanted) || called == wanted || place::without_number(called) == Some(wanted)
}

/// Whether it is: a file's own, or one of those of the files of this name.
fn is_meant(wanted: &str, called: &str, reader: &Reader) -> bool {
    if called == wanted {
        return true;
    }
    let file = reader.file().ok().flatten().map(PathBuf::from);
    file.is_some_and(|file| match is_path(wanted) {
        true => file == place::real(&std::path::absolute(wanted).unwrap_or_default()),
        false => file.file_stem().is_some_and(|stem| stem == wanted),
    })
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
