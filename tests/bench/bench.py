"""Times pushflow against pypushflow, case by case, alternately in one run; prints medians and ratios.

Whole processes are timed: a start of the interpreter is part of both sides. Per-task times are those of the whole process
less those of the same graph with one task, divided by the number of tasks.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cases import CASES

ROOT = Path(__file__).resolve().parent.parent.parent
PUSHFLOW = ROOT / "target" / "release" / "pushflow"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each side (default 3)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(case.name for case in CASES)}")
    args = parser.parse_args()
    unknown = set(args.cases) - {case.name for case in CASES}
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    rows = []
    print(f"{'case':<34}{'pushflow':>11}{'other':>11}{'ratio':>8}{'target':>8}{'per task':>11}{'CPU/task':>10}")
    for case in CASES:
        if args.cases and case.name not in args.cases:
            continue
        row = measure(case, args.runs)
        rows.append(row)
        print(
            f"{case.name:<34}{seconds(row['pushflow']):>11}{seconds(row['other']):>11}{row['ratio']:>7.1f}×"
            f"{case.target:>7}×{seconds(row['per_task']):>11}{seconds(row['supervisor_cpu_per_task']):>10}",
            flush=True,
        )
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


def measure(case, runs):
    with tempfile.TemporaryDirectory(prefix="pushflow-bench-") as folder:
        folder = Path(folder)
        for script in Path(__file__).parent.glob("task_*.py"):
            shutil.copy(script, folder)
        (folder / "w.toml").write_text(case.toml().replace("@PYTHON@", sys.executable))
        ours, others, cpus = [], [], []
        for _ in range(runs):
            wall, cpu = timed([str(PUSHFLOW), "run", "-q", "w.toml", "--output", "out.json", *case.inputs], folder)
            ours.append(wall)
            cpus.append(cpu)
            others.append(timed(case.other(sys.executable), folder)[0])
        baseline = statistics.median(
            timed([str(PUSHFLOW), "run", "-q", "w.toml", "--output", "out.json", "-i", "limit=1"], folder)[0]
            for _ in range(runs)
        ) if case.loops else 0.0
    ours, others = statistics.median(ours), statistics.median(others)
    return {
        "case": case.name,
        "pushflow": ours,
        "other": others,
        "ratio": others / ours,
        "target": case.target,
        "per_task": max(ours - baseline, 0.0) / case.tasks,
        "supervisor_cpu_per_task": statistics.median(cpus) / case.tasks,
    }


def timed(command, folder):
    """Runs a command to its end: its wall time, and the CPU time of the process itself, without its children."""
    environment = {**os.environ, "PYTHONPATH": str(folder) + os.pathsep + str(Path(__file__).parent)}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    # The figures of the process alone are in /proc while it is dead and not reaped; wait4's include its children's.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - started
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    if process.wait():
        sys.exit(f"{' '.join(command[:6])} … exited with {process.returncode}")
    return wall, cpu


def seconds(value):
    if value >= 1:
        return f"{value:.2f} s"
    if value >= 1e-3:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} µs"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
