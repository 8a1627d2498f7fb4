//! The findings about a whole graph as diagnostics.

use super::graph::Graph;
use super::reachability::Finding;
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::quoted;
use crate::graph::{ActorId, ScopeId};

/// Adds the diagnostic of a finding.
pub(super) fn report(finding: &Finding, graph: &Graph, problems: &mut Problems) {
    let name = |id: &ActorId| quoted(&graph.actors[id.index()].name);
    let at = |id: &ActorId| graph.facts[id.index()].at;
    let scope = |id: &ActorId| graph.actors[id.index()].scope;
    let scope_at = |id: ScopeId| graph.scope_locations[id.index()];
    let scope_name = |id: ScopeId| &graph.scopes[id.index()].name;
    match finding {
        Finding::RouterWithoutLinks(id) => problems
            .error(at(id), format!("no link leaves the router {}", name(id)))
            .label("no link leaves it")
            .help("add links with `from` and `port`"),
        Finding::RouterWithoutOther(id) => problems
            .warning(at(id), format!("the router {} has no link for other values", name(id)))
            .label("any other value is an error")
            .help("add a link without `port`, or with port = \"other\""),
        Finding::JoinWithoutLinks(id) => problems
            .error(at(id), format!("no link leads to the join {}", name(id)))
            .label("it would wait forever")
            .help("a join waits for one payload from each link that leads to it"),
        Finding::UnusedOnError(id) => {
            let what = if id.index() == 0 {
                "the workflow".into()
            } else {
                format!("the submodel {}", quoted(scope_name(*id)))
            };
            let at = graph.links.scope_errors.get(id).copied().unwrap_or(scope_at(*id));
            problems
                .warning(at, format!("`on_error` of {what} is never used: no error bubbles to it"))
                .help("add bubble_errors = true to the actors whose errors should bubble")
        }
        Finding::StopUnreachable => problems
            .error(graph.facts[1].at, "no link leads to `stop`")
            .label("runs would have no output")
            .help("add a link with to = \"stop\""),
        Finding::Unreachable(id) => problems
            .error(at(id), format!("{} cannot be reached from `start`", name(id)))
            .label("it would never run")
            .help(format!("add a link that leads to {}, or remove the actor", name(id))),
        Finding::SubmodelUnreachable(id) => problems
            .error(scope_at(scope(id)), format!("no link leads into the submodel {}", quoted(scope_name(scope(id)))))
            .label("it would never run")
            .help(format!("add a link with to = \"{}.In\"", scope_name(scope(id)))),
        Finding::PortUnreachable(id) => problems
            .error(
                scope_at(scope(id)),
                format!("no link leads to the port {} of the submodel {}", name(id), quoted(scope_name(scope(id)))),
            )
            .label("links leave the port")
            .help(format!("add a link with to = \"{}\" inside the submodel", graph.actors[id.index()].name)),
        Finding::EndlessCycle(cycle) => {
            let shown = cycle.iter().take(5).chain(cycle.first());
            let names: Vec<String> = shown.map(name).collect();
            let more = if cycle.len() > 5 { " → …" } else { "" };
            let (last, names) = names.split_last().expect("a cycle has an actor");
            problems
                .warning(
                    at(&cycle[0]),
                    format!("a cycle without a task would never end: {}{more} → {last}", names.join(" → ")),
                )
                .label("part of the cycle")
                .help("add a python or exec actor to the cycle, or break it")
        }
    };
}
