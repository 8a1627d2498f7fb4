//! The Python that is shipped inside the binary, and how it gets into an interpreter.
//!
//! The interpreter is started with one line on its command line ([`arguments`], [`launched_arguments`]) that reads the rest from the
//! connection: nothing has to be installed where the interpreter is, nothing can go stale, and it works behind any launcher. What
//! Python compiles of it is kept in the user's cache (`install.py`).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// What comes first on a connection: it reads the rest.
const BOOT: &str = include_str!("python/boot.py");

/// What `python -c` runs where the connection is a descriptor that it inherits. `posix` is built in: nothing is imported from the current
/// folder, which is on `sys.path` until [`BOOT`] takes it away.
const READ: &str = "import posix;exec(posix.read(fd,";

/// What it runs behind a launcher: it connects to the address in its environment, or as another user (EACCES) to the one beside it, shows
/// the token, and reads.
const CONNECT: &str = "import sys;sys.path[0]or sys.path.pop(0);import os,_socket;\
    a,t=[os.environ.pop(n,0)or sys.exit('pushflow: the launcher has not passed on '+n)\
    for n in('PUSHFLOW_WORKER_ADDRESS','PUSHFLOW_WORKER_TOKEN')];s=_socket.socket(1);e=s.connect_ex(a);\
    e=s.connect_ex(a+'-for-others')if e==13 else e;e and sys.exit('pushflow: cannot connect to %s: %s'%(a,os.strerror(e)));s.sendall(t.encode());fd=None;exec(s.recv(";

/// What other programs for `python -c` begin with: takes the current folder from `sys.path`, where somebody may have left modules.
pub const WITHOUT_CURRENT_FOLDER: &str =
    "import sys\nif sys.path[:1] == [''] and not getattr(sys.flags, 'safe_path', False): del sys.path[0]\n";

/// The arguments of an interpreter that inherits its end of a connection as this descriptor. The title is what its process is called until it
/// gives itself one: `pushflow-worker: NAME`.
pub fn arguments(connection: RawFd, title: &str) -> [String; 3] {
    ["-c".to_owned(), format!("fd={connection};{READ}{}))", BOOT.len()), title.to_owned()]
}

/// The arguments of an interpreter behind a launcher.
pub fn launched_arguments(title: &str) -> [String; 3] {
    ["-c".to_owned(), format!("{CONNECT}{}))", BOOT.len()), title.to_owned()]
}

/// Whether this is the program on the command line of an interpreter that has not given itself a title yet.
pub fn is_boot(argument: &str) -> bool {
    argument.starts_with(CONNECT) || (argument.starts_with("fd=") && argument.contains(READ))
}

const INSTALL: &str = include_str!("python/install.py");

/// Each imports those before it.
const MODULES: &[(&str, &str)] = &[
    ("pushflow", include_str!("python/__init__.py")),
    ("pushflow.light", include_str!("python/light.py")),
    ("pushflow.descriptors", include_str!("python/descriptors.py")),
    ("pushflow.title", include_str!("python/title.py")),
    ("pushflow.wire", include_str!("python/wire.py")),
    ("pushflow.tasks", include_str!("python/tasks.py")),
    ("pushflow.billiards", include_str!("python/billiards.py")),
    ("pushflow.children", include_str!("python/children.py")),
    ("pushflow.identity", include_str!("python/identity.py")),
    ("pushflow.streams", include_str!("python/streams.py")),
    ("pushflow.silence", include_str!("python/silence.py")),
    ("pushflow.affinity", include_str!("python/affinity.py")),
    ("pushflow.worker", include_str!("python/worker.py")),
    ("pushflow.setup", include_str!("python/setup.py")),
    ("pushflow.fresh", include_str!("python/fresh.py")),
    ("pushflow.forkserver", include_str!("python/forkserver.py")),
];
/// Modules that some workflows need.
const LATER: &[(&str, &str)] = &[
    ("pushflow.pages", include_str!("python/pages.py")),
    ("pushflow.described", include_str!("python/described.py")),
    ("pushflow.forms", include_str!("python/forms.py")),
    ("pushflow.namesakes", include_str!("python/namesakes.py")),
    ("pushflow.crowd", include_str!("python/crowd.py")),
    ("pushflow.threads", include_str!("python/threads.py")),
    ("pushflow.greenlets", include_str!("python/greenlets.py")),
];

/// The first bytes on a connection: `BOOT`, the length of the source, and the source, which installs the package `pushflow`
/// and calls `entry` (as `module.function`) with the socket. What is compiled is kept in `cache`, if there is one.
pub fn source(entry: &str, cache: Option<&Path>) -> Vec<u8> {
    let cache = cache.and_then(Path::to_str).unwrap_or_default();
    let mut version = DefaultHasher::new();
    (MODULES, LATER).hash(&mut version);
    let arguments = serde_json::json!([MODULES, LATER, cache, format!("workers-{:016x}", version.finish())]);
    // JSON's lists and strings are Python's.
    let text = format!("{INSTALL}\ninstall(*{arguments})\nsys.modules['pushflow'].{entry}(socket_)\n");
    let mut bytes = BOOT.as_bytes().to_vec();
    bytes.extend((text.len() as u32).to_le_bytes());
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
