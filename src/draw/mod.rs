//! Pictures of a workflow, for people: Graphviz's dot, Mermaid, and SVG that needs no other program.
//!
//! All three show the same picture: submodels as boxes, kinds by shape and colour, a router's ports along its links,
//! error links dashed and red, and where errors bubble to. Nothing here reads a file or knows how a workflow runs.

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
