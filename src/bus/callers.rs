//! The users of callers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use zbus::message::Header;
use zbus::{Connection, fdo};

/// Maximum number of callers whose user is remembered.
const MAX_CALLERS: usize = 1024;

/// The users of callers, by unique bus name. One bus never uses a name twice. Another connection has other [`KnownCallers`].
#[derive(Debug, Default)]
pub(super) struct KnownCallers(Mutex<HashMap<String, u32>>);

impl KnownCallers {
    /// The user who calls, if the bus knows.
    pub(super) async fn user(&self, connection: &Connection, call: &Header<'_>) -> Option<u32> {
        let sender = call.sender()?;
        let users = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = users().get(sender.as_str()) {
            return Some(*user);
        }
        let bus = fdo::DBusProxy::new(connection).await.ok()?;
        let user = bus.get_connection_unix_user(sender.clone().into()).await.ok()?;
        let mut users = users();
        if users.len() >= MAX_CALLERS {
            users.clear();
        }
        users.insert(sender.to_string(), user);
        Some(user)
    }
}
