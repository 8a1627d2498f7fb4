"""How long from calling Run over D-Bus until the task runs, on an idle service with a warm worker; median of many."""

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
[pool]
idle_timeout = "1h"
[actors.now]
script = "now.py"
"""
TASK = "import time\ndef run(**_): return {'at': time.clock_gettime_ns(time.CLOCK_MONOTONIC)}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushflow", default=str(ROOT / "target" / "release" / "pushflow"))
    parser.add_argument("--runs", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pushflow-bench-") as folder:
        workflows = Path(folder) / "pushflow" / "workflows"
        workflows.mkdir(parents=True)
        (workflows / "w.toml").write_text(WORKFLOW)
        (workflows / "now.py").write_text(TASK)
        address = f"unix:path={folder}/bus"
        command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", f"--address={address}"]
        daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        daemon.stdout.readline()
        environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address, "XDG_CONFIG_HOME": folder}
        service = subprocess.Popen(
            [args.pushflow, "serve", "--user", "w"], env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            while "on the session bus" not in service.stderr.readline():
                pass
            print(report(address, service, args.runs))
        finally:
            service.terminate()
            service.communicate(timeout=30)
            daemon.terminate()
            daemon.wait()


def report(address, service, runs):
    bus = dbus.bus.BusConnection(address)
    name = "org.pushflow.Workflow1.w"
    workflow = dbus.Interface(bus.get_object(name, "/org/pushflow/workflow"), "org.pushflow.Workflow1")
    none = dbus.Dictionary({}, signature="sv")
    took, answered = [], []
    for _ in range(runs + 1):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        run = workflow.Run(none, none)
        answered.append((time.clock_gettime_ns(time.CLOCK_MONOTONIC) - before) / 1e6)
        while "run ended" not in service.stderr.readline():
            pass
        run = bus.get_object(name, run)
        for _ in range(1000):
            output = run.Get("org.pushflow.Run1", "Outputs", dbus_interface="org.freedesktop.DBus.Properties")
            if output:
                break
        took.append((json.loads(output)["at"] - before) / 1e6)
    # The first run starts the worker.
    took, answered = sorted(took[1:]), sorted(answered[1:])
    return (
        f"Run until the task runs: median {statistics.median(took):.2f} ms, 95 % within {took[len(took) * 95 // 100]:.2f} ms; "
        f"until the call is answered: median {statistics.median(answered):.2f} ms ({runs} runs)"
    )


if __name__ == "__main__":
    main()
