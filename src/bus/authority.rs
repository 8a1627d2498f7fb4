//! Who asks, and whether they may.
//!
//! The D-Bus policy lets root and the group `pushflow` call what acts, and everyone what looks. Where polkit is there, its
//! rules decide beyond that. On a session bus everything is the user's own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use zbus::message::{Flags, Header};
use zbus::{Connection, Variant};

use super::{Office, Which, answered};
use crate::service::{Ask, Refusal};

/// So many callers are remembered.
const REMEMBERED: usize = 1024;

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// To ask for a run.
    Run,
    /// To drain, stop, abort, reload.
    Manage,
}

impl Action {
    fn id(self) -> &'static str {
        match self {
            Action::Run => "org.pushflow.run",
            Action::Manage => "org.pushflow.manage",
        }
    }
}

/// What is known of callers.
#[derive(Debug, Default)]
pub(super) struct Authority {
    /// Users by unique bus names, which one bus never uses again. Another connection has another [`Authority`].
    users: Mutex<HashMap<String, u32>>,
}

impl Office {
    /// The user who calls, if the bus knows.
    pub(super) async fn caller(&self, connection: &Connection, call: &Header<'_>) -> Option<u32> {
        let sender = call.sender()?.to_string();
        let users = || self.authority.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = users().get(&sender) {
            return Some(*user);
        }
        let (bus, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
        let reply = connection.call_method(Some(bus), path, Some(bus), "GetConnectionUnixUser", &sender.as_str()).await;
        let user = reply.ok()?.body().deserialize::<u32>().ok()?;
        let mut users = users();
        if users.len() >= REMEMBERED {
            users.clear();
        }
        users.insert(sender, user);
        Some(user)
    }

    /// Passes on what only those may ask for who manage the service.
    pub(super) async fn manage(&self, connection: &Connection, call: &Header<'_>, ask: Ask) -> Result<(), Refusal> {
        self.allow(connection, call, Action::Manage).await?;
        self.to_loop.ask(ask).await.map(|_| ())
    }

    /// Who calls, if they may do this.
    pub(super) async fn allow(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        action: Action,
    ) -> Result<Option<u32>, Refusal> {
        let user = self.caller(connection, call).await;
        if self.which == Which::Session || user == Some(0) {
            return Ok(user);
        }
        let denied = || Refusal::AccessDenied(format!("polkit does not allow you {}", action.id()));
        let Some(sender) = call.sender() else { return Err(denied()) };
        let interactive = call.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let name: HashMap<&str, Variant<'_>> = [("name", Variant::new(sender.as_str()))].into();
        let details: HashMap<&str, &str> = HashMap::new();
        let question = (("system-bus-name", name), action.id(), details, u32::from(interactive), "");
        let reply = connection
            .call_method(
                Some("org.freedesktop.PolicyKit1"),
                "/org/freedesktop/PolicyKit1/Authority",
                Some("org.freedesktop.PolicyKit1.Authority"),
                "CheckAuthorization",
                &question,
            )
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) if is_absent(&error) => return Ok(user),
            Err(error) => return Err(Refusal::AccessDenied(refused(&error))),
        };
        let body = reply.body();
        let ((allowed, challenge, _),) = body.deserialize::<((bool, bool, HashMap<String, String>),)>()?;
        match (allowed, challenge) {
            (true, _) => Ok(user),
            (false, true) => Err(Refusal::AuthorizationRequired(format!("{} needs a password", action.id()))),
            (false, false) => Err(denied()),
        }
    }
}

/// Why polkit does not answer. It answers root, and the users that its action names.
fn refused(error: &zbus::Error) -> String {
    let unknown = answered(error).is_some_and(|(name, _)| name == "org.freedesktop.PolicyKit1.Error.NotAuthorized");
    match unknown {
        true => format!(
            "polkit does not answer the user of this service ({}): it is to be named in org.pushflow.policy; pushflow doctor \
             says how",
            nix::unistd::geteuid()
        ),
        false => format!("polkit cannot be asked: {error}"),
    }
}

/// Whether there is no polkit: the bus policy alone decides then.
fn is_absent(error: &zbus::Error) -> bool {
    let absent = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];
    answered(error).is_some_and(|(name, _)| absent.contains(&name.as_str()))
}
