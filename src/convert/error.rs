//! Why a class could not be converted.

use serde::Deserialize;
use thiserror::Error;

use crate::text;

/// Why a class could not be converted.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The interpreter could not be started.
    #[error("cannot start {python}: {error}")]
    NoPython {
        /// The interpreter.
        python: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The interpreter ended without an answer. Its standard error has the reason.
    #[error("{python} ended without an answer ({status})")]
    NoAnswer {
        /// The interpreter.
        python: String,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
    /// The answer is not valid.
    #[error("the answer of {python} is not valid: {error}")]
    BadAnswer {
        /// The interpreter.
        python: String,
        /// The error in it.
        error: serde_json::Error,
    },
    /// There is no such class, or it cannot be imported or instantiated.
    #[error("{sentence}")]
    Refused {
        /// The reason.
        sentence: String,
    },
}

/// Answers of `walk.py` if there is nothing to convert.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub(super) enum Refusal {
    NoFile { module: String },
    NoModule { missing: String },
    NoPypushflow,
    PypushflowBroken(Said),
    ImportFailed(Said),
    ConstructorFailed(Said),
    WhichClass { known: Vec<String> },
    NoClass { known: Vec<String> },
    NotAWorkflow { found: String },
    NoAttribute { attribute: String },
}

/// A Python exception and its location.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    error: String,
    place: Option<String>,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error)?;
        match &self.place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// The error message about `module` and `class` in `python`. Names come from the module, so control characters are escaped.
    pub(super) fn into_error(self, python: &str, module: &str, class: Option<&str>) -> ConvertError {
        let names = |known: &[String]| text::line(&known.join(", ")).into_owned();
        let name = class.unwrap_or("the class");
        let sentence = match self {
            Refusal::NoFile { module } => format!("there is no file {module}"),
            Refusal::NoModule { missing } => format!("{python} has no module {missing}"),
            Refusal::NoPypushflow => {
                format!("pypushflow is not installed in {python}: set the Python that has it with --python")
            }
            Refusal::PypushflowBroken(said) => format!("pypushflow cannot be imported in {python}: {said}"),
            Refusal::ImportFailed(said) => format!("{module} cannot be imported: {said}"),
            Refusal::ConstructorFailed(said) => format!("{name} of {module} cannot be instantiated: {said}"),
            Refusal::WhichClass { known } if known.is_empty() => format!("{module} has no workflow class"),
            Refusal::WhichClass { known } => {
                format!("{module} has several workflow classes: write {module}:CLASS with one of {}", names(&known))
            }
            Refusal::NoClass { known } if known.is_empty() => {
                format!("{module} has no class {name}, nor any other workflow class")
            }
            Refusal::NoClass { known } => {
                format!("{module} has no class {name}; its workflow classes: {}", names(&known))
            }
            Refusal::NotAWorkflow { found } => {
                format!("{name} of {module} is not a pypushflow workflow, but of type {}", text::line(&found))
            }
            Refusal::NoAttribute { attribute } => format!("the workflow {name} of {module} has no {attribute}"),
        };
        ConvertError::Refused { sentence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(json: &str) -> String {
        let refusal: Refusal = serde_json::from_str(json).expect("a refusal as JSON");
        refusal.into_error("/opt/bin/python", "flows.mx", Some("Integrate")).to_string()
    }

    #[test]
    fn refusals_name_what_is_missing() {
        insta::assert_snapshot!(
            [
                r#"{"reason": "no_file", "module": "flows/mx.py"}"#,
                r#"{"reason": "no_module", "missing": "flows"}"#,
                r#"{"reason": "no_pypushflow"}"#,
                r#"{"reason": "pypushflow_broken", "error": "ImportError: no", "place": null}"#,
                r#"{"reason": "import_failed", "error": "NameError: x", "place": "/flows/mx.py:3"}"#,
                r#"{"reason": "constructor_failed", "error": "KeyError: 'a'", "place": "/flows/mx.py:7"}"#,
                r#"{"reason": "which_class", "known": []}"#,
                r#"{"reason": "which_class", "known": ["One", "Two"]}"#,
                r#"{"reason": "no_class", "known": []}"#,
                r#"{"reason": "no_class", "known": ["One", "Two"]}"#,
                r#"{"reason": "not_a_workflow", "found": "int"}"#,
                r#"{"reason": "no_attribute", "attribute": "stopActor"}"#,
            ]
            .map(sentence)
            .join("\n"),
            @r"
            there is no file flows/mx.py
            /opt/bin/python has no module flows
            pypushflow is not installed in /opt/bin/python: set the Python that has it with --python
            pypushflow cannot be imported in /opt/bin/python: ImportError: no
            flows.mx cannot be imported: NameError: x (/flows/mx.py:3)
            Integrate of flows.mx cannot be instantiated: KeyError: 'a' (/flows/mx.py:7)
            flows.mx has no workflow class
            flows.mx has several workflow classes: write flows.mx:CLASS with one of One, Two
            flows.mx has no class Integrate, nor any other workflow class
            flows.mx has no class Integrate; its workflow classes: One, Two
            Integrate of flows.mx is not a pypushflow workflow, but of type int
            the workflow Integrate of flows.mx has no stopActor
            "
        );
    }
}
