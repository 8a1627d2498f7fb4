"""Warns if a script means to import a module of its own folder, and gets one of the same name from the folder of another script.

The folder of each script is on `sys.path`, and Python keeps one module of each name. If two folders have a `helper.py`, both scripts get
the first one. Only workflows with scripts in several folders are checked.
"""

import os
import sys

from pushflow.lowlevel_imports import standard

#: The pairs of file and module that a warning was printed for.
_said = set()


def warn(module, folders):
    """Checks the imports of a script, also those in its functions, and of the imported modules beside it."""
    folder = os.path.dirname(module.__file__)
    others = folders - {folder}
    shared = _names(folder) & set().union(*map(_names, others))
    if not shared:
        return
    beside = [its for its in list(sys.modules.values()) if _folder_of(its) == folder]
    for user in {id(its): its for its in [module, *beside]}.values():
        for name in _imported(user) & shared:
            got = _file_of(name)
            if got is not None and os.path.dirname(got) in others and (user.__file__, name) not in _said:
                _said.add((user.__file__, name))
                print(
                    f"pushflow: warning: {user.__file__} imports {name} and gets {got}, not the one in its own folder: Python "
                    f"keeps one module of each name. Rename one of the two, or write `from .{name} import …`",
                    file=sys.stderr,
                )


def _names(folder):
    """Returns the names of the modules and packages in a folder."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return set()
    modules = {name[:-3] for name in entries if name.endswith(".py")}
    return modules | {name for name in entries if os.path.isfile(os.path.join(folder, name, "__init__.py"))}


def _folder_of(module):
    file = getattr(module, "__file__", None)
    return os.path.dirname(file) if isinstance(file, str) else None


def _file_of(name):
    """Returns the file, or the folder, of a module that is imported or would be imported."""
    module = sys.modules.get(name)
    if module is None:
        spec = standard("importlib.machinery").PathFinder.find_spec(name)
        file = getattr(spec, "origin", None)
    else:
        file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    return os.path.dirname(file) if os.path.basename(file) == "__init__.py" else file


def _imported(module):
    """Returns the top-level names that the code of a module imports, except those of its own package."""
    ast = standard("ast")
    loader = getattr(module.__spec__, "loader", None)
    source = loader.get_source(module.__name__) if hasattr(loader, "get_source") else None
    names = set()
    for node in ast.walk(ast.parse(source or "")):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names
