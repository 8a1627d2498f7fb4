"""The `run` functions of the scripts, their arguments, results and errors."""

import posix
import sys

import pushflow
from pushflow import payload_codec, wire
from pushflow.lowlevel_imports import Struct, dumps, loads, standard

ERROR_HEADER = Struct("<BI")  # whether the task was interrupted, and the number of lines of the traceback


class Scripts:
    """The `run` functions of the workflow's python actors."""

    def __init__(self, scripts, actors):
        #: (module, path of its file or None), each once
        self.scripts = scripts
        #: the folders of files
        self.folders = {path.rpartition("/")[0] for _, path in scripts if path is not None}
        #: actor -> the index of its script
        self.actors = actors
        #: index of a script -> function
        self.found = {}
        #: actor -> function
        self.functions = {}

    def preload(self):
        """Imports every module. An import that fails here is repeated when its actor is triggered, and its error is reported then."""
        for number in range(len(self.scripts)):
            try:
                self.found[number] = self.load(number)
            except BaseException:
                continue

    def find(self, actor):
        """Returns the function of an actor. Its module is imported at the first call."""
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
                self.warn_of_conflicts(module)
        try:
            run = module.run
        except AttributeError:
            place = path or getattr(module, "__file__", None) or module_name
            raise AttributeError(f"module {module_name!r} has no function 'run' ({place})") from None
        return run

    def warn_of_conflicts(self, module):
        try:
            pushflow.module_conflicts.warn(module, self.folders)
        except Exception:
            pass  # only the warning is lost


def _free_name(name):
    """Returns the name for a script's module: its own, unless the standard library has a module of that name (select.py)."""
    first = name.partition(".")[0]
    taken = first in sys.builtin_module_names or first in getattr(sys, "stdlib_module_names", _STDLIB)
    return f"pushflow_scripts.{name}" if taken or first == "pushflow" else name


#: Names of modules that scripts are likely to have. Before Python 3.10 Python does not list its modules.
_STDLIB = frozenset(
    "abc ast calendar code cmd copy csv dis email enum errno fractions glob html http io json keyword locale logging "
    "mailbox math operator parser pickle platform profile queue random re sched select shelve signal site socket "
    "statistics stat string struct subprocess symbol symtable tempfile test time timeit token trace types typing uuid "
    "warnings wave xml zipfile".split()
)


def _import(name, path):
    if path is None:
        return standard("importlib").import_module(name)
    try:
        # Where importlib.util and importlib.machinery have these from. Those import `contextlib`, `functools` and more.
        from _frozen_importlib import module_from_spec
        from _frozen_importlib_external import SourceFileLoader, spec_from_file_location
    except ImportError:
        from importlib.machinery import SourceFileLoader
        from importlib.util import module_from_spec, spec_from_file_location

    # None for a name that does not end in .py: the workflow says that it is a script.
    spec = spec_from_file_location(name, path) or spec_from_file_location(
        name, path, loader=SourceFileLoader(name, path)
    )
    module = module_from_spec(spec)
    sys.modules[name] = module
    # The import statement does the same; Python's hint at a circular import needs it.
    spec._initializing = True
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    finally:
        spec._initializing = False
    # A module may have replaced itself, as for the import statement.
    return sys.modules.get(name) or module


#: Gaps between positions are filled, so a larger position, which must be a mistake, would fill the memory.
MOST_POSITIONS = 1000000


def arguments(entries):
    """Splits a payload into positional arguments (None fills gaps) and keyword arguments."""
    keywords = {key: value for key, value in entries.items() if type(key) is str}
    if len(keywords) == len(entries):
        return (), keywords
    positions = {key: value for key, value in entries.items() if type(key) is not str}
    last = max(positions)
    if last >= MOST_POSITIONS:
        raise TypeError(f"the payload has the position {last}: run() can have {MOST_POSITIONS} positional arguments")
    return tuple(positions.get(at) for at in range(last + 1)), keywords


