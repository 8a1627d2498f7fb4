"""Executing tasks: finding `run`, calling it, and saying how it ended."""

import sys
from os import close

import pushflow
from pushflow import wire
from pushflow.light import pickle


class Scripts:
    """The `run` functions of the workflow's python actors."""

    def __init__(self, scripts, actors):
        #: (module, path of the file or None), each once
        self.scripts = scripts
        #: the folders of files
        self.folders = {path.rpartition("/")[0] for _, path in scripts if path is not None}
        #: actor -> the number of its script
        self.actors = actors
        #: script -> function
        self.found = {}
        #: actor -> function
        self.functions = {}

    def preload(self):
        """Imports every module once. What fails here fails again, visibly, when its actor is triggered."""
        for number in range(len(self.scripts)):
            try:
                self.found[number] = self.load(number)
            except BaseException:
                continue

    def find(self, actor):
        """The function of an actor; its module is imported when it is first asked for."""
        number = self.actors[actor]
        run = self.found.get(number)
        if run is None:
            run = self.found[number] = self.load(number)
        self.functions[actor] = run
        return run

    def load(self, number):
        module_name, path = self.scripts[number]
        if path is not None:
            module_name = _free_name(module_name)
        module = sys.modules.get(module_name)
        if module is None:
            module = _import(module_name, path)
            if path is not None and len(self.folders) > 1:
                self.warn_of_namesakes(module)
        try:
            run = module.run
        except AttributeError:
            place = path or getattr(module, "__file__", None) or module_name
            raise AttributeError(f"module {module_name!r} has no function 'run' ({place})") from None
        return run

    def warn_of_namesakes(self, module):
        try:
            from pushflow import namesakes

            namesakes.warn(module, self.folders)
        except Exception:
            pass  # it is only for a warning


def _free_name(name):
    """The name for a script's module: its own, unless Python has a module of that name (a script called select.py)."""
    first = name.partition(".")[0]
    taken = first in sys.builtin_module_names or first in getattr(sys, "stdlib_module_names", _STDLIB)
    return f"pushflow_scripts.{name}" if taken or first == "pushflow" else name


#: Before Python 3.10 the names are not listed: those that scripts are likely to be called.
_STDLIB = frozenset(
    "abc ast calendar code cmd copy csv dis email enum errno fractions glob html http io json keyword locale logging "
    "mailbox math operator parser pickle platform profile queue random re sched select shelve signal site socket "
    "statistics stat string struct subprocess symbol symtable tempfile test time timeit token trace types typing uuid "
    "warnings wave xml zipfile".split()
)


def _import(name, path):
    if path is None:
        from importlib import import_module

        return import_module(name)
    try:
        # What importlib.util and importlib.machinery have these from: with them come `contextlib`, `functools` and more.
        from _frozen_importlib import module_from_spec
        from _frozen_importlib_external import SourceFileLoader, spec_from_file_location
    except ImportError:
        from importlib.machinery import SourceFileLoader
        from importlib.util import module_from_spec, spec_from_file_location

    # None for a name with another ending than Python's: the workflow says that it is a script.
    spec = spec_from_file_location(name, path) or spec_from_file_location(
        name, path, loader=SourceFileLoader(name, path)
    )
    module = module_from_spec(spec)
    sys.modules[name] = module
    # As the import statement does it: Python's hint at a circular import looks at this.
    spec._initializing = True
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    finally:
        spec._initializing = False
    return module


#: A gap between positions is filled: a position beyond this is a mistake, and would fill the memory.
MOST_POSITIONS = 1000000


def arguments(entries):
    """Splits a payload: positions become positional arguments (a gap is None), names become keyword arguments."""
    keywords = {key: value for key, value in entries.items() if type(key) is str}
    if len(keywords) == len(entries):
        return (), keywords
    positions = {key: value for key, value in entries.items() if type(key) is not str}
    last = max(positions)
    if last >= MOST_POSITIONS:
        raise TypeError(f"the payload has the position {last}: run() can have {MOST_POSITIONS} positional arguments")
    return tuple(positions.get(at) for at in range(last + 1)), keywords


