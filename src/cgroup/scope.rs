//! A delegated scope from systemd: what a supervisor in the foreground asks for, as it is in the cgroup of whoever started
//! it (`StartTransientUnit` in org.freedesktop.systemd1(5)).

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::StreamExt;
use zbus::wire::{OwnedObjectPath, Variant};
use zbus::{Connection, connection};

/// A bus or systemd that does not answer holds up a run no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no scope.
#[derive(Debug, thiserror::Error)]
pub enum NoScope {
    /// systemd is not what started this host.
    #[error("there is no systemd to ask for one of its own")]
    NoSystemd,
    /// It said no, or could not be asked.
    #[error("systemd gave it none of its own: {0}")]
    Refused(String),
    /// It did not answer in time.
    #[error("systemd has not given it one of its own within {PATIENCE:?}")]
    Silent,
}

/// Which systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The user's, on the session bus.
    User,
    /// The host's, on the system bus.
    System,
}

impl Manager {
    /// Root has the host's, everybody else a systemd of their own.
    pub fn of_this_user() -> Self {
        if nix::unistd::geteuid().is_root() { Manager::System } else { Manager::User }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its name, ending in `.scope`.
    pub name: String,
    /// What people see of it.
    pub description: String,
    /// The slice it goes into; the manager's usual one where absent.
    pub slice: Option<String>,
}

/// Moves this process into a new scope that is delegated to it. It ends with the last process in it.
///
/// Call it before any process or thread of consequence is started: those stay where they are.
pub fn enter(manager: Manager, scope: Scope) -> Result<(), NoScope> {
    // What sd_booted(3) looks at.
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(NoScope::NoSystemd);
    }
    let (answer, answered) = mpsc::channel();
    let asking = thread::Builder::new().name("scope".to_owned()).spawn(move || {
        // Nobody listens any more: the answer came too late.
        let _ = answer.send(zbus::block_on(ask(manager, &scope)));
    });
    asking.map_err(|error| NoScope::Refused(error.to_string()))?;
    match answered.recv_timeout(PATIENCE) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(NoScope::Refused(error)),
        Err(_) => Err(NoScope::Silent),
    }
}

async fn ask(manager: Manager, scope: &Scope) -> Result<(), String> {
    let builder = match manager {
        Manager::User => connection::Builder::session(),
        Manager::System => connection::Builder::system(),
    };
    let connection = builder.method_timeout(PATIENCE).build().await.map_err(|error| error.to_string())?;
    start(&connection, scope).await.map_err(|error| match error {
        zbus::Error::MethodError(name, Some(text), _) => format!("{text} ({name})"),
        error => error.to_string(),
    })
}

async fn start(connection: &Connection, scope: &Scope) -> zbus::Result<()> {
    let systemd = zbus::Proxy::new(
        connection,
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
    )
    .await?;
    // Signals are sent to those who asked for them; listening comes first, so that the end of the job is not missed.
    let mut removed = systemd.receive_signal("JobRemoved").await?;
    let _: () = systemd.call("Subscribe", &()).await?;
    let mut properties: Vec<(&str, Variant<'_>)> = vec![
        ("Description", scope.description.as_str().into()),
        ("PIDs", vec![std::process::id()].into()),
        ("Delegate", true.into()),
        ("CollectMode", "inactive-or-failed".into()),
    ];
    if let Some(slice) = &scope.slice {
        properties.push(("Slice", slice.as_str().into()));
    }
    let none: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    let job: OwnedObjectPath = systemd.call("StartTransientUnit", &(&scope.name, "fail", properties, none)).await?;
    while let Some(message) = removed.next().await {
        let (_, which, _, result): (u32, OwnedObjectPath, String, String) = message.body().deserialize()?;
        if which == job {
            return match result.as_str() {
                "done" => Ok(()),
                other => Err(zbus::Error::Failure(format!("the job for {} ended as {other}", scope.name))),
            };
        }
    }
    Err(zbus::Error::Failure("the bus closed the connection".to_owned()))
}
