//! `pushflow new`: creates the files of a new workflow, which can be run without changes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::locate::{Whose, is_path};
use super::{Exit, Failure, cannot_write, schema};
use crate::systemd::escape::unit_for_shell;

/// The schema that packages install.
const INSTALLED_SCHEMA: &str = "/usr/share/pushflow/workflow.schema.json";
/// The name of the schema beside a workflow, if no package is installed.
const SCHEMA: &str = "workflow.schema.json";

/// The arguments of `pushflow new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Creates NAME.toml and NAME/task.py. Existing files are not overwritten. \
If the schema of workflow files is not installed, it is written beside the workflow.

Examples:
  pushflow new integrate            ./integrate.toml and ./integrate/task.py
  pushflow new beamline/mesh.toml   in another folder
  pushflow new integrate --user     in ~/.config/pushflow/workflows, for `pushflow run integrate` and services")]
pub(super) struct NewArgs {
    /// Name of the workflow, or path of its file
    #[arg(value_name = "NAME|FILE")]
    name: String,

    /// Create it in the folder for workflows of this user
    #[arg(long, conflicts_with = "system")]
    user: bool,

    /// Create it in the folder for workflows of the system
    #[arg(long)]
    system: bool,
}

/// Creates the files and prints the next steps.
pub(super) fn run(args: &NewArgs) -> Result<Exit, Failure> {
    let place = args.place()?;
    let written = write(&place)?;
    let mut out = io::stdout().lock();
    let names: Vec<_> = written.iter().map(|file| file.display().to_string()).collect();
    let told = writeln!(out, "wrote {}\n\n{}", names.join(", "), args.next_steps(&place));
    told.map_err(cannot_write)?;
    Ok(Exit::Finished)
}

/// The files of a workflow.
struct Place {
    /// The folder of the workflow file.
    folder: PathBuf,
    name: String,
}

impl Place {
    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.toml", self.name))
    }

    fn script(&self) -> PathBuf {
        self.folder.join(&self.name).join("task.py")
    }
}

impl NewArgs {
    fn whose(&self) -> Option<Whose> {
        match (self.user, self.system) {
            (true, _) => Some(Whose::User),
            (_, true) => Some(Whose::System),
            _ => None,
        }
    }

    fn place(&self) -> Result<Place, Failure> {
        let given = &self.name;
        let path = Path::new(given);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.strip_suffix(".toml").unwrap_or(name).to_owned();
        if name.is_empty() || name.starts_with(['.', '-']) || name.contains(char::is_control) || given.ends_with('/') {
            return Err(Failure::usage(anyhow!("{given:?} is not a name for a workflow")));
        }
        let folder = match self.whose() {
            Some(_) if is_path(given) => {
                return Err(Failure::usage(anyhow!("--user and --system take a name, not the path {given}")));
            }
            Some(whose) => whose.workflow_folders().into_iter().next().ok_or_else(|| {
                Failure::from(anyhow!("cannot find the folder for workflows of this user: HOME is not set"))
            })?,
            None => path.parent().unwrap_or(Path::new("")).to_owned(),
        };
        Ok(Place { folder, name })
    }

    /// The commands for a new workflow.
    fn next_steps(&self, place: &Place) -> String {
        let file = quoted(&place.file());
        match self.whose() {
            None => format!(
                "Run it:    pushflow run {file} -i name=World\nCheck it:  pushflow check {file}\nDraw it:   pushflow graph {file} --output {}",
                quoted(&place.file().with_extension("svg"))
            ),
            Some(whose) => {
                let name = quoted(Path::new(&place.name));
                format!(
                    "Run it:    pushflow run {name} -i name=World\nCheck it:  pushflow check {file}\nServe it:  {} start {}",
                    whose.systemctl(),
                    unit_for_shell(&place.name)
                )
            }
        }
    }
}

/// A path, to be copied into a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), Into::into)
}

/// Writes all files or none.
fn write(place: &Place) -> Result<Vec<PathBuf>, Failure> {
    let (file, script) = (place.file(), place.script());
    for path in [&file, &script] {
        if path.symlink_metadata().is_ok() {
            let what = anyhow!("{} exists; choose another name, or remove it", path.display());
            return Err(Failure::usage(what));
        }
    }
    let mut written = Vec::new();
    match write_all(place, &mut written) {
        Ok(()) => Ok(written),
        Err(error) => {
            for path in written {
                let _ = fs::remove_file(path);
            }
            Err(error.into())
        }
    }
}

fn write_all(place: &Place, written: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut put = |path: PathBuf, content: &str| -> anyhow::Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let mut file = File::create_new(&path).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path.clone());
        file.write_all(content.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    };
    let schema = if Path::new(INSTALLED_SCHEMA).is_file() { INSTALLED_SCHEMA } else { SCHEMA };
    put(place.script(), TASK)?;
    put(place.file(), &workflow(&place.name, schema))?;
    let beside = place.folder.join(SCHEMA);
    if schema == SCHEMA && beside.symlink_metadata().is_err() {
        let mut text = Vec::new();
        schema::run(&mut text).context("cannot write the schema")?;
        put(beside, &String::from_utf8(text)?)?;
    }
    Ok(())
}

/// The workflow file. `schema` is for editors.
fn workflow(name: &str, schema: &str) -> String {
    let schema = if schema.starts_with('/') { format!("file://{schema}") } else { format!("./{schema}") };
    let script = toml::Value::String(format!("{name}/task.py"));
    format!(
        r#"#:schema {schema}
# Inputs enter at `start`; what arrives at `stop` is the output.
links = [
    {{ from = "start", to = "task" }},
    {{ from = "task", to = "stop" }},
]

[workflow]
description = "Says hello"

# Default inputs; `-i name=World` on the command line overrides them.
[inputs]
name = "you"

# A Python task: its function `run` gets the inputs as keyword arguments, and the dict that it returns is added to them.
[actors.task]
script = {script}

# As a service that waits for requests (`pushflow submit`), instead of running once:
# [service]
# mode = "resident"
"#
    )
}

const TASK: &str = r#"def run(name, **others):
    print(f"greeting {name}")
    return {"reply": f"Hello {name}!"}
"#;
