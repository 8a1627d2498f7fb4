//! Reading pypushflow's `Workflow` classes: an instance of one, walked by a Python program, becomes a workflow file.
//!
//! Nothing here runs a workflow or checks one: the text it makes is read by [`config`](crate::config) like any other.

mod document;
mod error;
mod instance;
mod names;
mod placement;
#[cfg(test)]
mod property_tests;
mod same_meaning;
#[cfg(test)]
mod tests;
mod walk;

pub use error::ConvertError;
pub use walk::Source;

/// A converted workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The workflow file.
    pub toml: String,
    /// What the file cannot say, one sentence each; the file has them as comments too.
    pub warnings: Vec<String>,
}

/// Instantiates a pypushflow workflow class in the Python that has it, and writes the instance as a workflow file.
pub fn convert(source: &Source) -> Result<Converted, ConvertError> {
    Ok(write(source, walk::walk(source)?))
}

fn write(source: &Source, mut instance: instance::Instance) -> Converted {
    same_meaning::rewrite(&mut instance);
    let placed = placement::place(&instance);
    document::write(source, &instance, &placed)
}
