//! Workers behind a launcher: started by a command of the user's, they find the supervisor by an address and a one-time
//! token in their environment and connect to it. No descriptor needs to survive the launcher.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::Token;
use mio::net::{UnixListener, UnixStream};
use tracing::warn;

use super::Supervisor;
use super::interpreter::cannot_start;
use super::reaper::Child;
use super::setup::setup;
use super::sources::Source;
use super::workers::WorkerProcess;
use crate::cgroup::Leaf;
use crate::graph::PoolId;
use crate::pool::WorkerId;
use crate::process::Program;
use crate::process::sys::{self, Signal};
use crate::worker::{Channel, Frame, bundle};

/// The environment variables that a launcher must leave to the worker.
const ADDRESS: &str = "PUSHFLOW_WORKER_ADDRESS";
const TOKEN: &str = "PUSHFLOW_WORKER_TOKEN";
/// A token is so many hexadecimal digits: 256 bits.
const TOKEN_LENGTH: usize = 64;
/// So many connections may be open that have not shown a token; the oldest one goes for a further one.
const MOST_STRANGERS: usize = 64;

/// Where workers behind launchers connect.
///
/// The folder may be passed through by everyone, since a launcher may change the user, and listed by nobody else; the
/// token is what opens the door.
pub(super) struct Doorway {
    folder: PathBuf,
    address: PathBuf,
    listener: UnixListener,
    expected: Vec<Invitation>,
    strangers: Vec<Stranger>,
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
}

impl Doorway {
    fn open(parent: &Path) -> io::Result<Self> {
        let folder = parent.join(format!("pushflow-{}", random_hex(8)?));
        DirBuilder::new().mode(0o711).create(&folder)?;
        let address = folder.join("door");
        let listener = UnixListener::bind(&address).and_then(|listener| {
            fs::set_permissions(&address, Permissions::from_mode(0o666))?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Doorway { folder, address, listener, expected: Vec::new(), strangers: Vec::new() }),
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }
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

impl Supervisor {
    /// Starts the launcher of a pool, with the worker behind it.
    pub(super) fn launch_worker(&mut self, pool: PoolId, worker: WorkerId) -> Result<(), String> {
        let launcher = self.workflow.pool(pool).launcher.clone();
        let [program, arguments @ ..] = &launcher[..] else { return Err("the launcher is empty".to_owned()) };
        let cannot = |error: io::Error| cannot_start("launcher", OsStr::new(program), &error);
        let address = self.doorway()?.address.clone();
        let token = random_hex(TOKEN_LENGTH / 2).map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let leaf = self.make_worker_leaf(pool, worker)?;
        let program = Program::new(program, write.as_fd())
            .args(arguments)
            .args([self.interpreter_of(pool)])
            .args(bundle::launched_arguments(&self.title("pushflow-worker")))
            .env(ADDRESS, address)
            .env(TOKEN, &token)
            .leaf(leaf.as_deref().map(Leaf::door));
        let (pid, pidfd) = self.nearness.start(program).map_err(cannot)?;
        self.children.insert(pid, Child::Worker(pool, worker));
        let output = self.watch_worker_output(pool, worker, output)?;
        self.keep_last_lines(output);
        let process = WorkerProcess { launcher: Some((pid, pidfd)), ..WorkerProcess::new(worker, output) };
        self.pools[pool.index()].workers.insert(worker, process);
        self.doorway()?.expected.push(Invitation { token, worker: (pool, worker), output: write });
        Ok(())
    }

    fn doorway(&mut self) -> Result<&mut Doorway, String> {
        let cannot = |error: io::Error| format!("cannot open a socket for workers behind launchers: {error}");
        let doorway = match self.doorway.take() {
            Some(doorway) => doorway,
            None => {
                let mut doorway = Doorway::open(&std::env::temp_dir()).map_err(cannot)?;
                self.sources.add(&self.poll, &mut doorway.listener, Source::Doorway).map_err(cannot)?;
                doorway
            }
        };
        Ok(self.doorway.insert(doorway))
    }

    /// Somebody connects.
    pub(super) fn on_doorway_ready(&mut self) {
        let Some(doorway) = &mut self.doorway else { return };
        let mut arrived = Vec::new();
        loop {
            let mut stream = match doorway.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    warn!("cannot accept the connection of a worker: {error}");
                    break;
                }
            };
            let Ok(watched) = self.sources.add(&self.poll, &mut stream, Source::Stranger) else { continue };
            if doorway.strangers.len() == MOST_STRANGERS {
                let mut oldest = doorway.strangers.remove(0);
                self.sources.remove(&self.poll, &mut oldest.stream, oldest.watched);
            }
            doorway.strangers.push(Stranger { watched, stream, shown: Vec::new() });
            arrived.push(watched);
        }
        for watched in arrived {
            self.on_stranger_ready(watched);
        }
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
        let mut stranger = doorway.strangers.swap_remove(at);
        let invited = doorway.expected.iter().position(|invitation| invitation.token.as_bytes() == stranger.shown);
        let invitation = invited.map(|at| doorway.expected.swap_remove(at));
        self.sources.remove(&self.poll, &mut stranger.stream, watched);
        match invitation {
            Some(invitation) => self.welcome(invitation, stranger.stream),
            None => warn!("somebody connected as a worker and did not have the token of one"),
        }
    }

    fn welcome(&mut self, invitation: Invitation, stream: UnixStream) {
        let Invitation { worker: (pool, worker), output, .. } = invitation;
        let mut channel = Channel::new(stream);
        let setup = setup(&self.workflow, pool, self.pools[pool.index()].preload, false);
        let sent = channel.send_raw(bundle::source("fresh.main", bundle::cache().as_deref())).and_then(|()| {
            let pipe = self.announced.pipe();
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