def checked_result(result, run):
    """Returns the result of `run` as a dict, or raises TypeError if it cannot become a payload."""
    if type(result) is not dict:
        # Everything that `{**result}` accepts, as in pypushflow.
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
    """Returns the file of a function, or its module."""
    code = getattr(run, "__code__", None)
    return getattr(code, "co_filename", None) or getattr(run, "__module__", None) or type(run).__qualname__


#: The number of keys of a payload that an error names, and the number of characters of each.
NAMED, LONGEST_NAME = 20, 40


def explain_call(error):
    """Adds the file of `run` and the keys of the payload to the TypeError of a call with wrong arguments."""
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    if frame.f_code.co_name != "call" or not frame.f_code.co_filename.startswith("<pushflow"):
        return  # the task has raised it
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
    """Packs the body of an ERROR frame: whether the task was interrupted, the text, the lines of the traceback, the exception."""
    error.__traceback__ = _users_frames(error.__traceback__)
    text = _text(error)
    lines = _cut_lines(_traceback_lines(error, text))
    parts = [ERROR_HEADER.pack(interrupted, len(lines))]
    for part in [text, *lines]:
        part = str.encode(_cut(str.__str__(part)), "utf-8", "backslashreplace")
        parts += [wire.COUNT.pack(len(part)), part]
    parts.append(wire.COUNT.pack(1))
    parts.append(_pack_instance(error, text, fds))
    return b"".join(parts)


def _traceback_lines(error, text):
    """Formats an error as Python does. Where that raises (a strange exception, a module that has changed `traceback` or one that
    it uses), the lines have the places only."""
    try:
        return [*map(str.__str__, standard("traceback").format_exception(type(error), error, error.__traceback__))]
    except BaseException:
        lines = []
        traceback = error.__traceback__
        while traceback is not None and len(lines) < MOST_LINES:
            code = traceback.tb_frame.f_code
            lines.append(f'  File "{code.co_filename}", line {traceback.tb_lineno}, in {code.co_name}\n')
            traceback = traceback.tb_next
        return ["Traceback (most recent call last):\n", *lines, f"{type(error).__qualname__}: {_cut(text)}\n"]


#: Texts of an error are sent up to this length, in characters, and tracebacks up to this number of lines. The supervisor keeps less.
LONGEST_TEXT = 1 << 20
MOST_LINES = 10000


def _cut(text):
    """Shortens a very long text to its beginning and its end."""
    left_out = len(text) - LONGEST_TEXT
    if left_out <= 0:
        return text
    return f"{text[: LONGEST_TEXT // 2]}… [{left_out} characters are left out] …{text[-LONGEST_TEXT // 2 :]}"


def _cut_lines(lines):
    """Shortens a very long traceback to its first and its last lines."""
    left_out = len(lines) - MOST_LINES
    if left_out <= 0:
        return lines
    return [*lines[: MOST_LINES // 2], f"  [{left_out} lines are left out]\n", *lines[-MOST_LINES // 2 :]]


def _pack_instance(error, text, fds):
    try:
        # Many exceptions can be pickled but not unpickled, because their constructor takes other arguments.
        loads(dumps(error, 5))
        return payload_codec.pack_entry("instance", error, fds)
    except BaseException:
        for fd in fds:
            posix.close(fd)
        fds.clear()
        # Pickling its class needs the package, which a task may have removed.
        sys.modules["pushflow"] = pushflow
        kind = type(error)
        substitute = pushflow.TaskError(text, f"{kind.__module__}.{kind.__qualname__}")
        return payload_codec.pack_entry("instance", substitute, fds)


def _text(error):
    try:
        text = str.__str__(str(error))
        if not text and type(error).__qualname__ == "BdbQuit":
            return "the debugger has exited: it needs a terminal, and a task has none"
        return text
    except BaseException as broken:
        return f"({type(error).__qualname__}, whose text raises {type(broken).__qualname__})"


def _users_frames(traceback):
    """Returns the traceback without the frames of pushflow and of Python's import system."""
    frames = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(("<pushflow", "<frozen importlib")):
            frames.append(traceback)
        traceback = traceback.tb_next
    users = None
    for frame in reversed(frames):
        users = type(frame)(users, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return users
