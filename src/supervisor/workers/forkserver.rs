//! The forkserver of a pool: it is started for the first worker, and again after it has died.

use std::io;
use std::os::fd::AsFd;

use mio::Token;
use tracing::{debug, error, warn};

use super::interpreter::{PATIENCE, Started};
use super::output::OutputContext;
use super::{System, Workers};
use crate::cgroup::Leaf;
use crate::graph::{self, PoolId};
use crate::process::{Ended, sys};
use crate::supervisor::event_loop::Source;
use crate::supervisor::processes::{Child, ForkserverPhase as Phase, Processes};
use crate::worker::{Channel, ChannelError, Frame, Message};

/// Maximum number of messages of a forkserver that are handled in one turn of the loop. It sends a few in all.
const MESSAGES_A_TURN: usize = 64;

/// A running forkserver.
pub(in crate::supervisor) struct Forkserver {
    channel: Channel,
    token: Token,
    pub(in crate::supervisor) pid: sys::Pid,
}

impl Workers {
    /// Asks the forkserver of a pool for a worker. Starts the forkserver first if there is none.
    pub(in crate::supervisor) fn ask_forkserver(
        &mut self,
        system: &mut System<'_>,
        pool: PoolId,
        connection: impl AsFd,
        output: impl AsFd,
        queue: Option<impl AsFd>,
        leaf: Option<&Leaf>,
    ) -> Result<(), String> {
        // This may be the first to notice that a forkserver has died: a second one is tried.
        for _ in 0..2 {
            if self.pools[pool.index()].forkserver.is_none() {
                let forkserver = self.start_forkserver(system, pool)?;
                self.pools[pool.index()].forkserver = Some(forkserver);
            }
            let Some(forkserver) = &mut self.pools[pool.index()].forkserver else { continue };
            let sent = forkserver
                .channel
                .send(Frame::spawn(
                    connection.as_fd(),
                    output.as_fd(),
                    queue.as_ref().map(AsFd::as_fd),
                    leaf.map(Leaf::procs_fd),
                ))
                .and_then(|()| system.event_loop.watch_unsent(&mut forkserver.channel, forkserver.token));
            match sent {
                Ok(()) => return Ok(()),
                Err(_) => self.forkserver_gone(system, pool),
            }
        }
        let ended = self.how_forkserver_ended(system.processes, pool);
        Err(format!("the interpreter {} {ended} before it was ready", self.interpreter_of(pool).display()))
    }

    fn start_forkserver(&mut self, system: &mut System<'_>, pool: PoolId) -> Result<Forkserver, String> {
        let leaf = system.resources.cgroup_for_forkserver(pool, &self.workflow);
        let started =
            self.start_interpreter(system, pool, "forkserver.main", "pushflow-forkserver", None, leaf.as_deref())?;
        let Started { pid, mut channel, output, .. } = started;
        let phase = if self.pools[pool.index()].preload { Phase::Importing } else { Phase::Starting };
        system.processes.add_child(pid, Child::Forkserver(pool, phase));
        let cannot = |error: io::Error| format!("cannot watch the forkserver: {error}");
        let token = system.event_loop.watch(channel.stream(), Source::Forkserver(pool)).map_err(cannot)?;
        let watched = system.event_loop.watch_unsent(&mut channel, token);
        watched.map_err(|error| format!("the interpreter of the forkserver {error}"))?;
        self.outputs
            .watch(output, OutputContext { pool: Some(pool), ..OutputContext::default() }, system.event_loop)
            .map_err(cannot)?;
        Ok(Forkserver { channel, token, pid })
    }

