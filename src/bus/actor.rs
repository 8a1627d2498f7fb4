//! `org.pushflow.Actor1`: one actor, over all runs since the service started.

use std::sync::Arc;

use zbus::{fdo, interface};

use super::BusContext;
use super::usage::{UNKNOWN, cpu};
use crate::accounting::Totals;
use crate::graph::ActorId;
use crate::service::{ActorView, ServiceState};

/// The object of an actor.
#[derive(Debug)]
pub(super) struct ActorObject {
    pub(super) context: Arc<BusContext>,
    pub(super) id: ActorId,
}

impl ActorObject {
    fn look<T>(&self, look: impl FnOnce(&ServiceState, &ActorView) -> T) -> fdo::Result<T> {
        let gone = || fdo::Error::UnknownObject("there is no such actor any more".to_owned());
        self.context
            .snapshot
            .with(|state| state.actors.get(self.id.index()).map(|actor| look(state, actor)))
            .ok_or_else(gone)
    }
}

impl ActorObject {
    /// A figure of its usage up to now.
    async fn used(&self, figure: fn(&Totals) -> Option<u64>) -> fdo::Result<u64> {
        self.refresh().await?;
        self.look(|state, _| figure(&state.used_by(self.id)).unwrap_or(UNKNOWN))
    }

    /// Reads the meters of its running tasks.
    async fn refresh(&self) -> fdo::Result<()> {
        if self.look(|state, actor| state.active > 0 && actor.running > 0)? {
            self.context.update_usage().await;
        }
        Ok(())
    }
}

#[interface(name = "org.pushflow.Actor1", introspection_docs = false)]
impl ActorObject {
    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> fdo::Result<String> {
        self.look(|state, _| state.workflow.actor(self.id).display_name().to_owned())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> fdo::Result<&'static str> {
        self.look(|state, _| state.workflow.actor(self.id).kind.word())
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> fdo::Result<&'static str> {
        self.look(|_, actor| if actor.running > 0 { "running" } else { "idle" })
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn executions(&self) -> fdo::Result<u64> {
        self.look(|_, actor| actor.executions)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn failures(&self) -> fdo::Result<u64> {
        self.look(|_, actor| actor.failures)
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

    #[zbus(property(emits_changed_signal = "false"), name = "LastDurationUSec")]
    async fn last_duration_usec(&self) -> fdo::Result<u64> {
        self.context.update_usage().await;
        self.look(|_, actor| actor.last.and_then(|took| u64::try_from(took.as_micros()).ok()).unwrap_or(UNKNOWN))
    }
}
