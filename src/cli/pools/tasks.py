"""The tasks of pypushflow's compatibility table: each starts what it is named after, and returns 10."""

import concurrent.futures
import multiprocessing
import multiprocessing.pool
import os
import subprocess


def run(task, **_):
    return {"result": TASKS[task]()}


def ten():
    return 10


def put_ten(result):
    result.value = 10


def _subprocess():
    return int(subprocess.check_output(["echo", "10"]))


def _cfpool():
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        return pool.submit(ten).result()


def _mppool():
    with multiprocessing.pool.Pool(2) as pool:
        return pool.apply(ten)


def _mpprocess():
    return _process(multiprocessing.get_context())


def _bpool():
    from billiard.pool import Pool

    with Pool(2) as pool:
        return pool.apply(ten)


def _bprocess():
    import billiard

    return _process(billiard.get_context())


def _process(context):
    with context.Manager() as manager:
        result = manager.Value("i", 0)
        child = context.Process(target=put_ten, args=(result,))
        child.start()
        child.join()
        return result.value


def _flags():
    from pushflow import identity

    return {"pid": os.getpid(), **identity.flags()}


TASKS = {
    "simple": ten,
    "subprocess": _subprocess,
    "cfpool": _cfpool,
    "mppool": _mppool,
    "mpprocess": _mpprocess,
    "bpool": _bpool,
    "bprocess": _bprocess,
    "flags": _flags,
}
