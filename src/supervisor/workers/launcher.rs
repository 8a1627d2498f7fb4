//! Workers behind a launcher, a command of the user. They connect to the supervisor: an address and a one-time token are in their
//! environment, so that no descriptor has to survive the launcher.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::Token;
use mio::net::{UnixListener, UnixStream};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::Uid;
use tracing::{debug, warn};

use super::interpreter::cannot_start;
use super::setup::setup;
use super::{System, WorkerProcess, Workers};
use crate::cgroup::Leaf;
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::Program;
use crate::process::sys::{self, Pid};
use crate::process::tree;
use crate::supervisor::event_loop::{EventLoop, Source};
use crate::supervisor::processes::Child;
use crate::worker::{Channel, Frame, bundle};

/// The environment variables that a launcher must leave to the worker.
const ADDRESS: &str = "PUSHFLOW_WORKER_ADDRESS";
const TOKEN: &str = "PUSHFLOW_WORKER_TOKEN";
/// Number of hexadecimal digits of a token: 256 bits.
const TOKEN_LENGTH: usize = 64;
/// The end of the name of the public socket (`CONNECT` in `worker/bundle.rs`).
const PUBLIC: &str = "-for-others";
/// Maximum number of open connections without a token: of one other user (further ones are closed at once), and of all other users
/// (the oldest is closed).
const MOST_OF_ONE_USER: usize = 16;
const MOST_OF_OTHERS: usize = 64;
/// The same for this user's own: as many as workers can start at once.
const MOST_OF_OURS: usize = 1024;
/// Maximum number of connections accepted in one turn of the loop.
const ACCEPTS_A_TURN: usize = 64;
/// A worker sends its token at once. A connection without a token is closed after this time.
const TIME_TO_AUTHENTICATE: Duration = Duration::from_secs(10);
/// Pause after a failure to accept a connection (no more files can be opened).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Refused connections are logged once in this time, with their number.
const LOG_EVERY: Duration = Duration::from_secs(30);
/// A socket's path has to be shorter (`sun_path`, unix(7)).
const LONGEST_PATH: usize = 108;
/// Folders for the socket if the name of the folder for temporary files is too long. All users may traverse them.
const SHORT_FOLDERS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Where workers behind launchers connect.
///
/// There are two sockets. One is for this user only, so that other users cannot keep workers from it. The other one is for workers that
/// the launcher runs as another user (`sudo -u`): everybody can connect, and the token authenticates the worker. Everybody may traverse
/// the folder, and only this user may list it. The cost of connections without a token is bounded for each user and for each turn of
/// the loop.
pub(super) struct LauncherListener {
    folder: PathBuf,
    address: PathBuf,
    sockets: Vec<ListeningSocket>,
    pending: Vec<PendingWorker>,
    /// The oldest first.
    unauthenticated: Vec<UnauthenticatedPeer>,
    refused: Refused,
}

/// One socket to connect to.
struct ListeningSocket {
    listener: UnixListener,
    watched: Token,
    /// Whether everybody may connect, not only this user and root.
    public: bool,
}

/// The folder, the address that workers get, and the sockets with whether everybody may connect.
type Opened = (PathBuf, PathBuf, [(UnixListener, bool); 2]);

/// Connections that were closed without a token.
#[derive(Default)]
struct Refused {
    /// How many were not logged yet.
    count: u64,
    /// When they will be logged.
    log_at: Option<Instant>,
}

impl Refused {
    fn count(&mut self) {
        self.count += 1;
        self.log_at.get_or_insert_with(Instant::now);
    }

    fn on_time(&mut self, now: Instant) {
        if self.log_at.is_none_or(|at| at > now) {
            return;
        }
        match std::mem::take(&mut self.count) {
            0 => self.log_at = None,
            count => {
                let connections = if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") };
                warn!(
                    "closed {connections} to the socket for workers behind launchers that did not have the token of one"
                );
                self.log_at = Some(now + LOG_EVERY);
            }
        }
    }
}

/// A worker that has not connected yet.
struct PendingWorker {
    token: String,
    worker: (PoolId, WorkerId),
    /// What it will print into.
    output: OwnedFd,
}

