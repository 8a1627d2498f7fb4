"""How long from calling Run over D-Bus until the task runs, and until the call is answered, on an idle service with a warm worker:
medians of many, alternately with the history on a disk, as services have it, and without."""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import dbus

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOW = """links = [{ from = "start", to = "now" }, { from = "now", to = "stop" }]
[service]
mode = "resident"
[history]
enabled = %s
[pool]
idle_timeout = "1h"
[actors.now]
script = "now.py"
"""
TASK = "import time\ndef run(**_): return {'at': time.clock_gettime_ns(time.CLOCK_MONOTONIC)}\n"
CASES = {"with": "true", "without": "false"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushflow", default=str(ROOT / "target" / "release" / "pushflow"))
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--folder", default=str(ROOT / "target"), help="on the disk that is to hold the history")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder) as folder, tempfile.TemporaryDirectory() as runtime:
        workflows = Path(folder) / "pushflow" / "workflows"
        workflows.mkdir(parents=True)
        (workflows / "now.py").write_text(TASK)
        # The path of a socket must be short.
        address = f"unix:path={runtime}/bus"
        command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", f"--address={address}"]
        daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        daemon.stdout.readline()
        environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address, "XDG_RUNTIME_DIR": runtime}
        environment |= {"XDG_CONFIG_HOME": folder, "XDG_STATE_HOME": folder}
        services = {}
        try:
            for name, enabled in CASES.items():
                (workflows / f"{name}.toml").write_text(WORKFLOW % enabled)
                services[name] = subprocess.Popen(
                    [args.pushflow, "serve", "--user", name], env=environment, stderr=subprocess.PIPE, text=True
                )
                while "on the session bus" not in services[name].stderr.readline():
                    pass
            report(dbus.bus.BusConnection(address), services, args.runs)
        finally:
            for service in services.values():
                service.terminate()
                service.communicate(timeout=30)
            daemon.terminate()
            daemon.wait()


def report(bus, services, runs):
    figures = {name: [] for name in services}
    # Once: an object asks for its own description before its first call.
    objects = {name: bus.get_object(f"org.pushflow.Workflow1.{name}", "/org/pushflow/workflow") for name in services}
    for number in range(runs + 1):
        for name, service in services.items():
            times = one(bus, objects[name], service)
            # The first run starts the worker.
            if number > 0:
                figures[name].append(times)
    for name, times in figures.items():
        ran, answered = (sorted(column) for column in zip(*times))
        print(
            f"{name} the history: Run until the task runs: median {statistics.median(ran):.2f} ms, 95 % within "
            f"{ran[len(ran) * 95 // 100]:.2f} ms; until the call is answered: median {statistics.median(answered):.2f} ms, "
            f"95 % within {answered[len(answered) * 95 // 100]:.2f} ms ({runs} runs)"
        )


def one(bus, workflow, service):
    """Until the task runs, and until the call is answered, in milliseconds."""
    none = dbus.Dictionary({}, signature="sv")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    run = workflow.Run(none, none, dbus_interface="org.pushflow.Workflow1")
    answered = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - before
    while "run ended" not in service.stderr.readline():
        pass
    run = bus.get_object(workflow.bus_name, run)
    for _ in range(10_000):
        # The end is told when it is on the disk.
        output = run.Get("org.pushflow.Run1", "Outputs", dbus_interface="org.freedesktop.DBus.Properties")
        if output:
            break
    return (json.loads(output)["at"] - before) / 1e6, answered / 1e6


if __name__ == "__main__":
    main()
