//! `org.pushflow.Workflow1`: the service itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectPath, ObjectServer, OwnedObjectPath, OwnedVariant, interface};

use super::authorization::Action;
use super::error::text;
use super::process::{self, Described, describe};
use super::process_cache::FOR_LISTS;
use super::run::RunObject;
use super::usage::{cpu, cpu_of_cgroup};
use super::{BusContext, names, values};
use crate::payload::Payload;
use crate::service::{Command, RequestError, Response, graph};
use crate::supervisor::RunId;

/// The object of the service.
#[derive(Debug)]
pub(super) struct WorkflowObject(pub(super) Arc<BusContext>);

impl WorkflowObject {
    async fn start(
        &self,
        server: &ObjectServer,
        inputs: Payload,
        options: &BTreeMap<String, OwnedVariant>,
        uid: Option<u32>,
    ) -> Result<OwnedObjectPath, RequestError> {
        let request = values::run_request(inputs, options, uid)?;
        let Response::Run(id) = self.0.to_loop.call(Command::Run(request)).await? else {
            return Err(RequestError::Failed("the run was not accepted, nor refused".to_owned()));
        };
        // The caller may read the run as soon as it has the reply.
        RunObject::export(&self.0, server, id).await?;
        Ok(path(id)?)
    }
}

fn path(id: RunId) -> zbus::Result<OwnedObjectPath> {
    Ok(ObjectPath::try_from(names::run(id))?.into())
}

#[interface(name = "org.pushflow.Workflow1", introspection_docs = false)]
impl WorkflowObject {
    #[zbus(out_args("run"))]
    async fn run(
        &self,
        inputs: BTreeMap<String, OwnedVariant>,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(object_server)] server: &ObjectServer,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<OwnedObjectPath, RequestError> {
        let uid = self.0.allow(connection, &call, Action::Run).await?;
        self.start(server, values::inputs(&inputs)?, &options, uid).await
    }

    #[zbus(out_args("run"))]
    async fn run_json(
        &self,
        inputs: &str,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(object_server)] server: &ObjectServer,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<OwnedObjectPath, RequestError> {
        let uid = self.0.allow(connection, &call, Action::Run).await?;
        self.start(server, values::inputs_from_json(inputs)?, &options, uid).await
    }

    async fn drain(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(), RequestError> {
        self.0.manage(connection, &call, Command::Drain).await
    }

    async fn abort(
        &self,
        reason: String,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(), RequestError> {
        self.0.manage(connection, &call, Command::AbortAll(reason)).await
    }

    async fn reload(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(), RequestError> {
        self.0.manage(connection, &call, Command::Reload).await
    }

    /// Everybody may list them.
    #[zbus(out_args("processes"))]
    async fn list_processes(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(object_server)] server: &ObjectServer,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<Vec<Described>, RequestError> {
        let who = self.0.callers.user(connection, &call).await;
        let processes = process::list(&self.0, server, FOR_LISTS).await?;
        Ok(describe(&processes.listing, &self.0.snapshot, who))
    }

    #[zbus(name = "Signal")]
    async fn signal_processes(
        &self,
        whom: String,
        signal: i32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(), RequestError> {
        self.0.manage(connection, &call, Command::Signal(whom, signal)).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> String {
        self.0.name.clone()
    }

    #[zbus(property)]
    fn description(&self) -> String {
        self.0.snapshot.with(|state| text(state.workflow.description.as_deref().unwrap_or_default()).into_owned())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn fragment_path(&self) -> String {
        self.0.snapshot.with(|state| state.workflow.file.to_string_lossy().into_owned())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        self.0.snapshot.with(|state| state.phase.word())
    }

    #[zbus(property)]
    fn active_runs(&self) -> u32 {
        self.0.snapshot.with(|state| state.active)
    }

    #[zbus(property)]
    fn queued_runs(&self) -> u32 {
        self.0.snapshot.with(|state| state.queued)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn runs_finished(&self) -> u64 {
        self.0.snapshot.with(|state| state.finished)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn runs_failed(&self) -> u64 {
        self.0.snapshot.with(|state| state.failed)
    }

    #[zbus(property(emits_changed_signal = "invalidates"))]
    fn graph(&self) -> String {
        self.0.snapshot.with(|state| graph(&state.workflow).to_string())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn control_group(&self) -> String {
        self.0.usage.control_group.clone()
    }

    #[zbus(property(emits_changed_signal = "false"), name = "CPUUsageNSec")]
    async fn cpu_usage_nsec(&self) -> u64 {
        self.0.figure(cpu_of_cgroup, cpu).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn memory_current(&self) -> u64 {
        self.0.cgroup_figure(|reading| reading.memory)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn memory_peak(&self) -> u64 {
        self.0.cgroup_figure(|reading| reading.memory_peak)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn tasks_current(&self) -> u64 {
        self.0.cgroup_figure(|reading| reading.processes)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "IOReadBytes")]
    async fn io_read_bytes(&self) -> u64 {
        self.0.figure(|reading| reading.io.map(|io| io.read), |used| used.read.value).await
    }

    #[zbus(property(emits_changed_signal = "false"), name = "IOWriteBytes")]
    async fn io_write_bytes(&self) -> u64 {
        self.0.figure(|reading| reading.io.map(|io| io.written), |used| used.written.value).await
    }

    #[zbus(signal)]
    pub(super) async fn run_started(emitter: &SignalEmitter<'_>, run: ObjectPath<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn run_finished(
        emitter: &SignalEmitter<'_>,
        run: ObjectPath<'_>,
        status: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn actor_started(
        emitter: &SignalEmitter<'_>,
        run: ObjectPath<'_>,
        actor: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn actor_finished(
        emitter: &SignalEmitter<'_>,
        run: ObjectPath<'_>,
        actor: &str,
        outcome: &str,
    ) -> zbus::Result<()>;
}
