//! The forkserver of a pool: started with the first worker, started anew when it dies.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mio::Token;
use mio::net::UnixStream;
use tracing::{error, warn};

use super::Supervisor;
use super::output::Context;
use super::reaper::Child;
use super::sources::Source;
use crate::graph::{Kind, PoolId, Script, Workflow};
use crate::payload::{ERROR_KEY, Plain, Value};
use crate::process::sys;
use crate::worker::{Channel, ChannelError, Frame, Message, bundle};

use super::template;

/// A running forkserver.
pub(super) struct Forkserver {
    channel: Channel,
    token: Token,
    pub(super) pid: sys::Pid,
    /// Whether it has imported the task modules and serves, or has said why it cannot.
    answered: bool,
}

/// The Python of a workflow.
#[derive(Debug)]
pub(super) struct Interpreter(PathBuf);

impl Interpreter {
    pub(super) fn of(workflow: &Workflow) -> Self {
        Interpreter(workflow.python.as_deref().map_or_else(|| "python3".into(), interpreter_in))
    }
}

/// The interpreter that a path names: itself, or that of the environment whose folder it is.
fn interpreter_in(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let bin = path.join("bin");
    ["python3", "python"]
        .map(|name| bin.join(name))
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or(bin.join("python3"))
}

impl Supervisor {
    /// Sends the forkserver of a pool a request for a worker, starting it first if need be.
    pub(super) fn ask_forkserver(
        &mut self,
        pool: PoolId,
        connection: impl AsFd,
        output: impl AsFd,
    ) -> Result<(), String> {
        // A forkserver that has died since its last word is noticed here: a second one is tried.
        for _ in 0..2 {
            if self.pools[pool.index()].forkserver.is_none() {
                let forkserver = self.start_forkserver(pool)?;
                self.pools[pool.index()].forkserver = Some(forkserver);
            }
            let Some(forkserver) = &mut self.pools[pool.index()].forkserver else { continue };
            let sent = forkserver
                .channel
                .send(Frame::spawn(connection.as_fd(), output.as_fd()))
                .and_then(|()| self.sources.watch_unsent(&self.poll, &mut forkserver.channel, forkserver.token));
            match sent {
                Ok(()) => return Ok(()),
                Err(_) => self.forkserver_gone(pool),
            }
        }
        Err(format!("{} died while it was starting", self.interpreter_of(pool).display()))
    }

    fn interpreter_of(&self, pool: PoolId) -> PathBuf {
        self.workflow.pool(pool).python.as_deref().map_or_else(|| self.interpreter.0.clone(), interpreter_in)
    }

    fn start_forkserver(&mut self, pool: PoolId) -> Result<Forkserver, String> {
        let interpreter = self.interpreter_of(pool);
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no interpreter {}", interpreter.display()),
            _ => format!("cannot start the interpreter {}: {error}", interpreter.display()),
        };
        let (ours, theirs) = sys::connection().map_err(cannot)?;
        let (output, write) = sys::pipe().map_err(cannot)?;
        let mut command = Command::new(&interpreter);
        command
            .args(["-c", bundle::BOOT, &theirs.as_raw_fd().to_string(), "pushflow-forkserver"])
            .stdin(Stdio::null())
            .stdout(write.try_clone().map_err(cannot)?)
            .stderr(write);
        sys::make_inheritable(&theirs).map_err(cannot)?;
        let child = sys::spawn(command).map_err(cannot)?;
        let pid = sys::Pid::from_raw(child.id() as i32);
        self.children.insert(pid, Child::Forkserver(pool));

