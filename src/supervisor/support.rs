//! Which pools this version can run. What it cannot is refused before anything starts, never run as something else.

use crate::graph::{PoolSpec, PoolType, Workflow};

/// Why a workflow cannot be run, if one of its pools is of a kind that is not there yet.
pub(super) fn unsupported(workflow: &Workflow) -> Option<String> {
    workflow.pools.iter().find_map(|pool| missing(pool).map(|what| format!("pool {}: {what} yet", pool.name)))
}

fn missing(pool: &PoolSpec) -> Option<&'static str> {
    match pool.kind {
        PoolType::Process
        | PoolType::Ndprocess
        | PoolType::Multiprocessing
        | PoolType::Ndmultiprocessing
        | PoolType::Billiard => {}
        PoolType::Thread => return Some("the type `thread` is not supported"),
        PoolType::Gevent => return Some("the type `gevent` is not supported"),
    }
    pool.gevent.then_some("`gevent = true` is not supported")
}
