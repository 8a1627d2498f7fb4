//! The status socket of a running workflow: each client gets a [`Listing`](super::listing::Listing) as JSON, and the connection is
//! closed. The socket is in the runtime folder; its name is the process id of the supervisor.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::Token;
use mio::net::{UnixListener, UnixStream};
use nix::unistd::geteuid;

use crate::process::sys::Pid;
use crate::supervisor::event_loop::{EventLoop, Source};

/// This many clients may read at once. A further one replaces the one that has been connected longest.
const MOST_CLIENTS: usize = 16;
/// After a failure to accept a connection, the next try.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The socket and its clients. The socket is removed with the value.
pub(in crate::supervisor) struct StatusSocket {
    path: PathBuf,
    listener: UnixListener,
    token: Token,
    clients: Vec<Client>,
}

/// A client that has not read everything yet.
struct Client {
    stream: UnixStream,
    token: Token,
    text: Vec<u8>,
    sent: usize,
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        // `pushflow ps` removes a socket that is left over.
        let _ = fs::remove_file(&self.path);
    }
}

/// The folders in which sockets can be, in order of preference.
pub fn runtime_folders() -> Vec<PathBuf> {
    let user = geteuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let system = user.is_root().then(|| PathBuf::from("/run"));
    let usual = PathBuf::from(format!("/run/user/{user}"));
    let mut folders: Vec<PathBuf> =
        runtime.into_iter().chain(system).chain([usual]).map(|folder| folder.join("pushflow")).collect();
    // Everybody can make a folder there: it must belong to this user.
    folders.push(std::env::temp_dir().join(format!("pushflow-{user}")));
    folders.dedup();
    folders
}

/// Whether a folder belongs to this user and nobody else can write to it.
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
        return Err(io::Error::other(format!("{} does not belong to this user", folder.display())));
    }
    let path = folder.join(format!("{}.sock", Pid::this()));
    // Left over by a process that had the same id.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    // Whatever the umask is.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok((path, listener))
}

impl StatusSocket {
    /// Opens the socket in the first folder that can be used.
    ///
    /// # Errors
    /// If there is none: why the last one cannot be used.
    pub(in crate::supervisor) fn open(event_loop: &mut EventLoop) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for folder in runtime_folders() {
            match open(&folder) {
                Ok((path, listener)) => return StatusSocket::watch(path, listener, event_loop),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn watch(path: PathBuf, mut listener: UnixListener, event_loop: &mut EventLoop) -> io::Result<Self> {
        let token = event_loop.watch(&mut listener, Source::StatusSocket)?;
        Ok(StatusSocket { path, listener, token, clients: Vec::new() })
    }

    /// The clients that have connected. They are to get [`StatusSocket::serve`]d.
    #[must_use]
    pub(in crate::supervisor) fn accept(&mut self, event_loop: &mut EventLoop) -> Vec<UnixStream> {
        let mut accepted = Vec::new();
        for _ in 0..MOST_CLIENTS {
            match self.listener.accept() {
                Ok((stream, _)) => accepted.push(stream),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return accepted,
                Err(_) => {
                    // No more files can be opened. No further event announces a client that waits.
                    event_loop.defer_until(self.token, Instant::now() + ACCEPT_AGAIN);
                    return accepted;
                }
            }
        }
        // There may be more; other sources have their turn first.
        event_loop.defer(self.token);
        accepted
    }

    /// Sends clients this text.
    pub(in crate::supervisor) fn serve(&mut self, clients: Vec<UnixStream>, text: &[u8], event_loop: &mut EventLoop) {
        for mut stream in clients {
            let Ok(token) = event_loop.watch(&mut stream, Source::StatusClient) else { continue };
            if self.clients.len() == MOST_CLIENTS {
                let mut oldest = self.clients.remove(0);
                event_loop.unwatch(&mut oldest.stream, oldest.token);
            }
            self.clients.push(Client { stream, token, text: text.to_vec(), sent: 0 });
            self.on_client_ready(token, event_loop);
        }
    }

    /// Writes as much as a client takes. It is disconnected when it has everything, or has gone.
    pub(in crate::supervisor) fn on_client_ready(&mut self, token: Token, event_loop: &mut EventLoop) {
        let Some(at) = self.clients.iter().position(|client| client.token == token) else { return };
        let client = &mut self.clients[at];
        while client.sent < client.text.len() {
            match client.stream.write(&client.text[client.sent..]) {
                Ok(count) if count > 0 => client.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if event_loop.watch_writing(&mut client.stream, token).is_ok() {
                        return;
                    }
                    break;
                }
                _ => break,
            }
        }
        let mut client = self.clients.remove(at);
        event_loop.unwatch(&mut client.stream, token);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream as Connection;

    use super::*;

    fn socket(event_loop: &mut EventLoop) -> (tempfile::TempDir, StatusSocket) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        let listener = UnixListener::bind(&path).unwrap();
        (folder, StatusSocket::watch(path, listener, event_loop).unwrap())
    }

    fn read(mut client: Connection) -> Vec<u8> {
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn each_client_gets_the_text_and_is_disconnected() {
        let mut event_loop = EventLoop::new([]).unwrap();
        let (_folder, mut socket) = socket(&mut event_loop);
        let clients = [(); 3].map(|()| Connection::connect(&socket.path).unwrap());
        let accepted = socket.accept(&mut event_loop);
        assert_eq!(accepted.len(), 3);
        socket.serve(accepted, b"{}", &mut event_loop);
        clients.into_iter().for_each(|client| assert_eq!(read(client), b"{}"));
        assert!(socket.clients.is_empty() && socket.accept(&mut event_loop).is_empty());
    }

    #[test]
    fn a_client_that_reads_slowly_gets_the_rest_when_it_can_take_it() {
        let mut event_loop = EventLoop::new([]).unwrap();
        let (_folder, mut socket) = socket(&mut event_loop);
        let text = vec![b'x'; 4 << 20];
        let client = Connection::connect(&socket.path).unwrap();
        let accepted = socket.accept(&mut event_loop);
        socket.serve(accepted, &text, &mut event_loop);
        assert_eq!(socket.clients.len(), 1);
        let reader = std::thread::spawn(move || read(client));
        while let Some(client) = socket.clients.first() {
            let token = client.token;
            let ready = event_loop.wait(Some(Duration::from_secs(60))).unwrap();
            assert!(ready.iter().any(|readiness| readiness.token == token));
            socket.on_client_ready(token, &mut event_loop);
        }
        assert_eq!(reader.join().unwrap().len(), text.len());
    }

    #[test]
    fn a_client_that_does_not_read_goes_for_a_further_one() {
        let mut event_loop = EventLoop::new([]).unwrap();
        let (_folder, mut socket) = socket(&mut event_loop);
        let text = vec![b'x'; 1 << 20];
        let clients: Vec<_> = (0..=MOST_CLIENTS).map(|_| Connection::connect(&socket.path).unwrap()).collect();
        let mut accepted = socket.accept(&mut event_loop);
        accepted.extend(socket.accept(&mut event_loop));
        socket.serve(accepted, &text, &mut event_loop);
        assert_eq!(socket.clients.len(), MOST_CLIENTS);
        assert!(read(clients.into_iter().next().unwrap()).len() < text.len(), "the first one is gone");
    }
}
