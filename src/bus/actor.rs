//! `org.pushflow.Actor1`: one actor, over all runs since the service started.

use std::sync::Arc;

use zbus::{fdo, interface};

use super::Office;
use crate::graph::ActorId;
use crate::service::{ActorFacts, State};

/// The object of an actor.
#[derive(Debug)]
pub(super) struct ActorObject {
    pub(super) office: Arc<Office>,
    pub(super) id: ActorId,
}

impl ActorObject {
    fn look<T>(&self, look: impl FnOnce(&State, &ActorFacts) -> T) -> fdo::Result<T> {
        let gone = || fdo::Error::UnknownObject("there is no such actor any more".to_owned());
        self.office
            .board
            .with(|state| state.actors.get(self.id.index()).map(|actor| look(state, actor)))
            .ok_or_else(gone)
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
}
