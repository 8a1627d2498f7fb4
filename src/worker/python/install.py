"""Installs the package `pushflow` in this interpreter from its source, which came over the connection.

Compiling takes a third of the time of a small workflow, so the compiled code is kept in the user's cache. The name of a file there
contains the version of the source and of the interpreter; other files are ignored. PYTHONDONTWRITEBYTECODE does not disable the
cache: that variable is about the folders of modules, and many containers set it; each worker behind a launcher would take twice as
long to start.
"""

import os
import sys
from _thread import RLock

Module = type(sys)


def install(modules, later, folder, name):
    """Installs `modules`, pairs of name and source, in this order. Those in `later` are installed when they are first used."""
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
    package = sys.modules["pushflow"]
    sources = {name.rpartition(".")[2]: source for name, source in later}
    lock = RLock()

    def find(child):
        # Python calls this for an attribute that the package does not have (PEP 562). Several threads may do so at the same time.
        with lock:
            if child in package.__dict__:
                return package.__dict__[child]
            if child not in sources:
                raise AttributeError(f"module pushflow has no attribute {child!r}")
            module = create(f"pushflow.{child}", sources[child], kept)
            setattr(package, child, module)
            return module

    package.__getattr__ = find


def add(name, source, kept):
    """Installs a module."""
    module = create(name, source, kept)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def create(name, source, kept):
    """Executes the code of a module."""
    module = sys.modules[name] = Module(name)
    module.__path__ = []
    exec(kept.get(name) or compile(source, f"<{name}>", "exec"), module.__dict__)
    return module


def read(path):
    """Reads the code in a file that nobody else can have written. Returns None if there is none."""
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
    """Writes the code into a file, completely or not at all. If that fails, the next interpreter compiles it again."""
    import marshal

    unfinished = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        file = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError:
        return
    try:
        with open(file, "wb") as file:
            file.write(marshal.dumps(kept))
        os.replace(unfinished, path)
    except Exception:
        try:
            os.unlink(unfinished)
        except OSError:
            pass
