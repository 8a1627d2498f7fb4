//! What each kind of actor does on a trigger, and which links payloads and errors follow.

use super::cycle::error_targets;
use super::state::{Attempt, Phase, Run, Task};
use super::{ActorEnd, Effect, Failure, FailureKind, Status};
use crate::graph::{ActorId, Kind, Link, Port, Router};
use crate::payload::{ErrorClass, Payload, PythonError, RoutingValue};

impl Run {
    pub(super) fn on_trigger(&mut self, id: ActorId, payload: Payload, effects: &mut Vec<Effect>) {
        let workflow = std::sync::Arc::clone(&self.workflow);
        let kind = &workflow.actor(id).kind;
        if !matches!(kind, Kind::Boundary) {
            effects.push(Effect::ActorStarted(id));
        }
        match kind {
            Kind::Python(_) | Kind::Exec(_) => return self.start_task(id, payload, effects),
            Kind::Start | Kind::Fork => self.follow_links(id, payload),
            Kind::Boundary => return self.follow_links(id, payload),
            Kind::Stop => self.take_output(payload),
            Kind::Join { arrivals } => self.join(id, *arrivals, payload),
            Kind::Router(router) => match self.route(router, &payload) {
                Ok(links) => self.follow(links, payload),
                Err(failure) => return self.fail(id, &payload, failure, effects),
            },
            Kind::Status(word) => {
                self.status.worsen(Status::Word(word.clone()));
                self.follow_links(id, payload);
            }
            Kind::ErrorHandler => {
                self.status.worsen(Status::Error);
                self.follow_links(id, payload);
            }
        }
        effects.push(Effect::ActorFinished(id, ActorEnd::Finished));
    }

    /// Starts a task, or fails if the run is stopped.
    pub(super) fn start_task(&mut self, actor: ActorId, input: Payload, effects: &mut Vec<Effect>) {
        if let Phase::Stopping(reason) = &self.phase {
            let failure = stopped(reason);
            return self.fail(actor, &input, failure, effects);
        }
        let task = self.new_task(Task { actor, input: input.clone(), attempt: Attempt::Queued, retries: 0 });
        effects.push(Effect::Start { task, actor, payload: input });
    }

    /// Passes a payload to every link of an actor.
    pub(super) fn follow_links(&mut self, id: ActorId, payload: Payload) {
        let workflow = std::sync::Arc::clone(&self.workflow);
        self.follow(&workflow.actor(id).links, payload);
    }

    fn follow(&mut self, links: &[Link], payload: Payload) {
        if let Some((last, others)) = links.split_last() {
            for link in others {
                self.trigger(link.to, payload.clone());
            }
            self.trigger(last.to, payload);
        }
    }

    /// The stop actor keeps the last result or, without a result, the first error.
    fn take_output(&mut self, payload: Payload) {
        if self.output.is_none() || !payload.is_error() {
            self.output = Some(payload);
        }
    }

    fn join(&mut self, id: ActorId, arrivals: usize, payload: Payload) {
        let waiting = self.joins.entry(id).or_default();
        waiting.push(payload);
        if waiting.len() < arrivals {
            return;
        }
        let mut merged = Payload::new();
        for payload in self.joins.remove(&id).unwrap_or_default() {
            merged.merge(&payload);
        }
        self.follow_links(id, merged);
    }

    fn route<'r>(&self, router: &'r Router, payload: &Payload) -> Result<&'r [Link], Failure> {
        let look = payload.get(&router.item).map(|value| value.routing_value());
        let port = look.as_ref().and_then(port_of);
        let route = port.and_then(|port| router.routes.iter().find(|route| route.port == port));
        match (route, &router.other) {
            (Some(route), _) => Ok(&route.links),
            (None, Some(other)) => Ok(other),
            (None, None) => Err(no_route(router, look.as_ref())),
        }
    }

    /// An actor has failed, without retries left: its error follows the error links.
    pub(super) fn fail(&mut self, id: ActorId, input: &Payload, failure: Failure, effects: &mut Vec<Effect>) {
        effects.push(Effect::ActorFinished(id, ActorEnd::Failed(failure.kind)));
        let workflow = std::sync::Arc::clone(&self.workflow);
        let mut error_targets = error_targets(&workflow, id).peekable();
        let handled = error_targets.peek().is_some() && self.phase != Phase::TimedOut && !self.fails_in_a_cycle(id);
        if handled {
            let payload = failure.error.payload(input);
            let trail = self.trail;
            self.trail.failed = true;
            for link in error_targets {
                self.trigger(link.to, payload.clone());
            }
            self.trail = trail;
        } else {
            self.status.worsen(Status::Failed);
        }
        effects.push(Effect::Failed { actor: id, failure, handled });
    }
}

/// The port that a value selects, as in pypushflow.
fn port_of(look: &RoutingValue) -> Option<Port> {
    match look {
        RoutingValue::Null { .. } => Some(Port::Null),
        RoutingValue::Bool(value) => Some(Port::Bool(*value)),
        RoutingValue::Int(value) => Some(Port::Int(*value)),
        RoutingValue::Text(text) => Some(match &**text {
            "true" => Port::Bool(true),
            "false" => Port::Bool(false),
            text => Port::Text(text.to_owned()),
        }),
        RoutingValue::Other { .. } => None,
    }
}

fn no_route(router: &Router, look: Option<&RoutingValue>) -> Failure {
    let item = &router.item;
    let value = match look {
        None => format!("the payload has no key {item}"),
        Some(RoutingValue::Null { .. }) => format!("{item} is None"),
        Some(RoutingValue::Bool(value)) => format!("{item} is {}", if *value { "True" } else { "False" }),
        Some(RoutingValue::Int(value)) => format!("{item} is {value}"),
        Some(RoutingValue::Text(text) | RoutingValue::Other { text: Some(text), .. }) => format!("{item} is {text:?}"),
        Some(RoutingValue::Other { .. }) => format!("{item} is a value that cannot equal a port"),
    };
    let ports: Vec<String> = router.routes.iter().map(|route| written(&route.port)).collect();
    let message = format!("{value}, but the router only has the ports {} and no port 'other'", ports.join(", "));
    Failure { kind: FailureKind::NoRoute, error: PythonError::new(ErrorClass::NoRoute, message) }
}

/// A port as it is written in the file: strings in quotation marks.
fn written(port: &Port) -> String {
    match port {
        Port::Text(text) => format!("{text:?}"),
        port => port.to_string(),
    }
}

/// The error of a task that cannot start because the run is stopped.
pub(super) fn stopped(reason: &str) -> Failure {
    Failure { kind: FailureKind::Stopped, error: PythonError::new(ErrorClass::WorkflowStopped, reason) }
}
