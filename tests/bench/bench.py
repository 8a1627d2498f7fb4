"""Times pushflow against pypushflow, case by case, alternately in one run; prints medians and ratios.

Whole processes are timed: a start of the interpreter is part of both sides. Per-task times are those of the whole process
less those of the same graph with one task, divided by the number of tasks. What the supervisor uses is what the last
task of the graph reads of its parent.
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
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {'; '.join(case.name for case in CASES)}")
    args = parser.parse_args()
    unknown = set(args.cases) - {case.name for case in CASES}
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    rows = []
    head = ["pushflow", "other", "ratio", "target", "per task", "CPU/task", "memory"]
    print(f"{'case':<40}" + "".join(f"{title:>10}" for title in head))
    for case in CASES:
        if args.cases and case.name not in args.cases:
            continue
        row = own_figure(case, args.runs) if case.unit else compared(case, args.runs)
        rows.append(row)
        print(f"{case.name:<40}" + "".join(f"{cell:>10}" for cell in cells(row)), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


def cells(row):
    """The row as text: what was not measured is a dash."""
    if row["unit"]:
        figure = size if row["unit"] == "bytes" else seconds
        return [figure(row["pushflow"]), "–", "–", "<" + figure(row["target"]), "–", "–", "–"]
    return [
        seconds(row["pushflow"]),
        seconds(row["other"]),
        f"{row['ratio']:.{2 if row['ratio'] < 2 else 1}f}×",
        f"{row['target']}×",
        seconds(row["per_task"]),
        seconds(row["supervisor_cpu_per_task"]),
        size(row["supervisor_peak"]),
    ]


def prepare(case, folder):
    for script in Path(__file__).parent.glob("task_*.py"):
        shutil.copy(script, folder)
    (folder / "w.toml").write_text(case.toml().replace("@PYTHON@", sys.executable))


def command(inputs):
    return [str(PUSHFLOW), "run", "-q", "w.toml", "--output", "out.json", *inputs]


def run(folder, inputs):
    """Runs the workflow: its wall time, and what the supervisor has used, where the graph has a task that says it."""
    wall = timed(command(inputs), folder)
    return wall, json.loads((folder / "out.json").read_text()).get("supervisor")


def own_figure(case, runs):
    """A figure of pushflow's own, against a limit."""
    with tempfile.TemporaryDirectory(prefix="pushflow-bench-") as folder:
        folder = Path(folder)
        prepare(case, folder)
        if case.unit == "bytes":
            figure = run(folder, case.inputs)[1]["peak"]
        else:
            figure = statistics.median(timed([str(PUSHFLOW), "check", "w.toml"], folder) for _ in range(runs))
    return {"case": case.name, "pushflow": figure, "target": case.target, "unit": case.unit}


def compared(case, runs):
    """The times of both sides."""
    with tempfile.TemporaryDirectory(prefix="pushflow-bench-") as folder:
        folder = Path(folder)
        prepare(case, folder)
        ours, others, used = [], [], []
        for _ in range(runs):
            wall, supervisor = run(folder, case.inputs)
            ours.append(wall)
            used.append(supervisor)
            others.append(timed(case.other(sys.executable, command(case.inputs)), folder))
        baseline = statistics.median(run(folder, ["-i", "limit=1"])[0] for _ in range(runs)) if case.loops else 0.0
    ours, others = statistics.median(ours), statistics.median(others)
    used = [supervisor for supervisor in used if supervisor]
    return {
        "case": case.name,
        "pushflow": ours,
        "other": others,
        # Against itself, the other one does more: what is left of the pace.
        "ratio": ours / others if case.theirs[0] in ("accounting", "history") else others / ours,
        "target": case.target,
        "unit": "",
        "per_task": max(ours - baseline, 0.0) / case.tasks,
        "supervisor_cpu_per_task": statistics.median(it["cpu"] for it in used) / case.tasks if used else None,
        "supervisor_peak": max(it["peak"] for it in used) if used else None,
    }


def timed(command, folder):
    """The wall time of a command, from start to end."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "PYTHONPATH": str(folder) + os.pathsep + str(Path(__file__).parent)}
    started = time.perf_counter()
    process = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{' '.join(command[:6])} … exited with {process.returncode}")
    return wall


def seconds(value):
    if value is None:
        return "–"
    if value >= 1:
        return f"{value:.2f} s"
    if value >= 1e-3:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} µs"


def size(value):
    return "–" if value is None else f"{value / (1 << 20):.1f} MiB"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