def checked_result(result, run):
    """The result of `run` as a dict with keys that a payload can have."""
    if type(result) is not dict:
        # As pypushflow, where a result is what `{**result}` takes.
        if not hasattr(result, "keys") or not hasattr(type(result), "__getitem__"):
            raise TypeError(f"run() must return a mapping, not {_a(type(result))} ({_place(run)})")
        result = {**result}
    for key in result:
        if type(key) is not str and not _is_position(key):
            raise TypeError(
                f"run() returned the key {_shortened(key)}: keys are strings, or integers for positional arguments ({_place(run)})"
            )
    return result


def _place(run):
    """Where a function is: its file, or its module."""
    code = getattr(run, "__code__", None)
    return getattr(code, "co_filename", None) or getattr(run, "__module__", None) or type(run).__qualname__


#: So many keys of a payload are named in an error, each with so many characters.
NAMED, LONGEST_NAME = 20, 40


def explain_call(error):
    """Adds to the TypeError of a call that was not possible whose `run` it is and what the payload has."""
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    if frame.f_code.co_name != "call" or not frame.f_code.co_filename.startswith("<pushflow"):
        return  # it comes from within the task
    args, kwargs, run = (frame.f_locals.get(name) for name in ("args", "kwargs", "run"))
    if run is None or len(error.args) != 1:
        return
    keys = [*map(str, range(len(args))), *kwargs]
    names = ", ".join(map(_shortened, keys[:NAMED])) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
    error.args = (f"{error.args[0]} ({_place(run)}; the payload has {names or 'no keys'})",)


def _shortened(key):
    text = repr(key)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def _is_position(key):
    if isinstance(key, str):
        return True
    try:
        return -(1 << 63) <= key < 1 << 63 and hash(key) == hash(int(key)) and key == int(key)
    except (TypeError, ValueError, ArithmeticError):
        return False


def _a(kind):
    return "None" if kind is type(None) else kind.__qualname__


def pack_error(error, interrupted, fds):
    """The body of an ERROR frame: whether it was an interrupt, the text, the traceback's lines, the exception."""
    error.__traceback__ = _users_frames(error.__traceback__)
    try:
        from traceback import format_exception

        lines = format_exception(type(error), error, error.__traceback__)
    except BaseException:
        lines = [f"{type(error).__qualname__}: (its traceback cannot be formatted)\n"]
    text = _text(error)
    lines = wire.cut_lines(lines)
    parts = [wire.LOOK_HEADER.pack(interrupted, len(lines))]
    for part in [text, *lines]:
        part = str.encode(wire.cut(str.__str__(part)), "utf-8", "backslashreplace")
        parts += [wire.COUNT.pack(len(part)), part]
    parts.append(wire.COUNT.pack(1))
    parts.append(_pack_instance(error, text, fds))
    return b"".join(parts)


def _pack_instance(error, text, fds):
    try:
        # Many exceptions can be pickled and not be unpickled again: their constructor wants other arguments.
        pickle.loads(pickle.dumps(error, 5))
        return wire.pack_entry("instance", error, None, fds)
    except BaseException:
        # What it would have brought.
        for fd in fds:
            close(fd)
        fds.clear()
        kind = type(error)
        substitute = pushflow.TaskError(text, f"{kind.__module__}.{kind.__qualname__}")
        return wire.pack_entry("instance", substitute, None, fds)


def _text(error):
    try:
        text = str(error)
        if not text and type(error).__qualname__ == "BdbQuit":
            return "the debugger was left: it needs a terminal, and a task has none"
        return text
    except BaseException as broken:
        return f"({type(error).__qualname__}, whose text cannot be had: {type(broken).__qualname__})"


def _users_frames(traceback):
    """The traceback without the frames of pushflow, which call and interrupt the task, and of Python, which import it."""
    frames = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(("<pushflow", "<frozen importlib")):
            frames.append(traceback)
        traceback = traceback.tb_next
    users = None
    for frame in reversed(frames):
        users = type(frame)(users, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return users