    pub(in crate::supervisor) fn on_forkserver_ready(&mut self, system: &mut System<'_>, pool: PoolId, writable: bool) {
        for _ in 0..MESSAGES_A_TURN {
            let state = &mut self.pools[pool.index()];
            let Some(forkserver) = &mut state.forkserver else { return };
            let (channel, token, pid) = (&mut forkserver.channel, forkserver.token, forkserver.pid);
            let flushed = if writable { channel.flush() } else { Ok(()) };
            let message = flushed
                .and_then(|()| system.event_loop.watch_unsent(channel, token))
                .and_then(|()| channel.receive(&|_, _| None));
            match message {
                Ok(Some(Message::Ready { .. })) => {
                    state.failure = None;
                    system.processes.add_child(pid, Child::Forkserver(pool, Phase::Answered));
                }
                Ok(Some(Message::Threaded(threads))) => {
                    system.processes.add_child(pid, Child::Forkserver(pool, Phase::Answered));
                    if self.forkserver_has_threads(system, pool, &threads) {
                        return;
                    }
                }
                Ok(Some(Message::Failed(why))) => {
                    state.failure = Some(why);
                    system.processes.add_child(pid, Child::Forkserver(pool, Phase::Answered));
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(ChannelError::Closed) => return self.forkserver_gone(system, pool),
                Err(error) => {
                    let name = &self.workflow.pool(pool).name;
                    error!("the forkserver of pool {name} {error}; it is replaced");
                    return self.forkserver_gone(system, pool);
                }
            }
        }
        if let Some(Forkserver { channel, token, .. }) = &mut self.pools[pool.index()].forkserver {
            channel.stop_reading();
            let token = *token;
            system.event_loop.defer(token);
        }
    }

    /// The task modules started threads when they were imported. Returns whether the forkserver was ended for that.
    fn forkserver_has_threads(&mut self, system: &mut System<'_>, pool: PoolId, threads: &str) -> bool {
        let spec = self.workflow.pool(pool);
        let name = &spec.name;
        if spec.context == graph::Context::Fork {
            warn!(
                "pool {name}: the task modules start threads when they are imported ({threads}); forked workers do not \
                 have them, and find locked what they had locked. With context = \"forkserver\" each worker imports for itself"
            );
            return false;
        }
        debug!(
            "pool {name}: the task modules start threads when they are imported ({threads}): each worker does that now"
        );
        self.pools[pool.index()].preload = false;
        self.forkserver_gone(system, pool);
        true
    }

    /// Ends the forkserver: no further worker is needed from it.
    pub(in crate::supervisor) fn end_forkserver(&mut self, system: &mut System<'_>, pool: PoolId) {
        let state = &mut self.pools[pool.index()];
        state.preload = false;
        if let Some(Forkserver { pid, .. }) = state.forkserver
            && !has_answered(system.processes, pid)
        {
            // It is importing, and does not notice that its connection is closed.
            system.processes.add_child(pid, Child::LetGo);
            // The pid of a child that is not reaped is not reused, so no other process gets the signal.
            let _ = sys::PidFd::open(pid).and_then(|pidfd| pidfd.signal(sys::Signal::SIGTERM));
        }
        self.forkserver_gone(system, pool);
    }

    /// Closes the connection of the forkserver. Its process, if it still exists, ends because of that, and how is logged when it
    /// is reaped ([`Workers::on_forkserver_reaped`]).
    pub(in crate::supervisor) fn forkserver_gone(&mut self, system: &mut System<'_>, pool: PoolId) {
        let Some(mut forkserver) = self.pools[pool.index()].forkserver.take() else { return };
        system.event_loop.unwatch(forkserver.channel.stream(), forkserver.token);
        if !has_answered(system.processes, forkserver.pid) {
            // The import of a module killed it. In a worker, that becomes an error of the actor.
            self.pools[pool.index()].preload = false;
        }
    }

    /// How a forkserver ended that has never answered, for a message. What it printed is in the log.
    pub(in crate::supervisor) fn how_forkserver_ended(&self, processes: &Processes, pool: PoolId) -> String {
        let silent = processes.children().filter(
            |(_, child)| matches!(child, Child::Forkserver(of, phase) if *of == pool && *phase != Phase::Answered),
        );
        let ended = silent.last().and_then(|(pid, _)| {
            let pidfd = sys::PidFd::open(pid).ok()?;
            sys::end_within((pid, &pidfd), PATIENCE)
        });
        ended.map_or_else(|| "ended".to_owned(), |ended| ended.to_string())
    }

    /// Logs how a forkserver ended, unless it was expected to end.
    pub(in crate::supervisor) fn on_forkserver_reaped(
        &mut self,
        system: &mut System<'_>,
        pool: PoolId,
        phase: Phase,
        pid: sys::Pid,
        ended: Ended,
    ) {
        if self.pools[pool.index()].forkserver.as_ref().is_some_and(|forkserver| forkserver.pid == pid) {
            self.pools[pool.index()].preload &= phase == Phase::Answered;
            self.forkserver_gone(system, pool);
        }
        let interpreter = self.interpreter_of(pool);
        let interpreter = interpreter.display();
        let name = &self.workflow.pool(pool).name;
        let failure = &mut self.pools[pool.index()].failure;
        match phase {
            // It has said why it cannot work. The first task reports that.
            Phase::Answered if ended == Ended::Exited(0) || failure.is_some() => {}
            Phase::Answered => warn!("the forkserver of pool {name} {ended}; it is replaced"),
            // It exited because its modules had started threads, or the modules made it exit.
            Phase::Importing if ended == Ended::Exited(0) => {}
            // The next one does not import the modules. If it works, they were the reason.
            Phase::Importing => {
                warn!(
                    "pool {name}: {interpreter} {ended} while it imported the task modules; now each worker does that"
                );
            }
            Phase::Starting => *failure = Some(format!("{interpreter} {ended} while it was starting")),
        }
    }
}

fn has_answered(processes: &Processes, forkserver: sys::Pid) -> bool {
    matches!(processes.child(forkserver), Some(Child::Forkserver(_, Phase::Answered)))
}
