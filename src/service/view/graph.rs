//! The graph of a workflow as JSON.

use serde_json::{Value as Json, json};

use crate::graph::{ActorId, Kind, Workflow};

/// The graph of a workflow, for programs that draw it: `nodes` with `id` and `kind`, `links` with `source`, `target` and the
/// condition on which they fire.
pub fn graph(workflow: &Workflow) -> Json {
    let name = |id: ActorId| workflow.actor(id).display_name();
    let mut links = Vec::new();
    for actor in &workflow.actors {
        let source = actor.display_name();
        links.extend(actor.links.iter().map(|link| json!({ "source": source, "target": name(link.to) })));
        links.extend(
            actor.on_error.iter().map(|link| json!({ "source": source, "target": name(link.to), "on_error": true })),
        );
        if let Kind::Router(router) = &actor.kind {
            for route in &router.routes {
                let port = route.port.to_string();
                links.extend(
                    route.links.iter().map(|link| json!({ "source": source, "target": name(link.to), "port": port })),
                );
            }
            links.extend(
                router
                    .other
                    .iter()
                    .flatten()
                    .map(|link| json!({ "source": source, "target": name(link.to), "port": "other" })),
            );
        }
    }
    let nodes: Vec<Json> = workflow
        .actors
        .iter()
        .map(|actor| json!({ "id": actor.display_name(), "kind": actor.kind.word(), "pool": workflow.pool(actor.pool).name }))
        .collect();
    json!({ "nodes": nodes, "links": links })
}
