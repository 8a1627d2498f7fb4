//! Who calls, and whether they may.
//!
//! The D-Bus policy lets root and the group `pushflow` call methods that change something, and everybody methods that only
//! read. If polkit is there, its rules apply as well. On a session bus everything belongs to the user.

use std::collections::HashMap;

use zbus::Connection;
use zbus::message::{Flags, Header};
use zbus::proxy::CacheProperties;
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use super::bus_type::BusType;
use super::context::BusContext;
use super::error::method_error;
use crate::service::{Command, RequestError};

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask for a run.
    Run,
    /// Drain, stop, abort, reload.
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

impl BusContext {
    /// Passes on a command that only managers of the service may give.
    pub(super) async fn manage(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        command: Command,
    ) -> Result<(), RequestError> {
        self.allow(connection, call, Action::Manage).await?;
        self.to_loop.call(command).await.map(|_| ())
    }

    /// The user who calls, if they may do this.
    pub(super) async fn allow(
        &self,
        connection: &Connection,
        call: &Header<'_>,
        action: Action,
    ) -> Result<Option<u32>, RequestError> {
        let user = self.callers.user(connection, call).await;
        if self.bus == BusType::Session || user == Some(0) {
            return Ok(user);
        }
        let denied = || RequestError::AccessDenied(format!("polkit does not allow you {}", action.id()));
        // A call without a sender did not come over a bus.
        let subject = Subject::new_for_message_header(call).map_err(|_| denied())?;
        let flags = match call.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH) {
            true => CheckAuthorizationFlags::ALLOW_USER_INTERACTION,
            false => CheckAuthorizationFlags::empty(),
        };
        let polkit = AuthorityProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
        match polkit.check_authorization(&subject, action.id(), &HashMap::new(), flags, "").await {
            Ok(result) if result.is_authorized => Ok(user),
            Ok(result) if result.is_challenge => {
                Err(RequestError::AuthorizationRequired(format!("{} needs a password", action.id())))
            }
            Ok(_) => Err(denied()),
            // Without polkit, the bus policy alone decides.
            Err(error) if is_absent(&error) => Ok(user),
            Err(error) => Err(RequestError::AccessDenied(explain(&error))),
        }
    }
}

/// Why polkit does not answer. It answers root, and the users that its action names.
fn explain(error: &zbus::Error) -> String {
    match method_error(error) {
        Some(error) if error.name == "org.freedesktop.PolicyKit1.Error.NotAuthorized" => format!(
            "polkit does not answer the user of this service ({}): the user must be named in org.pushflow.policy; \
             pushflow doctor says how",
            nix::unistd::geteuid()
        ),
        _ => format!("polkit cannot be asked: {error}"),
    }
}

/// Whether there is no polkit on this host.
fn is_absent(error: &zbus::Error) -> bool {
    let absent = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];
    method_error(error).is_some_and(|error| absent.contains(&error.name.as_str()))
}
