//! Being on the bus: from the connection to its end, every notice a signal.

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
use super::census::FOR_NEWS;
use super::refusal::text;
use super::run::RunObject;
use super::workflow::WorkflowObject;
use super::{Office, Which, answered, names, process};
use crate::graph::{ActorId, Workflow};
use crate::service::{Notice, Refusal};
use crate::supervisor::RunId;

/// So many notices are told before what has changed is.
const NOTICES_AT_ONCE: usize = 256;

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The service ends.
    Asked,
    /// The bus has closed the connection.
    Lost,
}

/// What to say about a bus that cannot be had.
pub(super) fn explain(office: &Office, error: &zbus::Error) -> String {
    let (bus, name) = (office.which.word(), names::service(&office.name));
    match error {
        zbus::Error::NameTaken => format!("another service is on the {bus} as {name}"),
        error if answered(error).is_some_and(|(error, _)| error.ends_with(".AccessDenied")) => {
            format!("the {bus} does not allow this user the name {name} (the policy is in org.pushflow.conf)")
        }
        error => format!("cannot reach the {bus}: {error}"),
    }
}

/// Is on the bus until it is told to leave, or the bus goes away.
pub(super) async fn be_present(office: &Arc<Office>, notices: &Receiver<Notice>) -> zbus::Result<Left> {
    let builder = match office.which {
        Which::System => Builder::system(),
        Which::Session => Builder::session(),
    };
    let connection = builder
        .serve_at(names::ROOT, fdo::ObjectManager)
        .serve_at(names::ROOT, WorkflowObject(Arc::clone(office)))
        .build()
        .await?;
    let left = attend(office, &connection, notices).await?;
    if left == Left::Asked {
        // What was sent last, and the answers to calls, leave this process first.
        connection.graceful_shutdown().await;
    }
    Ok(left)
}

/// Shows what there is, takes the name, and tells what happens.
async fn attend(office: &Arc<Office>, connection: &Connection, notices: &Receiver<Notice>) -> zbus::Result<Left> {
    let server = connection.object_server();
    let mut workflow = office.board.with(|state| Arc::clone(&state.workflow));
    put_actors(office, server, &workflow).await?;
    let runs = office.board.with(|state| state.runs.keys().copied().collect::<Vec<_>>());
    for run in runs {
        RunObject::put(office, server, run).await?;
    }
    // First the name that makes it a service in the eyes of the bus policy, and that only one of them gets.
    connection.request_name_with_flags(names::SHARED, RequestNameFlags::empty()).await?;
    connection.request_name_with_flags(names::service(&office.name), RequestNameFlags::DO_NOT_QUEUE).await?;
    office.came();
    show_processes(office, server).await?;

    let mut closed = pin!(connection.closed());
    let mut told = Told::default();
    loop {
        let mut next = pin!(notices.recv());
        let first = poll_fn(|context| match closed.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => next.as_mut().poll(context).map(Some),
        });
        let mut notice = match first.await {
            None => return Ok(Left::Lost),
            Some(Err(_)) => return Ok(Left::Asked),
            Some(Ok(notice)) => Some(notice),
        };
        for _ in 0..NOTICES_AT_ONCE {
            match notice.or_else(|| notices.try_recv().ok()) {
                None => break,
                Some(Notice::Close) => {
                    told.changes(office, connection).await?;
                    return Ok(Left::Asked);
                }
                Some(Notice::Replaced) => {
                    take_actors(server, &workflow).await?;
                    workflow = office.board.with(|state| Arc::clone(&state.workflow));
                    put_actors(office, server, &workflow).await?;
                }
                Some(Notice::Processes) => show_processes(office, server).await?,
                Some(other) => tell(office, connection, &workflow, other).await?,
            }
            notice = None;
        }
        told.changes(office, connection).await?;
    }
}

/// Brings the objects of processes up to date.
async fn show_processes(office: &Arc<Office>, server: &ObjectServer) -> zbus::Result<()> {
    match process::people(office, server, FOR_NEWS).await {
        // A service that ends has none to show.
        Ok(_) | Err(Refusal::ShuttingDown(_)) => Ok(()),
        Err(refusal) => Err(zbus::Error::Failure(refusal.text().to_owned())),
    }
}

async fn put_actors(office: &Arc<Office>, server: &ObjectServer, workflow: &Workflow) -> zbus::Result<()> {
    for index in 0..workflow.actors.len() {
        let id = ActorId::from(index);
        server.at(names::actor(workflow, id), ActorObject { office: Arc::clone(office), id }).await?;
    }
    Ok(())
}

async fn take_actors(server: &ObjectServer, workflow: &Workflow) -> zbus::Result<()> {
    for index in 0..workflow.actors.len() {
        server.remove::<ActorObject, _>(names::actor(workflow, ActorId::from(index))).await?;
    }
    Ok(())
}

fn path(id: RunId) -> zbus::Result<ObjectPath<'static>> {
    ObjectPath::try_from(names::run(id))
}

async fn tell(office: &Arc<Office>, connection: &Connection, workflow: &Workflow, notice: Notice) -> zbus::Result<()> {
    let root = SignalEmitter::new(connection, names::ROOT)?;
    match notice {
        Notice::Accepted(run) => RunObject::put(office, connection.object_server(), run).await?,
        Notice::Started(run) => {
            RunObject::put(office, connection.object_server(), run).await?;
            run_changed(office, connection, run).await?;
            WorkflowObject::run_started(&root, path(run)?).await?;
        }
        Notice::Ended(run) => {
            run_changed(office, connection, run).await?;
            let Some(status) = office.board.run(run, |run| text(&run.status).into_owned()) else { return Ok(()) };
            RunObject::completed(&SignalEmitter::new(connection, path(run)?)?, &status).await?;
            WorkflowObject::run_finished(&root, path(run)?, &status).await?;
        }
        Notice::Forgotten(run) => {
            connection.object_server().remove::<RunObject, _>(path(run)?).await?;
        }
        Notice::ActorStarted(run, actor) => {
            let Some(actor) = workflow.actors.get(actor.index()) else { return Ok(()) };
            WorkflowObject::actor_started(&root, path(run)?, actor.display_name()).await?;
        }
        Notice::ActorFinished(run, actor, outcome) => {
            let Some(actor) = workflow.actors.get(actor.index()) else { return Ok(()) };
            WorkflowObject::actor_finished(&root, path(run)?, actor.display_name(), outcome).await?;
        }
        Notice::Changed | Notice::Replaced | Notice::Processes | Notice::Close => {}
    }
    Ok(())
}

/// Tells that a run has begun or ended.
async fn run_changed(office: &Office, connection: &Connection, id: RunId) -> zbus::Result<()> {
    let facts = office.board.run(id, |run| (text(&run.status).into_owned(), run.started_at, run.ended_at));
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

/// What was told of the service last, so that only what has changed is told, and what changes quickly not each time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    state: &'static str,
    active: u32,
    queued: u32,
    description: String,
}

impl Told {
    async fn changes(&mut self, office: &Office, connection: &Connection) -> zbus::Result<()> {
        let now = office.board.with(|state| Told {
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
