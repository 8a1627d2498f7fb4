//! Foreground runs: each provides its process tree at a socket in the runtime folder.

use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::supervisor::listing::Listing;
use crate::supervisor::status_socket::{is_private, runtime_folders};
use crate::text;

/// Maximum time to wait for an answer. A supervisor answers within one turn of its loop.
const PATIENCE: Duration = Duration::from_secs(5);

/// All foreground runs.
pub(super) fn running() -> Vec<Listing> {
    sockets().iter().filter_map(|socket| ask(socket)).collect()
}

fn sockets() -> Vec<PathBuf> {
    let folders = runtime_folders();
    let folders = folders.iter().filter(|folder| is_private(folder));
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "sock")).collect()
}

/// Asks a supervisor for its process tree. A dead socket is removed.
fn ask(socket: &Path) -> Option<Listing> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                // Another process may have removed it.
                let _ = fs::remove_file(socket);
            }
            return None;
        }
    };
    let mut text = Vec::new();
    let read = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.read_to_end(&mut text));
    let listing = read.map_err(|error| error.to_string()).and_then(|_| match text.as_slice() {
        // The run has ended meanwhile.
        [] => Ok(None),
        text => serde_json::from_slice(text).map(Some).map_err(|error| error.to_string()),
    });
    listing.unwrap_or_else(|error| {
        let name = socket.file_stem().unwrap_or_default().to_string_lossy();
        eprintln!("pushflow: the supervisor {} does not answer: {}", text::line(&name), text::line(&error));
        None
    })
}
