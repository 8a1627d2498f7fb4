//! The Python that is shipped inside the binary, and how it gets into an interpreter.
//!
//! The interpreter is started with a few lines on its command line ([`BOOT`]) that read the rest from the connection:
//! no file is written, nothing can go stale, and it works behind any launcher.

/// What `python -c` runs: reads the [`source`] from the descriptor that its first argument names, or from the address in
/// its environment if that is `connect`, and runs it.
pub const BOOT: &str = include_str!("python/boot.py");

const MODULES: [(&str, &str); 10] = [
    ("pushflow", include_str!("python/__init__.py")),
    ("pushflow.wire", include_str!("python/wire.py")),
    ("pushflow.tasks", include_str!("python/tasks.py")),
    ("pushflow.billiards", include_str!("python/billiards.py")),
    ("pushflow.children", include_str!("python/children.py")),
    ("pushflow.identity", include_str!("python/identity.py")),
    ("pushflow.worker", include_str!("python/worker.py")),
    ("pushflow.setup", include_str!("python/setup.py")),
    ("pushflow.fresh", include_str!("python/fresh.py")),
    ("pushflow.forkserver", include_str!("python/forkserver.py")),
];
/// Modules that some workflows need, compiled when they are asked for: that takes 2 ms.
const LATER: [(&str, &str); 4] = [
    ("forms", include_str!("python/forms.py")),
    ("crowd", include_str!("python/crowd.py")),
    ("threads", include_str!("python/threads.py")),
    ("greenlets", include_str!("python/greenlets.py")),
];

/// The first bytes on a connection: the length of the source, and the source, which installs the package `pushflow`
/// and calls `entry` (as `module.function`) with the socket.
pub fn source(entry: &str) -> Vec<u8> {
    let mut text = String::from(
        "import sys\nfrom types import ModuleType\n\
         def _install(name, source):\n    \
             module = sys.modules[name] = ModuleType(name)\n    \
             module.__path__ = []\n    \
             parent, _, child = name.rpartition('.')\n    \
             if parent: setattr(sys.modules[parent], child, module)\n    \
             exec(compile(source, f'<{name}>', 'exec'), module.__dict__)\n    \
             return module\n\
         def _find(name):\n    \
             if name not in _later: raise AttributeError(f'module pushflow has no attribute {name!r}')\n    \
             return _install(f'pushflow.{name}', _later.pop(name))\n\
         _later = {}\n",
    );
    for (name, source) in LATER {
        text.push_str(&format!("_later[{name:?}] = {}\n", python_literal(source)));
    }
    for (name, source) in MODULES {
        text.push_str(&format!("_install({name:?}, {})\n", python_literal(source)));
    }
    // `from pushflow import threads` asks for it (PEP 562).
    text.push_str("sys.modules['pushflow'].__getattr__ = _find\n");
    text.push_str(&format!("sys.modules['pushflow'].{entry}(socket_)\n"));
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A Python string literal: JSON's escapes are Python's.
fn python_literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
