//! Workers behind a launcher: started by a command of the user's, they find the supervisor by an address and a one-time
//! token in their environment and connect to it. No descriptor needs to survive the launcher.

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

use super::Supervisor;
use super::event_loop::Source;
use super::interpreter::cannot_start;
use super::processes::Child;
use super::setup::setup;
use super::workers::WorkerProcess;
use crate::cgroup::Leaf;
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::Program;
use crate::process::sys::{self, Pid, Signal};
use crate::process::tree;
use crate::worker::{Channel, Frame, bundle};

/// The environment variables that a launcher must leave to the worker.
const ADDRESS: &str = "PUSHFLOW_WORKER_ADDRESS";
const TOKEN: &str = "PUSHFLOW_WORKER_TOKEN";
/// A token is so many hexadecimal digits: 256 bits.
const TOKEN_LENGTH: usize = 64;
/// What the name of the socket for everybody ends with (`CONNECT` in `worker/bundle.rs`).
const PUBLIC: &str = "-for-others";
/// So many connections may be open that have not shown a token: of one other user (further ones are closed at once), and of all of them
/// (the oldest goes).
const MOST_OF_ONE_USER: usize = 16;
const MOST_STRANGERS: usize = 64;
/// Of ours there may be as many as workers can start at once.
const MOST_OF_OURS: usize = 1024;
/// So many are accepted in one turn of the loop.
const ACCEPTS_A_TURN: usize = 64;
/// A connection shows its token at once; after so long it is closed.
const TIME_TO_SHOW: Duration = Duration::from_secs(10);
/// After a failure to accept one (no more files can be opened), the next try.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Refused connections are told once in so long, with their number.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// A socket's path has to be shorter (`sun_path`, unix(7)).
const LONGEST_PATH: usize = 108;
/// Folders for the socket where the one for temporary files has too long a name: everybody may pass through them.
const SHORT_FOLDERS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Where workers behind launchers connect.
///
/// There are two sockets. One is for this user, and nobody else keeps its workers from it. The other one is for workers that the launcher
/// has given another user (`sudo -u`): everybody can connect, and the token is what opens the door. The folder may be passed through by
/// everyone, and listed by nobody else. Who has no token can connect as often as they like: what that costs has bounds, for each user and
/// for each turn of the loop.
pub(super) struct Doorway {
    folder: PathBuf,
    address: PathBuf,
    doors: Vec<Door>,
    expected: Vec<Invitation>,
    /// The oldest first.
    strangers: Vec<Stranger>,
    refused: Refused,
}

/// One socket to connect to.
struct Door {
    listener: UnixListener,
    watched: Token,
    /// Everybody may connect; not only this user and root.
    public: bool,
}

/// What has been opened: the folder, the address that workers are told, and the sockets, with whether everybody may connect.
type Opened = (PathBuf, PathBuf, [(UnixListener, bool); 2]);

/// Connections that were of no use.
#[derive(Default)]
struct Refused {
    /// How many were not told yet.
    count: u64,
    /// When they may be.
    tell_at: Option<Instant>,
}

impl Refused {
    fn count(&mut self) {
        self.count += 1;
        self.tell_at.get_or_insert_with(Instant::now);
    }

    fn on_time(&mut self, now: Instant) {
        if self.tell_at.is_none_or(|at| at > now) {
            return;
        }
        match std::mem::take(&mut self.count) {
            0 => self.tell_at = None,
            count => {
                let connections = if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") };
                warn!(
                    "closed {connections} to the socket for workers behind launchers that did not have the token of one"
                );
                self.tell_at = Some(now + TELL_EVERY);
            }
        }
    }
}

/// A worker that is expected to connect.
struct Invitation {
    token: String,
    worker: (PoolId, WorkerId),
    /// Where it is to print.
    output: OwnedFd,
}

/// A connection that has not shown its token yet.
struct Stranger {
    watched: Token,
    stream: UnixStream,
    shown: Vec<u8>,
    /// Who it is, if the kernel says so.
    user: Option<Uid>,
    /// It is this user's, root's, or of a process below this one, whoever that has become (`sudo -u`).
    ours: bool,
    since: Instant,
}

