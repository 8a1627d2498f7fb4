//! One connection to the bus, from the handshake to its end. Events become signals.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_channel::Receiver;
use zbus::connection::Builder;
use zbus::fdo::RequestNameFlags;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectPath, ObjectServer, Variant, fdo};

use super::actor::ActorObject;
use super::bus_type::BusType;
use super::context::BusContext;
use super::error::text;
use super::process_cache::FOR_CHANGES;
use super::run::RunObject;
use super::workflow::WorkflowObject;
use super::{method_error, names, process};
use crate::engine::{ActorEnd, FailureKind};
use crate::graph::{ActorId, Workflow};
use crate::service::{Event, RequestError};
use crate::supervisor::RunId;

/// Maximum number of events that are sent before changed properties are.
const EVENTS_AT_ONCE: usize = 256;

/// Why the connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disconnected {
    /// The service ends.
    Asked,
    /// The bus has closed the connection.
    Lost,
}

/// Why the service is not on the bus, for the log.
pub(super) fn explain(context: &BusContext, error: &zbus::Error) -> String {
    let (bus, name) = (context.bus.word(), names::service(&context.name));
    match error {
        zbus::Error::NameTaken => format!("another service is on the {bus} as {name}"),
        error if method_error(error).is_some_and(|error| error.name.ends_with(".AccessDenied")) => {
            format!("the {bus} does not allow this user the name {name} (the policy is in org.pushflow.conf)")
        }
        error => format!("cannot reach the {bus}: {error}"),
    }
}

/// Serves the objects until the service ends or the bus goes away.
pub(super) async fn serve(context: &Arc<BusContext>, events: &Receiver<Event>) -> zbus::Result<Disconnected> {
    let builder = match context.bus {
        BusType::System => Builder::system(),
        BusType::Session => Builder::session(),
    };
    let connection = builder
        .serve_at(names::ROOT, fdo::ObjectManager)
        .serve_at(names::ROOT, WorkflowObject(Arc::clone(context)))
        .build()
        .await?;
    let mut is_on_bus = false;
    let left = match send_events(context, &connection, events, &mut is_on_bus).await {
        // The bus went away while a message was sent.
        Err(zbus::Error::InputOutput(_)) if is_on_bus => Disconnected::Lost,
        left => left?,
    };
    if left == Disconnected::Asked {
        // Sends the last messages and replies first.
        connection.graceful_shutdown().await;
    }
    Ok(left)
}

/// Exports the objects, requests the name, and sends signals.
async fn send_events(
    context: &Arc<BusContext>,
    connection: &Connection,
    events: &Receiver<Event>,
    is_on_bus: &mut bool,
) -> zbus::Result<Disconnected> {
    let server = connection.object_server();
    let mut workflow = context.snapshot.with(|state| Arc::clone(&state.workflow));
    export_actors(context, server, &workflow).await?;
    let runs = context.snapshot.with(|state| state.runs.keys().copied().collect::<Vec<_>>());
    for run in runs {
        RunObject::export(context, server, run).await?;
    }
    // First the name that the bus policy is about, which every service waits for and only one gets. Then its own.
    connection.request_name_with_flags(names::SHARED, RequestNameFlags::empty()).await?;
    connection.request_name_with_flags(names::service(&context.name), RequestNameFlags::DO_NOT_QUEUE).await?;
    context.on_connected();
    *is_on_bus = true;
    show_processes(context, server).await?;

    let mut closed = pin!(connection.closed());
    let mut announced = Announced::default();
    loop {
        let mut next = pin!(events.recv());
        let first = poll_fn(|context| match closed.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => next.as_mut().poll(context).map(Some),
        });
        let mut event = match first.await {
            None => return Ok(Disconnected::Lost),
            Some(Err(_)) => return Ok(Disconnected::Asked),
            Some(Ok(event)) => Some(event),
        };
        for _ in 0..EVENTS_AT_ONCE {
            match event.or_else(|| events.try_recv().ok()) {
                None => break,
                Some(Event::Close) => {
                    announced.update(context, connection).await?;
                    return Ok(Disconnected::Asked);
                }
                Some(Event::Replaced) => {
                    remove_actors(server, &workflow).await?;
                    workflow = context.snapshot.with(|state| Arc::clone(&state.workflow));
                    export_actors(context, server, &workflow).await?;
                }
                Some(Event::Processes) => show_processes(context, server).await?,
                Some(other) => send(context, connection, &workflow, other).await?,
            }
            event = None;
        }
        announced.update(context, connection).await?;
    }
}

/// Updates the objects of processes.
async fn show_processes(context: &Arc<BusContext>, server: &ObjectServer) -> zbus::Result<()> {
    match process::list(context, server, FOR_CHANGES).await {
        // A service that is ending shows none.
        Ok(_) | Err(RequestError::ShuttingDown(_)) => Ok(()),
        Err(error) => Err(zbus::Error::Failure(error.to_string())),
    }
}