        let mut channel = Channel::new(UnixStream::from_std(ours));
        let sent = channel
            .send_raw(bundle::source("forkserver.main"))
            .and_then(|()| channel.send(Frame::setup(&setup(&self.workflow, pool, self.pools[pool.index()].preload))));
        if let Err(error) = sent {
            return Err(format!("the interpreter {} {error}", interpreter.display()));
        }
        let token = self.sources.add(&self.poll, channel.stream(), Source::Forkserver(pool)).map_err(cannot)?;
        let watched = self.sources.watch_unsent(&self.poll, &mut channel, token);
        watched.map_err(|error| format!("the interpreter {} {error}", interpreter.display()))?;
        self.watch_output(output, Context { pool: Some(pool), ..Context::default() }).map_err(cannot)?;
        Ok(Forkserver { channel, token, pid, answered: false })
    }

    pub(super) fn on_forkserver_ready(&mut self, pool: PoolId, writable: bool) {
        loop {
            let Some(forkserver) = &mut self.pools[pool.index()].forkserver else { return };
            let (channel, token) = (&mut forkserver.channel, forkserver.token);
            let flushed = if writable { channel.flush() } else { Ok(()) };
            let message = flushed
                .and_then(|()| self.sources.watch_unsent(&self.poll, channel, token))
                .and_then(|()| channel.receive());
            match message {
                Ok(Some(Message::Ready { .. })) => forkserver.answered = true,
                Ok(Some(Message::Failed(why))) => {
                    forkserver.answered = true;
                    self.pools[pool.index()].failure = Some(why);
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(ChannelError::Closed) => return self.forkserver_gone(pool),
                Err(error) => {
                    let name = &self.workflow.pool(pool).name;
                    error!("the forkserver of pool {name} {error}; it is replaced");
                    return self.forkserver_gone(pool);
                }
            }
        }
    }

    /// Lets the forkserver go: nobody will be asked for.
    pub(super) fn forkserver_gone_quietly(&mut self, pool: PoolId) {
        let state = &mut self.pools[pool.index()];
        state.preload = false;
        if let Some(Forkserver { answered: false, pid, .. }) = state.forkserver {
            // It is importing and does not listen: nothing of it is wanted any more.
            self.children.insert(pid, Child::LetGo);
            // A child that is not reaped yet has its number for itself: this cannot fail in a way that matters.
            let _ = sys::PidFd::open(pid).and_then(|pidfd| pidfd.signal(sys::Signal::SIGTERM));
        }
        self.forkserver_gone(pool);
    }

    /// Forgets the forkserver, whose connection is unusable. Its process, if there still is one, ends with the connection.
    pub(super) fn forkserver_gone(&mut self, pool: PoolId) {
        let state = &mut self.pools[pool.index()];
        let Some(mut forkserver) = state.forkserver.take() else { return };
        self.sources.remove(&self.poll, forkserver.channel.stream(), forkserver.token);
        if !forkserver.answered && state.preload {
            // What the modules do when they are imported killed it: that belongs to their actors, in a worker.
            state.preload = false;
            let name = &self.workflow.pool(pool).name;
            warn!(
                "pool {name}: importing the task modules ended the interpreter; each worker imports them on its own now"
            );
        }
    }
}

/// What the Python side must know of the workflow, as a pickled dict.
fn setup(workflow: &Workflow, pool: PoolId, preload: bool) -> Value {
    let text = |text: &str| Plain::Text(text.to_owned());
    let path = |path: &Path| Plain::Text(path.to_string_lossy().into_owned());
    let mut paths: Vec<&Path> = workflow.paths.iter().map(PathBuf::as_path).chain([&*workflow.directory]).collect();
    let mut scripts = Vec::new();
    for (index, actor) in workflow.actors.iter().enumerate() {
        let Kind::Python(script) = &actor.kind else { continue };
        let place = match script {
            Script::File { path: file, module } => {
                paths.extend(file.parent());
                vec![text(module), path(file)]
            }
            Script::Module(module) => vec![text(module), Plain::None],
        };
        scripts.push((Plain::Int(index as i64), Plain::Tuple(place)));
    }
    let mut known = std::collections::HashSet::new();
    paths.retain(|path| known.insert(*path));
    Plain::Dict(vec![
        (text("supervisor"), Plain::Int(i64::from(sys::Pid::this().as_raw()))),
        (text("paths"), Plain::List(paths.into_iter().map(path).collect())),
        (text("scripts"), Plain::Dict(scripts)),
        (text("look_keys"), Plain::List(look_keys(workflow))),
        (text("preload"), Plain::Bool(preload)),
        (text("type"), text(workflow.pool(pool).kind.word())),
    ])
    .to_value()
}

/// The keys whose values Rust must know something of: routers' items, keys in commands, and whether there is an error.
fn look_keys(workflow: &Workflow) -> Vec<Plain> {
    let mut keys = vec![Plain::Text(ERROR_KEY.to_owned())];
    for actor in &workflow.actors {
        match &actor.kind {
            Kind::Router(router) => keys.push(match &router.item {
                crate::payload::Key::Text(name) => Plain::Text((**name).to_owned()),
                crate::payload::Key::Position(position) => Plain::Int(*position),
            }),
            Kind::Exec(exec) => keys.extend(template::keys(exec).map(Plain::Text)),
            _ => {}
        }
    }
    keys
}
