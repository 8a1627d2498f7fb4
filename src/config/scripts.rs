//! Finding a python actor's script: a file beside the workflow, or a module on `sys.path`.

use std::path::{Component, Path, PathBuf};

use super::diagnostics::Problems;
use super::run_function::{LONGEST, may_define_run};
use super::settings::{beside, directory_of};
use super::source::At;
use super::suggest::{did_you_mean, quoted};
use crate::graph::Script;
use rustc_hash::FxHashMap;

/// Scripts that were looked for, so that a thousand actors with one script cost one look at the disk.
#[derive(Debug)]
pub(super) struct Scripts {
    root: PathBuf,
    /// By the file that names them and the name there.
    found: FxHashMap<u32, FxHashMap<String, Script>>,
}

impl Scripts {
    /// For the workflow in this folder.
    pub fn new(root: PathBuf) -> Self {
        Scripts { root, found: FxHashMap::default() }
    }

    /// The script that an actor names; what is wrong with it is reported.
    pub fn resolve(&mut self, text: &At<String>, paths: &[PathBuf], problems: &mut Problems) -> Option<Script> {
        if let Some(script) = self.found.get(&text.at.source).and_then(|found| found.get(&text.value)) {
            return Some(script.clone());
        }
        let directory = directory_of(text.at.source, problems);
        match self.look(&text.value, beside(text, problems), &directory, paths) {
            Ok(script) => {
                if problems.thorough && self.has_no_run(&script, paths) {
                    problems
                        .warning(text.at, format!("the script {} has no function `run`", quoted(&text.value)))
                        .label("its `run` is what the actor calls");
                }
                self.found.entry(text.at.source).or_default().insert(text.value.clone(), script.clone());
                Some(script)
            }
            Err(reason) => {
                let near = near_file(&text.value, &directory, ".py", problems);
                let help = did_you_mean(near.as_deref())
                    .unwrap_or_else(|| "a script is a path relative to this file, or a dotted module".to_owned());
                problems.error(text.at, format!("there is no script {}", quoted(&text.value))).label(reason).help(help);
                None
            }
        }
    }

    /// Whether the text of a script shows that there is no `run` in it. A module that is found nowhere near may be installed.
    fn has_no_run(&self, script: &Script, paths: &[PathBuf]) -> bool {
        let file = match script {
            Script::File { path, .. } => Some(path.to_path_buf()),
            Script::Module(name) => {
                let relative = format!("{}.py", name.replace('.', "/"));
                let folders = paths.iter().chain([&self.root]);
                folders.map(|folder| folder.join(&relative)).find(|path| path.is_file())
            }
        };
        let short = file.filter(|file| file.metadata().is_ok_and(|found| found.len() <= LONGEST));
        short.and_then(|file| std::fs::read_to_string(file).ok()).is_some_and(|text| !may_define_run(&text))
    }

    fn look(&self, text: &str, path: PathBuf, directory: &Path, paths: &[PathBuf]) -> Result<Script, String> {
        if path.is_file() {
            return Ok(self.file(path));
        }
        if path.is_dir() {
            return Err("this is a folder".to_owned());
        }
        if text.contains('/') {
            return Err(match directory == self.root {
                true => "not there".to_owned(),
                false => format!("not there: {}", relative(&path, &self.root).display()),
            });
        }
        let module = text.strip_suffix(".py");
        if module.is_some_and(|stem| !stem.contains('.')) {
            return match paths.iter().map(|folder| folder.join(text)).find(|path| path.is_file()) {
                Some(path) => Ok(self.file(path)),
                None if paths.is_empty() => Err("not beside this file".to_owned()),
                None => Err("neither beside this file nor in the folders of `paths`".to_owned()),
            };
        }
        let module = module.unwrap_or(text);
        let identifier = |part: &str| {
            part.chars().all(|c| c.is_alphanumeric() || c == '_') && part.starts_with(|c: char| !c.is_numeric())
        };
        if module.split('.').all(identifier) {
            Ok(Script::Module(module.into()))
        } else {
            Err("neither a file nor the name of a module".to_owned())
        }
    }

    /// The name that a file's module gets follows from its place relative to the workflow's folder, as an import from
    /// there would name it: instances of its classes find it again, in processes too that a task starts. (The worker
    /// gives way where Python has a module of that name: `select.py`.)
    fn file(&self, path: PathBuf) -> Script {
        let plain = |path: &Path| path.components().all(|part| part != Component::ParentDir);
        let named = if plain(&path) { path.clone() } else { path.canonicalize().unwrap_or_else(|_| path.clone()) };
        let mut parts = Vec::new();
        for part in relative(&named, &self.root).with_extension("").components() {
            if let Component::Normal(part) = part {
                // A dot inside a name would be taken for a package.
                parts.push(part.to_string_lossy().replace('.', "%2e"));
            }
        }
        Script::File { path: path.into(), module: parts.join(".").into() }
    }
}

fn relative<'p>(path: &'p Path, root: &Path) -> &'p Path {
    path.strip_prefix(root).unwrap_or(path)
}

/// A file with a similar name in the folder where this one is not.
pub(super) fn near_file(text: &str, directory: &Path, ending: &str, problems: &mut Problems) -> Option<String> {
    let wanted = Path::new(text);
    let folder = wanted.parent().unwrap_or(Path::new(""));
    let name = wanted.file_name()?.to_str()?;
    let names: Vec<String> = std::fs::read_dir(directory.join(folder))
        .ok()?
        .take(1000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(ending))
        .collect();
    let near = problems.guesses.nearest(name, names.iter().map(String::as_str))?;
    Some(folder.join(near).to_str()?.to_owned())
}
