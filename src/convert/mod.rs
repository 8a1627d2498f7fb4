//! Converts pypushflow's `Workflow` classes to workflow files. A Python program describes an instance of the class.
//!
//! Nothing here runs or checks a workflow: the result is read by [`config`](crate::config) like any other file.

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
    /// What the file cannot express, one line each. The file also has them as comments.
    pub warnings: Vec<String>,
}

/// Instantiates a pypushflow workflow class in its Python, and converts the instance to a workflow file.
pub fn convert(source: &Source) -> Result<Converted, ConvertError> {
    Ok(write(source, walk::walk(source)?))
}

fn write(source: &Source, mut instance: instance::Instance) -> Converted {
    same_meaning::rewrite(&mut instance);
    let placed = placement::place(&instance);
    document::write(source, &instance, &placed)
}
