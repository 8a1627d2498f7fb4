"""Announces the processes that tasks start: a record each, down a pipe that the supervisor reads.

What Python starts goes through a few functions, and those are wrapped: a task that starts nothing pays nothing. (Audit
hooks would be called for every event of the interpreter, before there is a process number, and could not be taken
away.) A forked child announces itself, whatever forked it, and inherits the pipe; what a program starts is found by the
supervisor. The record is `<BBHIII`, see `src/supervisor/announced.rs`.
"""

import os
import sys
from os import environ

from pushflow.descriptors import Descriptor
from pushflow.light import Struct

RECORD = Struct("<BBHIII")  # how, flags, the task's last two bytes, child or 0, parent, worker
FORKED, PROGRAM, PROCESS, SHELL, WORKER = 1, 2, 3, 4, 5
DAEMONIC, NOT_DAEMONIC = 1, 2


class _Pipe:
    """The end for writing: a daemon closes all it has inherited, and so may close this."""

    end = None
    worker = 0
    #: Whose processes these are, where that must be said, and whether it has started any.
    task = 0
    started = False


def receive(fd):
    """The pipe for all that this process and its forks announce."""
    _Pipe.end = Descriptor(fd)


def announce(how, pid, flags=0, parent=None):
    """Tells the supervisor of a process. What cannot be told is found without."""
    _Pipe.started = True
    if _Pipe.end is None or not (_Pipe.worker or how == WORKER):
        return
    try:
        if _Pipe.end.is_ours():
            os.write(_Pipe.end.fd, RECORD.pack(how, flags, _Pipe.task, pid, parent or os.getpid(), _Pipe.worker))
    except OSError:
        pass


def watch_worker():
    """This process is a worker: what comes below it from now on is a task's."""
    _Pipe.worker = os.getpid()
    # What tasks start inherits it: so the supervisor knows whose a process is that has left everything else behind.
    environ["PUSHFLOW_ORIGIN"] = str(_Pipe.worker)
    os.register_at_fork(after_in_parent=_has_forked, after_in_child=_forked)


def begin(task):
    """What is started from now on is this task's."""
    _Pipe.task = task & 0xFFFF
    _Pipe.started = False


def started():
    """Whether the task has started anything."""
    return _Pipe.started


def _has_forked():
    _Pipe.started = True


def _forked():
    announce(FORKED, os.getpid(), parent=os.getppid())


def install():
    """Wraps what starts processes: before the modules of tasks take the functions into their own names."""
    try:
        import _posixsubprocess
    except ImportError:
        pass
    else:
        original = _posixsubprocess.fork_exec
        _posixsubprocess.fork_exec = _announcing(original)
        # Since Python 3.11 subprocess has the function under a name of its own.
        subprocess = sys.modules.get("subprocess")
        if getattr(subprocess, "_fork_exec", None) is original:
            subprocess._fork_exec = _posixsubprocess.fork_exec
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            setattr(os, name, _announcing(getattr(os, name)))
    system = os.system

    def announced_system(command):
        # Its number stays in C; that there was something is enough to look.
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


def _like(wrapper, original):
    wrapper.__name__ = original.__name__
    wrapper.__qualname__ = original.__name__
    wrapper.__doc__ = original.__doc__
    wrapper.__module__ = original.__module__
    return wrapper


def _tell_flags(module):
    """Lets `Process.start` of multiprocessing or billiard tell whether the process is daemonic."""
    start = module.BaseProcess.start

    def announced(self):
        start(self)
        try:
            announce(PROCESS, self.pid, DAEMONIC if self.daemon else NOT_DAEMONIC)
        except Exception:
            pass  # it runs, which is what was asked for

    module.BaseProcess.start = _like(announced, start)


class _WhenImported:
    """Finds modules as the others do, and wraps what is in the wanted ones once they are imported."""

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
            pass  # a loader without attributes: the flags stay unknown
        return spec
