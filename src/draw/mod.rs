//! Pictures of workflows: Graphviz dot, Mermaid, and SVG, which needs no other program.
//!
//! All three show the same: submodels as boxes, kinds by shape and colour, ports on the links of routers, error links in dashed red,
//! and the targets of bubbling errors. Nothing here reads files or knows how a workflow is executed.

mod dot;
mod layout;
mod mermaid;
mod picture;
mod svg;
mod text;
pub mod timeline;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
