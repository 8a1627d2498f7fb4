//! The Python code in the binary, and how it gets into an interpreter.
//!
//! The interpreter gets one line of code on its command line ([`arguments`], [`launched_arguments`]), which reads the rest from the
//! connection. So nothing has to be installed on the host of the interpreter, no old version can remain there, and any launcher
//! works. The compiled code is kept in the user's cache (`install.py`).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// The first code on a connection, which reads the rest.
const BOOT: &str = include_str!("python/boot.py");

/// The code for `python -c` if the connection is an inherited descriptor. The module `posix` is built in: nothing is imported from the
/// current folder, which is on `sys.path` until [`BOOT`] removes it.
const READ: &str = "import posix;exec(posix.read(fd,";

/// The code behind a launcher. It connects to the address in its environment, or, if that is refused to another user (EACCES), to the
/// address beside it; sends the token; and reads.
const CONNECT: &str = "import sys;sys.path[0]or sys.path.pop(0);import os,_socket;\
    a,t=[os.environ.pop(n,0)or sys.exit('pushflow: the launcher has not passed on '+n)\
    for n in('PUSHFLOW_WORKER_ADDRESS','PUSHFLOW_WORKER_TOKEN')];s=_socket.socket(1);e=s.connect_ex(a);\
    e=s.connect_ex(a+'-for-others')if e==13 else e;e and sys.exit('pushflow: cannot connect to %s: %s'%(a,os.strerror(e)));s.sendall(t.encode());fd=None;exec(s.recv(";

/// The beginning of other programs for `python -c`: it removes the current folder, which may contain anybody's modules, from `sys.path`.
pub const WITHOUT_CURRENT_FOLDER: &str =
    "import sys\nif sys.path[:1] == [''] and not getattr(sys.flags, 'safe_path', False): del sys.path[0]\n";

/// The arguments of an interpreter that inherits its end of a connection as this descriptor. The title (`pushflow-worker: NAME`) names the
/// process until it sets its title itself.
pub fn arguments(connection: RawFd, title: &str) -> [String; 3] {
    ["-c".to_owned(), format!("fd={connection};{READ}{}))", BOOT.len()), title.to_owned()]
}

/// The arguments of an interpreter behind a launcher.
pub fn launched_arguments(title: &str) -> [String; 3] {
    ["-c".to_owned(), format!("{CONNECT}{}))", BOOT.len()), title.to_owned()]
}

/// Whether this is the code on the command line of an interpreter that has not set its title yet.
pub fn is_boot(argument: &str) -> bool {
    argument.starts_with(CONNECT) || (argument.starts_with("fd=") && argument.contains(READ))
}

const INSTALL: &str = include_str!("python/install.py");

/// The modules that every interpreter needs. Each imports only modules before it.
const MODULES: &[(&str, &str)] = &[
    ("pushflow", include_str!("python/__init__.py")),
    ("pushflow.lowlevel_imports", include_str!("python/lowlevel_imports.py")),
    ("pushflow.descriptors", include_str!("python/descriptors.py")),
    ("pushflow.title", include_str!("python/title.py")),
    ("pushflow.memory_files", include_str!("python/memory_files.py")),
    ("pushflow.wire", include_str!("python/wire.py")),
    ("pushflow.routing_value", include_str!("python/routing_value.py")),
    ("pushflow.payload_codec", include_str!("python/payload_codec.py")),
    ("pushflow.tasks", include_str!("python/tasks.py")),
    ("pushflow.billiard_fixes", include_str!("python/billiard_fixes.py")),
    ("pushflow.children", include_str!("python/children.py")),
    ("pushflow.identity", include_str!("python/identity.py")),
    ("pushflow.streams", include_str!("python/streams.py")),
    ("pushflow.side_effects", include_str!("python/side_effects.py")),
    ("pushflow.affinity", include_str!("python/affinity.py")),
    ("pushflow.worker", include_str!("python/worker.py")),
    ("pushflow.setup", include_str!("python/setup.py")),
    ("pushflow.spawn_main", include_str!("python/spawn_main.py")),
    ("pushflow.forkserver", include_str!("python/forkserver.py")),
];
/// Modules that only some workflows need.
const LATER: &[(&str, &str)] = &[
    ("pushflow.pages", include_str!("python/pages.py")),
    ("pushflow.payload_json", include_str!("python/payload_json.py")),
    ("pushflow.json_repr", include_str!("python/json_repr.py")),
    ("pushflow.module_conflicts", include_str!("python/module_conflicts.py")),
    ("pushflow.concurrent_worker", include_str!("python/concurrent_worker.py")),
    ("pushflow.threads", include_str!("python/threads.py")),
    ("pushflow.greenlets", include_str!("python/greenlets.py")),
];

/// The first bytes on a connection: `BOOT`, the length of the source, and the source, which installs the package `pushflow`
/// and calls `entry` (`module.function`) with the socket. The compiled code is kept in `cache`, if there is one.
pub fn source(entry: &str, cache: Option<&Path>) -> Vec<u8> {
    let cache = cache.and_then(Path::to_str).unwrap_or_default();
    let mut version = DefaultHasher::new();
    (MODULES, LATER).hash(&mut version);
    let arguments = serde_json::json!([MODULES, LATER, cache, format!("workers-{:016x}", version.finish())]);
    // Lists and strings of JSON are valid Python.
    let text = format!("{INSTALL}\ninstall(*{arguments})\nsys.modules['pushflow'].{entry}(socket_)\n");
    let mut bytes = BOOT.as_bytes().to_vec();
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// The folder for compiled Python code: the cache folder of the service (systemd.exec(5), CacheDirectory), or that of the user (XDG
/// Base Directory Specification). None if there is neither.
pub fn cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("CACHE_DIRECTORY").or_else(|| {
        let user = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(user.join("pushflow"))
    })
}