/// A connection that has not sent its token yet.
struct UnauthenticatedPeer {
    watched: Token,
    stream: UnixStream,
    received: Vec<u8>,
    /// Its user, if the kernel tells.
    user: Option<Uid>,
    /// Whether it is of this user, of root, or of a process below this one, whose user may be another one (`sudo -u`).
    ours: bool,
    since: Instant,
}

/// A worker that has connected.
struct Connected {
    worker: (PoolId, WorkerId),
    output: OwnedFd,
    stream: UnixStream,
}

impl LauncherListener {
    /// Creates the sockets in the folder for temporary files, or in one with a shorter name if that is too long.
    fn create_sockets() -> io::Result<Opened> {
        let usual = std::env::temp_dir();
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for parent in [usual.as_path()].into_iter().chain(SHORT_FOLDERS.map(Path::new)) {
            match LauncherListener::open_in(parent) {
                Ok(opened) => return Ok(opened),
                Err(error) => last = io::Error::new(error.kind(), format!("{}: {error}", parent.display())),
            }
        }
        Err(last)
    }

    fn open_in(parent: &Path) -> io::Result<Opened> {
        let folder = parent.join(format!("pushflow-{}", random_hex(8)?));
        let address = folder.join("door");
        let mut public = address.clone().into_os_string();
        public.push(PUBLIC);
        if public.len() >= LONGEST_PATH {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket in it is too long"));
        }
        DirBuilder::new().mode(0o711).create(&folder)?;
        let open = |path: &Path, mode| -> io::Result<UnixListener> {
            let listener = UnixListener::bind(path)?;
            // The umask may have removed permissions.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            Ok(listener)
        };
        let opened = fs::set_permissions(&folder, Permissions::from_mode(0o711))
            .and_then(|()| Ok([(open(&address, 0o600)?, false), (open(Path::new(&public), 0o666)?, true)]));
        match opened {
            Ok(listeners) => Ok((folder, address, listeners)),
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    /// Whether the maximum number of connections without a token is open for this user.
    fn has_many_of(&self, user: Option<Uid>) -> bool {
        self.unauthenticated.iter().filter(|it| !it.ours && it.user == user).count() >= MOST_OF_ONE_USER
    }

    /// The connection to be closed before one more is accepted: the oldest of its kind, if there are too many.
    fn one_too_many(&self, ours: bool) -> Option<usize> {
        let most = if ours { MOST_OF_OURS } else { MOST_OF_OTHERS };
        let count = self.unauthenticated.iter().filter(|it| it.ours == ours).count();
        (count >= most).then(|| self.unauthenticated.iter().position(|it| it.ours == ours)).flatten()
    }
}

impl LauncherListener {
    fn open(event_loop: &mut EventLoop) -> io::Result<Self> {
        let (folder, address, listeners) = LauncherListener::create_sockets()?;
        let (pending, unauthenticated) = (Vec::new(), Vec::new());
        let refused = Refused::default();
        let mut opened = LauncherListener { folder, address, sockets: Vec::new(), pending, unauthenticated, refused };
        for (mut listener, public) in listeners {
            let watched = event_loop.watch(&mut listener, Source::LauncherListener)?;
            opened.sockets.push(ListeningSocket { listener, watched, public });
        }
        Ok(opened)
    }

    /// Accepts connections. Returns the workers among them that have sent their tokens already.
    fn accept(&mut self, socket: Token, event_loop: &mut EventLoop) -> Vec<Connected> {
        let mut connected = Vec::new();
        for _ in 0..ACCEPTS_A_TURN {
            let found = self.sockets.iter().find(|it| it.watched == socket);
            let Some(ListeningSocket { listener, public, .. }) = found else { return connected };
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return connected,
                Err(error) if may_be_gone(&error) => continue,
                Err(error) => {
                    debug!("cannot accept the connection of a worker: {error}");
                    // No further event tells of the connections that wait there.
                    event_loop.defer_until(socket, Instant::now() + ACCEPT_AGAIN);
                    return connected;
                }
            };
            let (user, process) = peer_of(&stream);
            let mut ours = !*public;
            if *public {
                if self.pending.is_empty() || self.has_many_of(user) {
                    // A flood is refused before anything else is read of its processes.
                    self.refused.count();
                    continue;
                }
                ours = process.is_some_and(|process| tree::is_below(process, Pid::this()));
            }
            if let Some(at) = self.one_too_many(ours) {
                let mut oldest = self.unauthenticated.remove(at);
                event_loop.unwatch(&mut oldest.stream, oldest.watched);
                self.refused.count();
            }
            let Ok(watched) = event_loop.watch(&mut stream, Source::UnauthenticatedPeer) else { continue };
            let (received, since) = (Vec::new(), Instant::now());
            self.unauthenticated.push(UnauthenticatedPeer { watched, stream, received, user, ours, since });
            connected.extend(self.authenticate(watched, event_loop));
        }
        // There may be more; other sources come first.
        event_loop.defer(socket);
        connected
    }

    /// Reads the token of a connection, or a part of it. Returns the worker whose token it is.
    fn authenticate(&mut self, watched: Token, event_loop: &mut EventLoop) -> Option<Connected> {
        let at = self.unauthenticated.iter().position(|peer| peer.watched == watched)?;
        let peer = &mut self.unauthenticated[at];
        let mut buffer = [0; TOKEN_LENGTH];
        while peer.received.len() < TOKEN_LENGTH {
            match peer.stream.read(&mut buffer[peer.received.len()..]) {
                Ok(0) => break,
                Ok(count) => peer.received.extend_from_slice(&buffer[peer.received.len()..][..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => break,
            }
        }
        let UnauthenticatedPeer { mut stream, received, .. } = self.unauthenticated.remove(at);
        event_loop.unwatch(&mut stream, watched);
        let Some(at) = self.pending.iter().position(|worker| worker.token.as_bytes() == received) else {
            self.refused.count();
            return None;
        };
        let PendingWorker { worker, output, .. } = self.pending.swap_remove(at);
        Some(Connected { worker, output, stream })
    }

    fn next_time(&self) -> Option<Instant> {
        let oldest = self.unauthenticated.first().map(|peer| peer.since + TIME_TO_AUTHENTICATE);
        oldest.into_iter().chain(self.refused.log_at).min()
    }

    fn on_time(&mut self, now: Instant, event_loop: &mut EventLoop) {
        let is_late = |peer: &&UnauthenticatedPeer| peer.since + TIME_TO_AUTHENTICATE <= now;
        let late = self.unauthenticated.iter().take_while(is_late).count();
        for mut peer in self.unauthenticated.drain(..late) {
            event_loop.unwatch(&mut peer.stream, peer.watched);
            self.refused.count();
        }
        self.refused.on_time(now);
    }
}

/// The user and the process of a connection, if the kernel tells.
fn peer_of(stream: &UnixStream) -> (Option<Uid>, Option<Pid>) {
    let peer = getsockopt(stream, PeerCredentials).ok();
    peer.map(|peer| (Uid::from_raw(peer.uid()), Pid::from_raw(peer.pid()))).unzip()
}

impl Drop for LauncherListener {
    fn drop(&mut self) {
        // At worst an empty folder stays in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn random_hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a connection was closed before it could be accepted (accept(2)).
fn may_be_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

impl Workers {
    /// Starts the launcher of a pool, with the worker behind it.
    pub(super) fn launch(
        &mut self,
        system: &mut System<'_>,
        (pool, worker): (PoolId, WorkerId),
        leaf: Option<&Leaf>,
    ) -> Result<(), String> {
        let launcher = self.workflow.pool(pool).launcher.clone();
        let [program, arguments @ ..] = &launcher[..] else { return Err("the launcher is empty".to_owned()) };
        let cannot = |error: io::Error| cannot_start("launcher", OsStr::new(program), &error);
        let address = self.listener(system.event_loop)?.address.clone();
        let token = random_hex(TOKEN_LENGTH / 2).map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let program = Program::new(program, write.as_fd())
            .args(arguments)
            .args([self.interpreter_of(pool)])
            .args(bundle::launched_arguments(&self.title("pushflow-worker")))
            .env(ADDRESS, address)
            .env(TOKEN, &token)
            .leaf(leaf.map(Leaf::procs_fd));
        let (pid, pidfd) = self.affinity.start(program).map_err(cannot)?;
        system.processes.add_child(pid, Child::Worker(pool, worker));
        let output = self.watch_output((pool, worker), output, system.event_loop)?;
        self.outputs.keep_last_lines(output);
        let process = WorkerProcess { launcher: Some((pid, pidfd)), ..self.new_process((pool, worker), output) };
        self.pools[pool.index()].workers.insert(worker, process);
        let pending = PendingWorker { token, worker: (pool, worker), output: write };
        self.listener(system.event_loop)?.pending.push(pending);
        Ok(())
    }

    fn listener(&mut self, event_loop: &mut EventLoop) -> Result<&mut LauncherListener, String> {
        let cannot = |error: io::Error| format!("cannot open a socket for workers behind launchers: {error}");
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => LauncherListener::open(event_loop).map_err(cannot)?,
        };
        Ok(self.listener.insert(listener))
    }

    /// Connections wait. Returns the workers among them that cannot be used.
    #[must_use]
    pub(in crate::supervisor) fn on_listener_ready(
        &mut self,
        socket: Token,
        system: &mut System<'_>,
    ) -> Vec<(PoolId, WorkerId)> {
        let connected = self.listener.as_mut().map(|listener| listener.accept(socket, system.event_loop));
        connected.into_iter().flatten().filter_map(|it| self.on_connected(it, system)).collect()
    }

    /// A connection has sent its token, or was closed. Returns its worker if that cannot be used.
    #[must_use]
    pub(in crate::supervisor) fn on_peer_ready(
        &mut self,
        peer: Token,
        system: &mut System<'_>,
    ) -> Option<(PoolId, WorkerId)> {
        let connected = self.listener.as_mut()?.authenticate(peer, system.event_loop)?;
        self.on_connected(connected, system)
    }

    fn on_connected(&mut self, connected: Connected, system: &mut System<'_>) -> Option<(PoolId, WorkerId)> {
        let Connected { worker: (pool, worker), output, stream } = connected;
        let mut channel = Channel::new(stream);
        let setup = setup(&self.workflow, pool, self.pools[pool.index()].preload, false);
        let sent = channel.send_raw(bundle::source("spawn_main.main", bundle::cache().as_deref())).and_then(|()| {
            let pipe = system.processes.announcements();
            channel.send(Frame::setup(&setup, Some(output.as_fd())).and_descriptor(pipe))
        });
        let connected = match sent {
            Ok(()) => self.connect((pool, worker), channel, system.event_loop),
            Err(error) => Err(error.to_string()),
        };
        let why = connected.err()?;
        warn!("cannot use the worker that has connected: {why}");
        Some((pool, worker))
    }

    /// When [`Workers::on_time`] has something to do.
    pub(in crate::supervisor) fn next_time(&self) -> Option<Instant> {
        self.listener.as_ref()?.next_time()
    }

    /// Closes connections whose tokens have not come in time, and logs how many connections were closed.
    pub(in crate::supervisor) fn on_time(&mut self, now: Instant, event_loop: &mut EventLoop) {
        if let Some(listener) = &mut self.listener {
            listener.on_time(now, event_loop);
        }
    }

    /// A worker that has ended will not connect.
    pub(super) fn forget_pending(&mut self, ended: (PoolId, WorkerId)) {
        if let Some(listener) = &mut self.listener {
            listener.pending.retain(|pending| pending.worker != ended);
        }
    }

    /// Forgets the workers that have not connected, and returns them: their launchers can be ended.
    #[must_use]
    pub(in crate::supervisor) fn take_pending(&mut self) -> Vec<(PoolId, WorkerId)> {
        let pending = self.listener.iter_mut().flat_map(|listener| listener.pending.drain(..));
        pending.map(|pending| pending.worker).collect()
    }
}
