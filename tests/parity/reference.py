"""Runs graphs in pypushflow, one request a line on standard input, one answer a line on standard output.

A request is {"module", "class", "inputs", "args", "timeout", "pool"}; the answer has the output, value by value, as far
as JSON can say it, or what was raised. {"names": "module:DICTIONARY"} is answered with the names in it.
"""

import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading

#: pypushflow may hang for good, in `sys.exit` of a task for instance: this ends this process and all below it.
PATIENCE = 100


def main(requests, answers):
    for line in requests:
        watchdog = threading.Timer(PATIENCE, end)
        watchdog.daemon = True
        watchdog.start()
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()
        watchdog.cancel()


def end():
    """Ends this process and the workers that pypushflow has left behind."""
    os.killpg(0, signal.SIGKILL)


def answer(request):
    if "names" in request:
        module, _, dictionary = request["names"].partition(":")
        return list(getattr(importlib.import_module(module), dictionary))
    workflow = getattr(importlib.import_module(request["module"]), request["class"])(request["class"])
    inputs = {**dict(enumerate(request["args"])), **request["inputs"]}
    options = {"pool_type": request["pool"]}
    if request["pool"] in (None, "process"):
        # Forked from a process with threads, workers hang now and then.
        options["context"] = "forkserver"
    try:
        output = workflow.run(inputs, timeout=request["timeout"], scaling_workers=False, max_workers=8, **options)
    except Exception as error:
        return {"raised": "%s: %s" % (type(error).__name__, error)}
    return {"output": None if output is None else {str(key): said(value) for key, value in output.items()}}


def said(value):
    """The value as JSON, if JSON can say it; else its type."""
    try:
        if is_plain(value):
            return {"json": value}
    except RecursionError:
        pass
    return {"type": "%s.%s" % (type(value).__module__, type(value).__qualname__)}


def is_plain(value):
    if value is None or type(value) in (bool, int):
        return True
    if type(value) is str:
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if type(value) is float:
        return value - value == 0
    if type(value) is list:
        return all(map(is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and is_plain(key) and is_plain(item) for key, item in value.items())
    return False


if __name__ == "__main__":
    # Nobody but this file writes to the standard output that the answers are read from.
    own_output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    os.setpgid(0, 0)
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    multiprocessing.set_forkserver_preload(["tasks.values", "tasks.describe", "pypushflow.Workflow"])
    main(sys.stdin, own_output)
    end()