impl Doorway {
    /// A socket in the folder for temporary files, or in one with a shorter name where that is too long.
    fn open() -> io::Result<Opened> {
        let usual = std::env::temp_dir();
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for parent in [usual.as_path()].into_iter().chain(SHORT_FOLDERS.map(Path::new)) {
            match Doorway::open_in(parent) {
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
            // Whatever the umask is.
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

    /// Whether so many connections of this user are open that are not ours and have not shown a token that there must not be more.
    fn has_many_of(&self, user: Option<Uid>) -> bool {
        self.strangers.iter().filter(|it| !it.ours && it.user == user).count() >= MOST_OF_ONE_USER
    }

    /// Who has to go for one more: the oldest of its kind. Workers of ours are not pushed out by others.
    fn one_too_many(&self, ours: bool) -> Option<usize> {
        let most = if ours { MOST_OF_OURS } else { MOST_STRANGERS };
        let count = self.strangers.iter().filter(|it| it.ours == ours).count();
        (count >= most).then(|| self.strangers.iter().position(|it| it.ours == ours)).flatten()
    }
}

/// Who has connected, if the kernel says so.
fn peer_of(stream: &UnixStream) -> (Option<Uid>, Option<Pid>) {
    let peer = getsockopt(stream, PeerCredentials).ok();
    peer.map(|peer| (Uid::from_raw(peer.uid()), Pid::from_raw(peer.pid()))).unzip()
}

impl Drop for Doorway {
    fn drop(&mut self) {
        // What cannot be removed is an empty folder in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn random_hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a connection was gone before it could be accepted (accept(2)).
fn may_be_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

impl Supervisor {
    /// Starts the launcher of a pool, with the worker behind it.
    pub(super) fn launch_worker(&mut self, pool: PoolId, worker: WorkerId) -> Result<(), String> {
        let launcher = self.workflow.pool(pool).launcher.clone();
        let [program, arguments @ ..] = &launcher[..] else { return Err("the launcher is empty".to_owned()) };
        let cannot = |error: io::Error| cannot_start("launcher", OsStr::new(program), &error);
        let address = self.doorway()?.address.clone();
        let token = random_hex(TOKEN_LENGTH / 2).map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let leaf = self.resources.cgroup_for_worker((pool, worker), &self.workflow)?;
        let program = Program::new(program, write.as_fd())
            .args(arguments)
            .args([self.interpreter_of(pool)])
            .args(bundle::launched_arguments(&self.title("pushflow-worker")))
            .env(ADDRESS, address)
            .env(TOKEN, &token)
            .leaf(leaf.as_deref().map(Leaf::door));
        let (pid, pidfd) = self.affinity.start(program).map_err(cannot)?;
        self.processes.add_child(pid, Child::Worker(pool, worker));
        let output = self.watch_worker_output(pool, worker, output)?;
        self.outputs.keep_last_lines(output);
        let process =
            WorkerProcess { launcher: Some((pid, pidfd)), ..WorkerProcess::new(worker, self.is_shared(pool), output) };
        self.pools[pool.index()].workers.insert(worker, process);
        self.doorway()?.expected.push(Invitation { token, worker: (pool, worker), output: write });
        Ok(())
    }

    fn doorway(&mut self) -> Result<&mut Doorway, String> {
        let cannot = |error: io::Error| format!("cannot open a socket for workers behind launchers: {error}");
        let doorway = match self.doorway.take() {
            Some(doorway) => doorway,
            None => {
                let (folder, address, listeners) = Doorway::open().map_err(cannot)?;
                let (expected, strangers, refused) = (Vec::new(), Vec::new(), Refused::default());
                let mut doorway = Doorway { folder, address, doors: Vec::new(), expected, strangers, refused };
                for (mut listener, public) in listeners {
                    let watched = self.event_loop.watch(&mut listener, Source::Doorway).map_err(cannot)?;
                    doorway.doors.push(Door { listener, watched, public });
                }
                doorway
            }
        };
        Ok(self.doorway.insert(doorway))
    }

    /// Somebody connects.
    pub(super) fn on_doorway_ready(&mut self, door: Token) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(doorway) = &mut self.doorway else { return };
            let Some(Door { listener, public, .. }) = doorway.doors.iter().find(|it| it.watched == door) else {
                return;
            };
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if may_be_gone(&error) => continue,
                Err(error) => {
                    debug!("cannot accept the connection of a worker: {error}");
                    // Whoever waits there is not told of again.
                    return self.event_loop.defer_until(door, Instant::now() + ACCEPT_AGAIN);
                }
            };
            let (user, process) = peer_of(&stream);
            let mut ours = !*public;
            if *public {
                if doorway.expected.is_empty() || doorway.has_many_of(user) {
                    // A flood: what it costs to look further is for those who behave.
                    doorway.refused.count();
                    continue;
                }
                ours = process.is_some_and(|process| tree::is_below(process, Pid::this()));
            }
            if let Some(at) = doorway.one_too_many(ours) {
                let mut gone = doorway.strangers.remove(at);
                self.event_loop.unwatch(&mut gone.stream, gone.watched);
                doorway.refused.count();
            }
            let Ok(watched) = self.event_loop.watch(&mut stream, Source::Stranger) else { continue };
            doorway.strangers.push(Stranger { watched, stream, shown: Vec::new(), user, ours, since: Instant::now() });
            self.on_stranger_ready(watched);
        }
        // There may be more; others have their turn first.
        self.event_loop.defer(door);
    }

    /// A connection shows its token, or a part of it, or goes away.
    pub(super) fn on_stranger_ready(&mut self, watched: Token) {
        let Some(doorway) = &mut self.doorway else { return };
        let Some(at) = doorway.strangers.iter().position(|stranger| stranger.watched == watched) else { return };
        let stranger = &mut doorway.strangers[at];
        let mut buffer = [0; TOKEN_LENGTH];
        while stranger.shown.len() < TOKEN_LENGTH {
            match stranger.stream.read(&mut buffer[stranger.shown.len()..]) {
                Ok(0) => break,
                Ok(count) => stranger.shown.extend_from_slice(&buffer[stranger.shown.len()..][..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        let mut stranger = doorway.strangers.remove(at);
        let invited = doorway.expected.iter().position(|invitation| invitation.token.as_bytes() == stranger.shown);
        let invitation = invited.map(|at| doorway.expected.swap_remove(at));
        self.event_loop.unwatch(&mut stranger.stream, watched);
        match invitation {
            Some(invitation) => self.welcome(invitation, stranger.stream),
            None => doorway.refused.count(),
        }
    }

    /// When [`Supervisor::doorway_on_time`] wants to be called.
    pub(super) fn next_doorway_time(&self) -> Option<Instant> {
        let doorway = self.doorway.as_ref()?;
        let oldest = doorway.strangers.first().map(|stranger| stranger.since + TIME_TO_SHOW);
        oldest.into_iter().chain(doorway.refused.tell_at).min()
    }

    /// Closes connections that have shown nothing in time, and tells of those that were closed.
    pub(super) fn doorway_on_time(&mut self, now: Instant) {
        let Some(doorway) = &mut self.doorway else { return };
        let late = doorway.strangers.iter().take_while(|stranger| stranger.since + TIME_TO_SHOW <= now).count();
        for mut stranger in doorway.strangers.drain(..late) {
            self.event_loop.unwatch(&mut stranger.stream, stranger.watched);
            doorway.refused.count();
        }
        doorway.refused.on_time(now);
    }

    fn welcome(&mut self, invitation: Invitation, stream: UnixStream) {
        let Invitation { worker: (pool, worker), output, .. } = invitation;
        let mut channel = Channel::new(stream);
        let setup = setup(&self.workflow, pool, self.pools[pool.index()].preload, false);
        let sent = channel.send_raw(bundle::source("fresh.main", bundle::cache().as_deref())).and_then(|()| {
            let pipe = self.processes.announcements();
            channel.send(Frame::setup(&setup, Some(output.as_fd())).and_descriptor(pipe))
        });
        let connected = match sent {
            Ok(()) => self.connect_worker(pool, worker, channel),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = connected {
            warn!("cannot use the worker that has connected: {why}");
            self.signal_worker(pool, worker, Signal::SIGKILL);
        }
    }

    /// A worker that has gone is not expected any more.
    pub(super) fn forget_invitation(&mut self, pool: PoolId, worker: WorkerId) {
        if let Some(doorway) = &mut self.doorway {
            doorway.expected.retain(|invitation| invitation.worker != (pool, worker));
        }
    }

    /// Ends launchers whose workers have not connected: nobody waits for them any more.
    pub(super) fn dismiss_launchers(&mut self) {
        let expected = self.doorway.iter_mut().flat_map(|doorway| doorway.expected.drain(..)).collect::<Vec<_>>();
        for Invitation { worker: (pool, worker), .. } in expected {
            self.signal_worker(pool, worker, Signal::SIGTERM);
        }
    }
}
