"""Announces the processes that tasks start to the supervisor: a record for each, through a pipe.

Python starts processes with a few functions, which are wrapped here, so tasks that start nothing are not slower. (An audit hook would
be called for every event of the interpreter, before the process has a pid, and could not be removed.) A forked child announces
itself and inherits the pipe. The supervisor finds by itself what programs start. The record is `<BBHIII`: `Announcement` in
`src/supervisor`.
"""

import os
import posix
import sys
from os import environ

from pushflow.descriptors import Descriptor
from pushflow.lowlevel_imports import Struct

RECORD = Struct("<BBHIII")  # how, flags, the last two bytes of the job's id, child or 0, parent, worker
FORKED, PROGRAM, PROCESS, SHELL, WORKER = 1, 2, 3, 4, 5
DAEMONIC, NOT_DAEMONIC = 1, 2


class _Pipe:
    """The writing end. A daemon may close it, as it closes all that it has inherited."""

    end = None
    worker = 0
    #: The job whose task runs, if the supervisor must be told, and whether it has started a process.
    job = 0
    started = False


def receive(fd):
    """Takes the pipe for the announcements of this process and its forked children."""
    _Pipe.end = Descriptor(fd)


def announce(how, pid, flags=0, parent=None):
    """Announces a process. The supervisor also finds processes whose announcement fails."""
    _Pipe.started = True
    if _Pipe.end is None or not (_Pipe.worker or how == WORKER):
        return
    try:
        if _Pipe.end.is_ours():
            posix.write(_Pipe.end.fd, RECORD.pack(how, flags, _Pipe.job, pid, parent or posix.getpid(), _Pipe.worker))
    except OSError:
        pass


def watch_worker():
    """Makes this process a worker: all further processes below it belong to tasks."""
    _Pipe.worker = posix.getpid()
    # Processes of tasks inherit it. It identifies those that have left their parent, group and session.
    environ["PUSHFLOW_ORIGIN"] = str(_Pipe.worker)
    posix.register_at_fork(after_in_parent=_has_forked, after_in_child=_forked)


def begin(job):
    """Further processes belong to the task of this job."""
    _Pipe.job = job & 0xFFFF
    _Pipe.started = False


def started():
    """Whether the task has started a process."""
    return _Pipe.started


def _has_forked():
    _Pipe.started = True


def _forked():
    announce(FORKED, posix.getpid(), parent=posix.getppid())


def install():
    """Wraps the functions that start processes, before modules of tasks import them."""
    try:
        import _posixsubprocess
    except ImportError:
        pass
    else:
        original = _posixsubprocess.fork_exec
        _posixsubprocess.fork_exec = _announcing(_without_current_folder(original))
        # Since Python 3.11 subprocess imports the function under another name.
        subprocess = sys.modules.get("subprocess")
        if getattr(subprocess, "_fork_exec", None) is original:
            subprocess._fork_exec = _posixsubprocess.fork_exec
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            setattr(os, name, _announcing(getattr(os, name)))
    system = os.system

    def announced_system(command):
        # The pid is not known here. The supervisor searches for the process.
        announce(SHELL, 0)
        return system(command)

    os.system = _like(announced_system, system)
    wanted = ("multiprocessing.process", "billiard.process")
    for name in wanted:
        if name in sys.modules:
            _tell_flags(sys.modules[name])
    sys.meta_path.insert(0, _WhenImported({name for name in wanted if name not in sys.modules}))


def _announcing(start):
    def announced(*args, **kwargs):
        pid = start(*args, **kwargs)
        announce(PROGRAM, pid)
        return pid

    return _like(announced, start)


#: What multiprocessing and billiard execute with `python -c`: spawned children, forkservers and resource trackers.
_COMMANDS = tuple(
    f"from {package}.{module} import"
    for package in ("multiprocessing", "billiard")
    for module in ("spawn", "forkserver", "resource_tracker", "semaphore_tracker")
)
_REMOVE_CURRENT_FOLDER = "import sys; sys.path[:1] == [''] and sys.path.pop(0); "


def _without_current_folder(fork_exec):
    """Removes the current folder from `sys.path` in interpreters of multiprocessing: `python -c` puts it first, and it may contain
    anybody's `multiprocessing.py`. Their children get the parent's `sys.path` afterwards."""

    def fork_exec_without(arguments, *others):
        if type(arguments) is list or type(arguments) is tuple:
            arguments = [
                _REMOVE_CURRENT_FOLDER + argument if type(argument) is str and argument.startswith(_COMMANDS) else argument
                for argument in arguments
            ]
        return fork_exec(arguments, *others)

    return _like(fork_exec_without, fork_exec)


def _like(wrapper, original):
    wrapper.__name__ = original.__name__
    wrapper.__qualname__ = original.__name__
    wrapper.__doc__ = original.__doc__
    wrapper.__module__ = original.__module__
    return wrapper


def _tell_flags(module):
    """Makes `Process.start` of multiprocessing or billiard announce whether the process is daemonic."""
    start = module.BaseProcess.start

    def announced(self):
        start(self)
        try:
            announce(PROCESS, self.pid, DAEMONIC if self.daemon else NOT_DAEMONIC)
        except Exception:
            pass  # the process runs nevertheless

    module.BaseProcess.start = _like(announced, start)


class _WhenImported:
    """A finder in `sys.meta_path` that wraps functions of the wanted modules when they are imported."""

    def __init__(self, wanted):
        self.wanted = wanted

    def find_spec(self, name, path=None, target=None):
        if name not in self.wanted:
            return None
        self.wanted.discard(name)
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
        else:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _tell_flags(module)

        try:
            spec.loader.exec_module = exec_module
        except AttributeError:
            pass  # the loader has no such attribute: the flags stay unknown
        return spec
