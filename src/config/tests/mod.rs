//! Whole files: what they mean, what is wrong with them, and that no text breaks the reader.

#![allow(clippy::unwrap_used)]

mod meaning;
mod mistakes;
mod mutations;
mod schema;
mod size;
mod syntax;

use std::path::Path;

use super::{ConfigErrors, Loaded, load_str};

/// A folder with the scripts and submodels that the texts here name.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        for script in ["tasks/add.py", "tasks/check.py", "lib/shared.py", "top.py"] {
            folder.write(script, "def run(**kwargs):\n    return kwargs\n");
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn load(&self, text: &str) -> Result<Loaded, ConfigErrors> {
        load_str(text, &self.path().join("integrate.toml"))
    }
}

/// The example of the interfaces page.
const EXAMPLE: &str = r#"
[workflow]
name = "integrate"
description = "Integrate until the resolution is good enough"
paths = ["tasks"]
timeout = "30m"
on_error = ["notify"]

[inputs]
limit = 10

[pool]
type = "process"
max_workers = 4
memory_max = "2G"

[service]
mode = "run"
max_concurrent_runs = 1
max_queued_runs = 1000
stop_timeout = "90s"

[actors.add]
kind = "python"
script = "tasks/add.py"
timeout = "5m"
retries = 2
bubble_errors = true

[actors.check]
script = "tasks/check.py"

[actors.decide]
kind = "router"
item = "doContinue"

[actors.notify]
kind = "exec"
command = ["mail", "-s", "failed: {name}", "ops"]

[[links]]
from = "start"
to = "add"
[[links]]
from = "add"
to = "check"
[[links]]
from = "check"
to = "decide"
[[links]]
from = "decide"
to = "add"
port = "true"
[[links]]
from = "decide"
to = "stop"
port = "false"
[[links]]
from = "add"
to = "notify"
on_error = true
"#;

/// Submodels in submodels, every kind of actor, ports of every type.
const NESTED: &str = r#"
links = [
    { from = "start", to = "Fork it" }, { from = "Fork it", to = "sub.In" }, { from = "Fork it", to = "join" },
    { from = "sub.Out", to = "join" }, { from = "join", to = "mark" }, { from = "mark", to = "stop" },
    { from = "sub", to = "failed", on_error = true }, { from = "sub.Late", to = "stop" },
]
[inputs]
"0" = "first"
when = 2026-01-02T03:04:05Z
nothing = { "$none" = true }
deep = { list = [1, 2.5, "three", { "$none" = true }] }
[pools.small]
type = "thread"
max_workers = -1
cpu_max = "150%"
[actors."Fork it"]
kind = "fork"
[actors.join]
kind = "join"
[actors.mark]
kind = "status"
status = "done"
[actors.failed]
kind = "error-handler"
[submodels.sub]
ports = ["Late"]
[submodels.sub.actors.choose]
kind = "router"
item = 0
[submodels.sub.actors.run]
kind = "exec"
command = ["true"]
pool = "small"
env = { A = "{a}" }
stdin = "json"
stdout_key = "text"
success_codes = [0, 1]
bubble_errors = true
[[submodels.sub.links]]
from = "In"
to = "choose"
[[submodels.sub.links]]
from = "choose"
to = "inner.In"
port = 3
[[submodels.sub.links]]
from = "choose"
to = "run"
port = "null"
[[submodels.sub.links]]
from = "choose"
to = "Late"
[[submodels.sub.links]]
from = "run"
to = "Out"
[[submodels.sub.links]]
from = "inner.Out"
to = "Out"
[submodels.sub.submodels.inner.actors.add]
script = "tasks/add.py"
pool = "small"
[[submodels.sub.submodels.inner.links]]
from = "In"
to = "add"
[[submodels.sub.submodels.inner.links]]
from = "add"
to = "Out"
"#;
