//! The socket at which a running workflow shows its process tree: who connects gets a [`Listing`](super::listing::Listing)
//! as JSON, and is hung up on. It is in the runtime folder, under the supervisor's number.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::Token;
use mio::net::{UnixListener, UnixStream};
use nix::unistd::geteuid;

use super::Supervisor;
use super::event_loop::Source;
use crate::process::sys::Pid;

/// So many may read at once; the one that has waited longest goes for a further one.
const MOST_VIEWERS: usize = 16;
/// After a failure to accept a connection, the next try.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Where viewers connect; the socket is removed with the value.
pub(super) struct Window {
    path: PathBuf,
    listener: UnixListener,
    token: Token,
    viewers: Vec<Viewer>,
}

/// Somebody who has not read everything yet.
struct Viewer {
    stream: UnixStream,
    token: Token,
    text: Vec<u8>,
    sent: usize,
}

impl Drop for Window {
    fn drop(&mut self) {
        // What is left over is removed by the next who looks.
        let _ = fs::remove_file(&self.path);
    }
}

/// The folders in which sockets can be, the one to use first.
pub fn runtime_folders() -> Vec<PathBuf> {
    let user = geteuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let system = user.is_root().then(|| PathBuf::from("/run"));
    let usual = PathBuf::from(format!("/run/user/{user}"));
    let mut folders: Vec<PathBuf> =
        runtime.into_iter().chain(system).chain([usual]).map(|folder| folder.join("pushflow")).collect();
    // Anybody can make a folder there: it must be one's own.
    folders.push(std::env::temp_dir().join(format!("pushflow-{user}")));
    folders.dedup();
    folders
}

/// Whether a folder is this user's own and nobody else can write to it.
pub fn is_private(folder: &Path) -> bool {
    fs::symlink_metadata(folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0)
}

fn open(folder: &Path) -> io::Result<(PathBuf, UnixListener)> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !is_private(folder) {
        return Err(io::Error::other(format!("{} is not this user's own", folder.display())));
    }
    let path = folder.join(format!("{}.sock", Pid::this()));
    // Left over by one that had the same number.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    // Whatever the umask is.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok((path, listener))
}

impl Supervisor {
    /// Shows the tree to who asks for it (`pushflow ps`).
    ///
    /// # Errors
    /// Where no folder for the socket can be used; the last reason.
    pub fn open_window(&mut self) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for folder in runtime_folders() {
            match open(&folder) {
                Ok((path, mut listener)) => {
                    let token = self.event_loop.watch(&mut listener, Source::StatusSocket)?;
                    self.window = Some(Window { path, listener, token, viewers: Vec::new() });
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn on_window_ready(&mut self) {
        let mut text = None;
        for _ in 0..MOST_VIEWERS {
            let Some(window) = &mut self.window else { return };
            let token = window.token;
            let mut stream = match window.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // No more files can be opened: who waits there is not told of again.
                Err(_) => return self.event_loop.defer_until(token, Instant::now() + ACCEPT_AGAIN),
            };
            let text = text.get_or_insert_with(|| {
                // A listing is plain data.
                serde_json::to_vec(&self.listing()).unwrap_or_default()
            });
            let Ok(token) = self.event_loop.watch(&mut stream, Source::StatusClient) else { continue };
            let Some(window) = &mut self.window else { return };
            if window.viewers.len() == MOST_VIEWERS {
                let mut oldest = window.viewers.remove(0);
                self.event_loop.unwatch(&mut oldest.stream, oldest.token);
            }
            window.viewers.push(Viewer { stream, token, text: text.clone(), sent: 0 });
            self.on_viewer_ready(token);
        }
        // There may be more; others have their turn first.
        if let Some(token) = self.window.as_ref().map(|window| window.token) {
            self.event_loop.defer(token);
        }
    }

    /// Writes what the viewer takes; it is done with when it has everything, or has gone.
    pub(super) fn on_viewer_ready(&mut self, token: Token) {
        let Some(window) = &mut self.window else { return };
        let Some(at) = window.viewers.iter().position(|viewer| viewer.token == token) else { return };
        let viewer = &mut window.viewers[at];
        while viewer.sent < viewer.text.len() {
            match viewer.stream.write(&viewer.text[viewer.sent..]) {
                Ok(count) if count > 0 => viewer.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.event_loop.watch_writing(&mut viewer.stream, token).is_ok() {
                        return;
                    }
                    break;
                }
                _ => break,
            }
        }
        let mut viewer = window.viewers.remove(at);
        self.event_loop.unwatch(&mut viewer.stream, token);
    }
}
