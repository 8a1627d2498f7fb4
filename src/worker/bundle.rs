//! The Python that is shipped inside the binary, and how it gets into an interpreter.
//!
//! The interpreter is started with a few lines on its command line ([`BOOT`]) that read the rest from the connection:
//! nothing has to be installed where the interpreter is, nothing can go stale, and it works behind any launcher. What Python
//! compiles of it is kept in the user's cache (`install.py`).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// What `python -c` runs: reads the [`source`] from the descriptor that its first argument names, or from the address in
/// its environment if that is `connect`, and runs it.
pub const BOOT: &str = include_str!("python/boot.py");

const INSTALL: &str = include_str!("python/install.py");

/// Each imports those before it.
const MODULES: &[(&str, &str)] = &[
    ("pushflow", include_str!("python/__init__.py")),
    ("pushflow.light", include_str!("python/light.py")),
    ("pushflow.descriptors", include_str!("python/descriptors.py")),
    ("pushflow.wire", include_str!("python/wire.py")),
    ("pushflow.tasks", include_str!("python/tasks.py")),
    ("pushflow.billiards", include_str!("python/billiards.py")),
    ("pushflow.children", include_str!("python/children.py")),
    ("pushflow.identity", include_str!("python/identity.py")),
    ("pushflow.streams", include_str!("python/streams.py")),
    ("pushflow.silence", include_str!("python/silence.py")),
    ("pushflow.nearness", include_str!("python/nearness.py")),
    ("pushflow.worker", include_str!("python/worker.py")),
    ("pushflow.setup", include_str!("python/setup.py")),
    ("pushflow.fresh", include_str!("python/fresh.py")),
    ("pushflow.forkserver", include_str!("python/forkserver.py")),
];
/// Modules that some workflows need.
const LATER: &[(&str, &str)] = &[
    ("pushflow.pages", include_str!("python/pages.py")),
    ("pushflow.forms", include_str!("python/forms.py")),
    ("pushflow.crowd", include_str!("python/crowd.py")),
    ("pushflow.threads", include_str!("python/threads.py")),
    ("pushflow.greenlets", include_str!("python/greenlets.py")),
];

/// The first bytes on a connection: the length of the source, and the source, which installs the package `pushflow`
/// and calls `entry` (as `module.function`) with the socket. What is compiled is kept in `cache`, if there is one.
pub fn source(entry: &str, cache: Option<&Path>) -> Vec<u8> {
    let cache = cache.and_then(Path::to_str).unwrap_or_default();
    let mut version = DefaultHasher::new();
    (MODULES, LATER).hash(&mut version);
    let arguments = serde_json::json!([MODULES, LATER, cache, format!("workers-{:016x}", version.finish())]);
    // JSON's lists and strings are Python's.
    let text = format!("{INSTALL}\ninstall(*{arguments})\nsys.modules['pushflow'].{entry}(socket_)\n");
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// Where this user's compiled Python is kept: the service's cache folder (systemd.exec(5), CacheDirectory), or the user's own (XDG
/// Base Directory Specification). None where there is neither.
pub fn cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("CACHE_DIRECTORY").or_else(|| {
        let user = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(user.join("pushflow"))
    })
}
