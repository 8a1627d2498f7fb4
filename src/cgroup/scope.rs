//! Asks systemd for a delegated scope (`StartTransientUnit` in org.freedesktop.systemd1(5)). A foreground run needs one: it starts in
//! the cgroup of its shell.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::StreamExt;
use zbus::wire::{OwnedObjectPath, Variant};
use zbus::{Connection, connection};

/// Maximum time to wait for the bus and systemd.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no scope. The text follows the reason why the present cgroup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoScope {
    /// This host does not run systemd.
    #[error("there is no systemd that could create a scope")]
    NoSystemd,
    /// systemd refused, or could not be reached.
    #[error("systemd did not create a scope: {0}")]
    Refused(String),
    /// systemd did not answer in time.
    #[error("systemd did not create a scope within {PATIENCE:?}")]
    Silent,
}

/// The systemd to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The user's, on the session bus.
    User,
    /// The host's, on the system bus.
    System,
}

impl Manager {
    /// Root uses that of the host, other users their own.
    pub fn of_this_user() -> Self {
        if nix::unistd::geteuid().is_root() { Manager::System } else { Manager::User }
    }
}

/// The scope to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its name, ending in `.scope`.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its slice. `None` means the default.
    pub slice: Option<String>,
}

/// Moves this process into a new delegated scope. The scope ends with its last process.
///
/// Call it before child processes are started: they would stay in the old cgroup.
pub fn enter(manager: Manager, scope: Scope) -> Result<(), NoScope> {
    // The test of sd_booted(3).
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(NoScope::NoSystemd);
    }
    let (answer, answered) = mpsc::channel();
    let asking = thread::Builder::new().name("scope".to_owned()).spawn(move || {
        // After the timeout, nobody receives the answer.
        let _ = answer.send(zbus::block_on(ask(manager, &scope)));
    });
    asking.map_err(|error| NoScope::Refused(error.to_string()))?;
    match answered.recv_timeout(PATIENCE) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(NoScope::Silent),
    }
}

async fn ask(manager: Manager, scope: &Scope) -> Result<(), NoScope> {
    let builder = match manager {
        Manager::User => connection::Builder::session(),
        Manager::System => connection::Builder::system(),
    };
    let connection = builder.method_timeout(PATIENCE).build().await.map_err(refused)?;
    start(&connection, scope).await.map_err(refused)
}

fn refused(error: zbus::Error) -> NoScope {
    NoScope::Refused(match error {
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
    // Subscribe before the job starts, so that its end is not missed.
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
