//! Whether a workflow is still the one that a run began with.

use crate::graph::Workflow;

/// What the graph is, in a few characters: its file, its actors, links, retries and limits, and the version of pushflow. What is in the
/// scripts is not part of it: one that was mended is meant to be used.
pub fn definition(workflow: &Workflow) -> String {
    let Workflow { file, actors, scopes, start, stop, .. } = workflow;
    let text = format!("{file:?}{actors:?}{scopes:?}{start:?}{stop:?}");
    // FNV-1a: told apart are versions of one file, not the forgeries of somebody.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}:{hash:016x}", env!("CARGO_PKG_VERSION"))
}
