//! Signals to processes of the service, and requests that can be answered at any time.

use tracing::info;

use crate::process::sys::Signal;
use crate::process::tree::{Process, some_names};
use crate::service::{Command, Request, RequestError, Response};
use crate::supervisor::{SignalTarget, Supervisor};
use crate::text;

/// Maximum number of characters of a caller's text that a message repeats.
const MAX_REPEATED: usize = 200;

/// Answers the requests that can be answered at any time: the list of processes, and signals to them. Returns the others.
pub(in crate::service) fn answer(supervisor: &mut Supervisor, request: Request) -> Option<Request> {
    let response = match &request.command {
        Command::ListProcesses(snapshot, _) => Ok(Response::Processes(supervisor.arrange(snapshot))),
        Command::Signal(whom, number) => signal(supervisor, whom, *number).map(|()| Response::Done),
        Command::Kill(process, number) => kill(process, *number).map(|()| Response::Done),
        _ => return Some(request),
    };
    // The caller may be gone.
    let _ = request.reply.try_send(response);
    None
}

/// Sends a signal to the processes that a caller names.
pub(in crate::service) fn signal(supervisor: &mut Supervisor, whom: &str, signal: i32) -> Result<(), RequestError> {
    let signal = signal_of(signal)?;
    let parsed = match whom {
        "all" => SignalTarget::All,
        "daemonic" => SignalTarget::Daemonic,
        "non-daemonic" => SignalTarget::NonDaemonic,
        _ => match whom.strip_prefix("actor:") {
            Some(name) => {
                let workflow = supervisor.workflow();
                let at = workflow.actors.iter().position(|actor| actor.display_name() == name);
                let none = || RequestError::InvalidArguments(format!("there is no actor {:?}", shortened(name)));
                SignalTarget::Actor(at.ok_or_else(none)?.into())
            }
            None => {
                let why =
                    format!("{:?} is nobody: it must be all, daemonic, non-daemonic, or actor:ID", shortened(whom));
                return Err(RequestError::InvalidArguments(why));
            }
        },
    };
    let told = supervisor.signal(parsed, signal);
    match told.as_slice() {
        [] => info!("{signal} for {}: there is no such process", shortened(whom)),
        told => info!("{signal} for {} was sent to {}", shortened(whom), some_names(told)),
    }
    Ok(())
}

/// Sends a signal to one process, if it still exists.
pub(in crate::service) fn kill(process: &Process, signal: i32) -> Result<(), RequestError> {
    let signal = signal_of(signal)?;
    if !process.signal(signal) {
        return Err(RequestError::NoSuchProcess(format!("process {} has ended", process.pid)));
    }
    info!("{signal} was sent to {}", some_names(std::slice::from_ref(process)));
    Ok(())
}

/// A caller's text, short enough for a message.
pub(in crate::service) fn shortened(text: &str) -> String {
    text::cut(text, MAX_REPEATED).into_owned()
}

fn signal_of(number: i32) -> Result<Signal, RequestError> {
    Signal::try_from(number).map_err(|_| {
        RequestError::InvalidArguments(format!("{number} is not the number of a signal: they are 1 to 31"))
    })
}
