"""Installs the package `pushflow` in this interpreter from the source that came along.

Compiling takes a third of the time that a small workflow does, so the code is kept in the user's cache. A file there
is named after the source and the interpreter: what is not for exactly these two is never looked at.
PYTHONDONTWRITEBYTECODE does not forbid it: that variable is about the folders of modules, and where it is set (in most
containers) each worker behind a launcher would take twice as long to start.
"""

import os
import sys

Module = type(sys)


def install(modules, later, folder, name):
    """Installs modules, (name, source) each, in this order, and the others when somebody asks for them."""
    kept = path = None
    if folder and sys.implementation.cache_tag:
        magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER.hex()
        path = f"{folder}/{name}.{sys.implementation.cache_tag}-{magic}-{sys.flags.optimize}.code"
        kept = read(path)
    if kept is None:
        kept = {}
        if path:
            kept = {name: compile(source, f"<{name}>", "exec") for name, source in modules + later}
            keep(path, kept)
    for name, source in modules:
        add(name, source, kept)
    later = dict(later)

    def find(child):
        # `from pushflow import threads` asks for it (PEP 562).
        name = f"pushflow.{child}"
        if name not in later:
            raise AttributeError(f"module pushflow has no attribute {child!r}")
        return add(name, later.pop(name), kept)

    sys.modules["pushflow"].__getattr__ = find


def add(name, source, kept):
    module = sys.modules[name] = Module(name)
    module.__path__ = []
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    exec(kept.get(name) or compile(source, f"<{name}>", "exec"), module.__dict__)
    return module


def read(path):
    """The code in a file that nobody else can have written; None if there is none."""
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            if about.st_uid not in (0, os.geteuid()) or about.st_mode & 0o022:
                return None
            import marshal

            kept = marshal.loads(file.read())
            return kept if type(kept) is dict else None
    except Exception:
        return None


def keep(path, kept):
    """Writes it, whole or not at all. Where that cannot be, the next interpreter compiles as well."""
    import marshal

    begun = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        file = os.open(begun, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError:
        return
    try:
        with open(file, "wb") as file:
            file.write(marshal.dumps(kept))
        os.replace(begun, path)
    except Exception:
        try:
            os.unlink(begun)
        except OSError:
            pass
