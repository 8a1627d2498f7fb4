//! Finds the script of a python actor: a file beside the workflow, or a module on `sys.path`.

use std::path::{Component, Path, PathBuf};

use super::run_function::{MAX_SCRIPT, may_define_run};
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::{did_you_mean, quoted};
use crate::config::toml::source::Located;
use crate::graph::Script;
use rustc_hash::FxHashMap;

/// The scripts found so far. A thousand actors with the same script need one look at the disk.
#[derive(Debug)]
pub(in crate::config) struct Scripts {
    root: PathBuf,
    /// By the file that names the script, then by the name.
    found: FxHashMap<u32, FxHashMap<String, Script>>,
}

/// Why there is no such script.
#[derive(Debug, thiserror::Error)]
enum ScriptError {
    #[error("this is a folder")]
    Folder,
    #[error("no such file")]
    NoFile,
    #[error("no such file: {}", .0.display())]
    NoFileAt(PathBuf),
    #[error("not in the folder of this file")]
    NotBesideFile,
    #[error("neither in the folder of this file nor in the folders of `paths`")]
    NotInPaths,
    #[error("neither a file nor the name of a module")]
    NoModuleName,
}

impl Scripts {
    /// `root` is the folder of the workflow.
    pub fn new(root: PathBuf) -> Self {
        Scripts { root, found: FxHashMap::default() }
    }

    /// The script that an actor names. Errors are reported.
    pub fn resolve(&mut self, text: &Located<String>, paths: &[PathBuf], problems: &mut Problems) -> Option<Script> {
        if let Some(script) = self.found.get(&text.at.source).and_then(|found| found.get(&text.value)) {
            return Some(script.clone());
        }
        let directory = problems.directory_of(text.at.source);
        match self.look(&text.value, problems.resolve(text), &directory, paths) {
            Ok(script) => {
                if problems.thorough && self.has_no_run(&script, paths) {
                    problems
                        .warning(text.at, format!("the script {} has no function `run`", quoted(&text.value)))
                        .label("the actor calls `run`");
                }
                self.found.entry(text.at.source).or_default().insert(text.value.clone(), script.clone());
                Some(script)
            }
            Err(error) => {
                let near = similar_file(&text.value, &directory, ".py", problems);
                let help = did_you_mean(near.as_deref())
                    .unwrap_or_else(|| "write a path relative to this file, or a dotted module name".to_owned());
                problems
                    .error(text.at, format!("the script {} does not exist", quoted(&text.value)))
                    .label(error.to_string())
                    .help(help);
                None
            }
        }
    }

    /// Whether the text of a script has no `run`. A module that is not found may be installed, and is not checked.
    fn has_no_run(&self, script: &Script, paths: &[PathBuf]) -> bool {
        let file = match script {
            Script::File { path, .. } => Some(path.to_path_buf()),
            Script::Module(name) => {
                let relative = format!("{}.py", name.replace('.', "/"));
                let folders = paths.iter().chain([&self.root]);
                folders.map(|folder| folder.join(&relative)).find(|path| path.is_file())
            }
        };
        let short = file.filter(|file| file.metadata().is_ok_and(|found| found.len() <= MAX_SCRIPT));
        short.and_then(|file| std::fs::read_to_string(file).ok()).is_some_and(|text| !may_define_run(&text))
    }

    fn look(&self, text: &str, path: PathBuf, directory: &Path, paths: &[PathBuf]) -> Result<Script, ScriptError> {
        if path.is_file() {
            return Ok(self.file(path));
        }
        if path.is_dir() {
            return Err(ScriptError::Folder);
        }
        if text.contains('/') {
            return Err(match directory == self.root {
                true => ScriptError::NoFile,
                false => ScriptError::NoFileAt(relative(&path, &self.root).to_path_buf()),
            });
        }
        let module = text.strip_suffix(".py");
        if module.is_some_and(|stem| !stem.contains('.')) {
            return match paths.iter().map(|folder| folder.join(text)).find(|path| path.is_file()) {
                Some(path) => Ok(self.file(path)),
                None if paths.is_empty() => Err(ScriptError::NotBesideFile),
                None => Err(ScriptError::NotInPaths),
            };
        }
        let module = module.unwrap_or(text);
        let identifier = |part: &str| {
            part.chars().all(|c| c.is_alphanumeric() || c == '_') && part.starts_with(|c: char| !c.is_numeric())
        };
        if module.split('.').all(identifier) {
            Ok(Script::Module(module.into()))
        } else {
            Err(ScriptError::NoModuleName)
        }
    }

    /// The module name of a file is its path relative to the workflow's folder, as an import from there would name it. So
    /// pickled instances of its classes can be loaded again, also in processes that a task starts. (If Python has a module of
    /// that name, such as `select`, the worker chooses another one.)
    fn file(&self, path: PathBuf) -> Script {
        let plain = |path: &Path| path.components().all(|part| part != Component::ParentDir);
        let named = if plain(&path) { path.clone() } else { path.canonicalize().unwrap_or_else(|_| path.clone()) };
        let mut parts = Vec::new();
        for part in relative(&named, &self.root).with_extension("").components() {
            if let Component::Normal(part) = part {
                // A dot in a name would mean a package.
                parts.push(part.to_string_lossy().replace('.', "%2e"));
            }
        }
        Script::File { path: path.into(), module: parts.join(".").into() }
    }
}

fn relative<'p>(path: &'p Path, root: &Path) -> &'p Path {
    path.strip_prefix(root).unwrap_or(path)
}

/// A file with a similar name in the same folder.
pub(in crate::config) fn similar_file(
    text: &str,
    directory: &Path,
    ending: &str,
    problems: &mut Problems,
) -> Option<String> {
    let wanted = Path::new(text);
    let folder = wanted.parent().unwrap_or(Path::new(""));
    let name = wanted.file_name()?.to_str()?;
    let names: Vec<String> = std::fs::read_dir(directory.join(folder))
        .ok()?
        .take(1000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(ending))
        .collect();
    let near = problems.suggestions.nearest(name, names.iter().map(String::as_str))?;
    Some(folder.join(near).to_str()?.to_owned())
}