async fn export_actors(context: &Arc<BusContext>, server: &ObjectServer, workflow: &Workflow) -> zbus::Result<()> {
    for index in 0..workflow.actors.len() {
        let id = ActorId::from(index);
        server.at(names::actor(workflow, id), ActorObject { context: Arc::clone(context), id }).await?;
    }
    Ok(())
}

async fn remove_actors(server: &ObjectServer, workflow: &Workflow) -> zbus::Result<()> {
    for index in 0..workflow.actors.len() {
        server.remove::<ActorObject, _>(names::actor(workflow, ActorId::from(index))).await?;
    }
    Ok(())
}

/// How an actor finished with a trigger, in one word.
fn outcome(end: ActorEnd) -> &'static str {
    match end {
        ActorEnd::Finished => "finished",
        ActorEnd::Failed(FailureKind::Raised) => "error",
        ActorEnd::Failed(FailureKind::Interrupted) => "interrupted",
        ActorEnd::Failed(FailureKind::Lost) => "lost",
        ActorEnd::Failed(FailureKind::TimedOut) => "timeout",
        ActorEnd::Failed(FailureKind::Stopped) => "stopped",
        ActorEnd::Failed(FailureKind::NoRoute) => "no-route",
    }
}

fn path(id: RunId) -> zbus::Result<ObjectPath<'static>> {
    ObjectPath::try_from(names::run(id))
}

async fn send(
    context: &Arc<BusContext>,
    connection: &Connection,
    workflow: &Workflow,
    event: Event,
) -> zbus::Result<()> {
    let root = SignalEmitter::new(connection, names::ROOT)?;
    match event {
        Event::Accepted(run) => RunObject::export(context, connection.object_server(), run).await?,
        Event::Started(run) => {
            RunObject::export(context, connection.object_server(), run).await?;
            run_changed(context, connection, run).await?;
            WorkflowObject::run_started(&root, path(run)?).await?;
        }
        Event::Ended(run) => {
            run_changed(context, connection, run).await?;
            let Some(status) = context.snapshot.run(run, |run| text(run.status.word()).into_owned()) else {
                return Ok(());
            };
            RunObject::completed(&SignalEmitter::new(connection, path(run)?)?, &status).await?;
            WorkflowObject::run_finished(&root, path(run)?, &status).await?;
        }
        Event::Forgotten(run) => {
            connection.object_server().remove::<RunObject, _>(path(run)?).await?;
        }
        Event::ActorStarted(run, actor) => {
            let Some(actor) = workflow.actors.get(actor.index()) else { return Ok(()) };
            WorkflowObject::actor_started(&root, path(run)?, actor.display_name()).await?;
        }
        Event::ActorFinished(run, actor, end) => {
            let Some(actor) = workflow.actors.get(actor.index()) else { return Ok(()) };
            WorkflowObject::actor_finished(&root, path(run)?, actor.display_name(), outcome(end)).await?;
        }
        Event::Changed | Event::Replaced | Event::Processes | Event::Close => {}
    }
    Ok(())
}

/// Announces that a run has begun or ended.
async fn run_changed(context: &BusContext, connection: &Connection, id: RunId) -> zbus::Result<()> {
    let facts = context.snapshot.run(id, |run| (text(run.status.word()).into_owned(), run.started_at, run.ended_at));
    let Some((status, started, ended)) = facts else { return Ok(()) };
    let mut changed = HashMap::from([("Status", Variant::new(status))]);
    changed.extend(started.map(|at| ("StartedAt", Variant::new(at))));
    changed.extend(ended.map(|at| ("EndedAt", Variant::new(at))));
    properties_changed(connection, path(id)?, names::RUN, changed).await
}

async fn properties_changed(
    connection: &Connection,
    path: ObjectPath<'static>,
    interface: &str,
    changed: HashMap<&str, Variant<'_>>,
) -> zbus::Result<()> {
    let none: [&str; 0] = [];
    let body = (interface, changed, none.as_slice());
    SignalEmitter::new(connection, path)?.emit("org.freedesktop.DBus.Properties", "PropertiesChanged", &body).await
}

/// The properties of the service that were announced last. Only changes are announced, and several at once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Announced {
    state: &'static str,
    active: u32,
    queued: u32,
    description: String,
}

impl Announced {
    async fn update(&mut self, context: &BusContext, connection: &Connection) -> zbus::Result<()> {
        let now = context.snapshot.with(|state| Announced {
            state: state.phase.word(),
            active: state.active,
            queued: state.queued,
            description: text(state.workflow.description.as_deref().unwrap_or_default()).into_owned(),
        });
        let mut changed = HashMap::new();
        if now.state != self.state {
            changed.insert("State", Variant::new(now.state));
        }
        if now.active != self.active {
            changed.insert("ActiveRuns", Variant::new(now.active));
        }
        if now.queued != self.queued {
            changed.insert("QueuedRuns", Variant::new(now.queued));
        }
        if now.description != self.description {
            changed.insert("Description", Variant::new(now.description.clone()));
        }
        *self = now;
        if changed.is_empty() {
            return Ok(());
        }
        properties_changed(connection, ObjectPath::try_from(names::ROOT)?, names::WORKFLOW, changed).await
    }
}
