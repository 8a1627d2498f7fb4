//! Cycles without a running task: after a stop, payloads and errors must not follow them forever.

use crate::graph::{ActorId, Kind, Link, Workflow};

/// The links that an actor's errors follow: its own error links, then those of its scope and of all scopes around it.
pub(super) fn error_targets(workflow: &Workflow, id: ActorId) -> impl Iterator<Item = &Link> {
    let actor = workflow.actor(id);
    let first = actor.bubble_errors.then_some(actor.scope);
    let scopes = std::iter::successors(first, |scope| workflow.scope(*scope).parent);
    actor.on_error.iter().chain(scopes.flat_map(|scope| &workflow.scope(scope).on_error))
}

/// Whether a trigger of this actor can lead back to it after a stop, when tasks fail instead of starting.
pub(super) fn is_on_cycle(workflow: &Workflow, id: ActorId) -> bool {
    let mut reached = vec![false; workflow.actors.len()];
    let mut todo = vec![id];
    while let Some(from) = todo.pop() {
        let links: &[Link] = if workflow.actor(from).kind.is_task() { &[] } else { &workflow.actor(from).links };
        for to in links.iter().chain(routes(workflow, from)).chain(error_targets(workflow, from)).map(|link| link.to) {
            if to == id {
                return true;
            }
            if !std::mem::replace(&mut reached[to.index()], true) {
                todo.push(to);
            }
        }
    }
    false
}

fn routes(workflow: &Workflow, id: ActorId) -> impl Iterator<Item = &Link> {
    let router = if let Kind::Router(router) = &workflow.actor(id).kind { Some(router) } else { None };
    let routes = router.into_iter().flat_map(|router| &router.routes).flat_map(|route| &route.links);
    routes.chain(router.into_iter().flat_map(|router| &router.other).flatten())
}
