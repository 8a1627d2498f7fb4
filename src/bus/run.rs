//! `org.pushflow.Run1`: one run. It stays on the bus for a while after its end.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectServer, fdo, interface};

use super::error::text;
use super::usage::{UNKNOWN, cpu};
use super::{BusContext, names};
use crate::accounting::Totals;
use crate::service::{Command, RequestError, RunView};
use crate::supervisor::RunId;

/// Maximum length of a text that is a property, bytes. A D-Bus message holds 128 MiB, and all properties of a run.
const MAX_TEXT: usize = 40 << 20;
/// Maximum length of an error. Of a longer one the beginning is shown.
const MAX_ERROR: usize = 256 << 10;

/// The object of a run.
#[derive(Debug)]
pub(super) struct RunObject {
    context: Arc<BusContext>,
    id: RunId,
}

impl RunObject {
    /// Exports a run, unless it is exported already or was forgotten.
    pub(super) async fn export(context: &Arc<BusContext>, server: &ObjectServer, id: RunId) -> zbus::Result<()> {
        if context.snapshot.run(id, |_| ()).is_some() {
            server.at(names::run(id), RunObject { context: Arc::clone(context), id }).await?;
        }
        Ok(())
    }

    fn look<T>(&self, look: impl FnOnce(&RunView) -> T) -> fdo::Result<T> {
        let gone = || fdo::Error::UnknownObject(format!("run {} is over and was forgotten", self.id));
        self.context.snapshot.run(self.id, look).ok_or_else(gone)
    }

    /// A figure of its usage up to now.
    async fn used(&self, figure: fn(&Totals) -> Option<u64>) -> fdo::Result<u64> {
        if self.look(|run| run.started_at.is_some() && run.ended_at.is_none())? {
            self.context.update_usage().await;
        }
        self.look(|run| run.used.as_deref().and_then(figure).unwrap_or(UNKNOWN))
    }

    /// The caller's data: only for the user who asked for the run, root, and the user of the service. For others it is missing
    /// among the properties, and reading it is an error.
    async fn private(
        &self,
        connection: &Connection,
        call: Option<Header<'_>>,
        look: impl FnOnce(&RunView) -> Option<Arc<str>>,
    ) -> fdo::Result<String> {
        let denied = || fdo::Error::AccessDenied("the data of a run is for those who asked for it".to_owned());
        let call = call.ok_or_else(denied)?;
        let owner = self.look(|run| run.owner(own_uid()))?;
        let caller = self.context.callers.user(connection, &call).await.ok_or_else(denied)?;
        if caller != 0 && caller != owner {
            return Err(denied());
        }
        self.look(|run| match look(run) {
            Some(text) if text.len() > MAX_TEXT => Err(too_large(&self.context.name, self.id, text.len())),
            text => Ok(text.map_or_else(String::new, |text| text.to_string())),
        })?
    }
}

/// The error instead of a text that is too large for a D-Bus message.
fn too_large(name: &str, id: RunId, bytes: usize) -> fdo::Error {
    let mib = bytes >> 20;
    fdo::Error::LimitsExceeded(format!("it has {mib} MiB, too much for D-Bus: `pushflow show {name}/{id}` prints it"))
}

/// An error of a run as JSON. Of a very long one, only the beginning of its text.
fn short_error(error: &Arc<str>) -> Arc<str> {
    if error.len() <= MAX_ERROR {
        return Arc::clone(error);
    }
    let json: Json = serde_json::from_str(error).unwrap_or_default();
    let message = json.get("errorMessage").or_else(|| json.get("message")).and_then(Json::as_str).unwrap_or(error);
    let start = &message[..message.floor_char_boundary(MAX_ERROR / 2)];
    let left_out = message.len() - start.len();
    json!({ "message": format!("{start}… [{left_out} bytes are left out]") }).to_string().into()
}

fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[interface(name = "org.pushflow.Run1", introspection_docs = false)]
impl RunObject {
    async fn stop(
        &self,
        reason: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(), RequestError> {
        self.context.manage(connection, &call, Command::Stop(self.id, reason)).await
    }

    async fn abort(
        &self,
        reason: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(), RequestError> {
        self.context.manage(connection, &call, Command::Abort(self.id, reason)).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> u64 {
        self.id.0
    }

    #[zbus(property)]
    fn status(&self) -> fdo::Result<String> {
        self.look(|run| text(run.status.word()).into_owned())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn label(&self) -> fdo::Result<String> {
        self.look(|run| run.request.label.clone())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn priority(&self) -> fdo::Result<i32> {
        self.look(|run| run.request.priority)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn queued_at(&self) -> fdo::Result<u64> {
        self.look(|run| run.request.queued_at)
    }

    #[zbus(property)]
    fn started_at(&self) -> fdo::Result<u64> {
        self.look(|run| run.started_at)?.ok_or_else(|| not_yet("started"))
    }

    #[zbus(property)]
    fn ended_at(&self) -> fdo::Result<u64> {
        self.look(|run| run.ended_at)?.ok_or_else(|| not_yet("ended"))
    }

    #[zbus(property(emits_changed_signal = "false"), name = "ElapsedUSec")]
    fn elapsed_usec(&self) -> fdo::Result<u64> {
        self.look(RunView::elapsed)?.ok_or_else(|| not_yet("started"))
    }

    #[zbus(property(emits_changed_signal = "const"), name = "StartedByUID")]
    fn started_by_uid(&self) -> fdo::Result<u32> {
        self.look(|run| run.owner(own_uid()))
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn progress(&self) -> fdo::Result<(u64, u64)> {
        self.look(|run| (run.done, run.running.values().sum()))
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn active_actors(&self) -> fdo::Result<Vec<String>> {
        self.context
            .snapshot
            .with(|state| {
                let name = |id: &_| state.workflow.actor(*id).display_name().to_owned();
                Some(state.runs.get(&self.id)?.running.keys().map(name).collect())
            })
            .ok_or_else(|| fdo::Error::UnknownObject(format!("run {} is over and was forgotten", self.id)))
    }

    #[zbus(property(emits_changed_signal = "false"), name = "CPUUsageNSec")]
    async fn cpu_usage_nsec(&self) -> fdo::Result<u64> {
        self.used(cpu).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn memory_peak(&self) -> fdo::Result<u64> {
        self.used(|used| used.memory_peak.value).await
    }

    #[zbus(property(emits_changed_signal = "false"), name = "IOReadBytes")]
    async fn io_read_bytes(&self) -> fdo::Result<u64> {
        self.used(|used| used.read.value).await
    }

    #[zbus(property(emits_changed_signal = "false"), name = "IOWriteBytes")]
    async fn io_write_bytes(&self) -> fdo::Result<u64> {
        self.used(|used| used.written.value).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn inputs(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Option<Header<'_>>,
    ) -> fdo::Result<String> {
        self.private(connection, call, |run| Some(Arc::clone(&run.request.inputs_json))).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn outputs(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Option<Header<'_>>,
    ) -> fdo::Result<String> {
        self.private(connection, call, |run| run.outputs.clone()).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn error(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Option<Header<'_>>,
    ) -> fdo::Result<String> {
        self.private(connection, call, |run| run.error.as_ref().map(short_error)).await
    }

    #[zbus(signal)]
    pub(super) async fn completed(emitter: &SignalEmitter<'_>, status: &str) -> zbus::Result<()>;
}

/// The error instead of a time that is not known yet. Among all properties, it is missing.
fn not_yet(what: &str) -> fdo::Error {
    fdo::Error::Failed(format!("the run has not {what} yet"))
}
