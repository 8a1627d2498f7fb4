//! Runs `walk.py`, which describes a workflow, in the Python that has pypushflow.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::error::{ConvertError, Refusal};
use super::instance::Instance;
use crate::worker::bundle::WITHOUT_CURRENT_FOLDER;

const WALK: &str = include_str!("walk.py");

/// A pypushflow workflow class and how to make an instance of it.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// A dotted module or the path of a `.py` file.
    pub module: String,
    /// The class. `None` means the only workflow class of the module.
    pub class: Option<String>,
    /// An interpreter, or the folder of a virtual or conda environment. `None` means `python3` in `PATH`.
    pub python: Option<PathBuf>,
    /// Positional arguments of the constructor.
    pub args: Vec<serde_json::Value>,
    /// Keyword arguments of the constructor. A required `name` that is missing is that of the class.
    pub kwargs: serde_json::Map<String, serde_json::Value>,
}

impl Source {
    fn interpreter(&self) -> PathBuf {
        match &self.python {
            Some(environment) if environment.is_dir() => environment.join("bin/python"),
            Some(interpreter) => interpreter.clone(),
            None => Path::new("python3").into(),
        }
    }
}

/// Creates an instance and describes it.
pub(super) fn walk(source: &Source) -> Result<Instance, ConvertError> {
    let interpreter = source.interpreter();
    let python = interpreter.display().to_string();
    let request = json!({
        "module": source.module, "class": source.class, "args": source.args, "kwargs": source.kwargs,
    });
    let output = Command::new(&interpreter)
        .args(["-c", &[WITHOUT_CURRENT_FOLDER, WALK].concat()])
        .arg(request.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| ConvertError::NoPython { python: python.clone(), error })?;
    if output.stdout.is_empty() {
        return Err(ConvertError::NoAnswer { python, status: output.status });
    }
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(&output.stdout) {
        return Err(refusal.into_error(&python, &source.module, source.class.as_deref()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| ConvertError::BadAnswer { python, error })
}
