"""The graphs that are timed, as TOML for pushflow and as calls for pypushflow (`theirs.py`)."""

from dataclasses import dataclass, field


@dataclass
class Case:
    """One graph. `target` is a ratio against the other side, or with a `unit` a figure of pushflow's own."""

    name: str
    target: float
    tasks: int
    links: list
    actors: dict
    pool: str = ""
    inputs: list = field(default_factory=list)
    #: Arguments of `theirs.py`; or xargs, or pushflow itself with accounts or history.
    theirs: list = field(default_factory=list)
    loops: bool = False
    #: What is measured where there is no other side: `bytes`, the peak memory of the supervisor, or `s`, of `pushflow check`.
    unit: str = ""

    def toml(self):
        links = ",\n".join("    { " + link + " }" for link in self.links)
        text = f"links = [\n{links},\n]\n[workflow]\npython = \"@PYTHON@\"\n"
        if self.pool:
            text += f"[pool]\n{self.pool}\n"
        for name, lines in self.actors.items():
            text += f"[actors.{name}]\n{lines}\n"
        return text

    def other(self, python, ours):
        if self.theirs[0] == "xargs":
            count = self.theirs[1]
            return ["sh", "-c", f"seq {count} | xargs -P2 -n1 /bin/true"]
        if self.theirs[0] == "accounting":
            return [*ours, "--accounting-file", "accounts.json"]
        if self.theirs[0] == "history":
            return [*ours, "--history"]
        return [python, "-m", "theirs", *map(str, self.theirs)]


#: A last task that says what the supervisor has used.
REPORT = {"report": 'script = "task_report.py"'}


def link(start, to, more=""):
    return f'from = "{start}", to = "{to}"{more}'


def chain(count, script, **options):
    names = ["start", *(f"a{index}" for index in range(count)), "report", "stop"]
    return {
        "tasks": count,
        "links": [link(one, two) for one, two in zip(names, names[1:])],
        "actors": {**{name: f'script = "{script}"' for name in names[1:-2]}, **REPORT},
        **options,
    }


def fan(count, lines, last=REPORT, **options):
    names = [f"a{index}" for index in range(count)]
    ends = ["all", *last, "stop"]
    return {
        "tasks": count,
        "links": [link("start", name) for name in names]
        + [link(name, "all") for name in names]
        + [link(one, two) for one, two in zip(ends, ends[1:])],
        "actors": {**{name: lines for name in names}, "all": 'kind = "join"', **last},
        **options,
    }


def loop(count, **options):
    return {
        "tasks": count,
        "links": [
            link("start", "add"),
            link("add", "decide"),
            link("decide", "add", ", port = true"),
            link("decide", "report", ", port = false"),
            link("report", "stop"),
        ],
        "actors": {"add": 'script = "task_add.py"', "decide": 'kind = "router"\nitem = "go"', **REPORT},
        "inputs": ["-i", f"limit={count}"],
        "loops": True,
        **options,
    }


LOOP = 20_000
#: Without the task that reports: it would be every second one.
ONE = {"links": [link("start", "a0"), link("a0", "stop")], "actors": {"a0": 'script = "task_empty.py"'}}

CASES = [
    Case("loop of 20,000, one worker", 8, **loop(LOOP, pool="max_workers = 1", theirs=["loop", LOOP, "process"])),
    Case("chain of 200", 8, **chain(200, "task_empty.py", pool="max_workers = 1", theirs=["chain", 200, "process"])),
    Case(
        "fan of 5,000 and join, 2 workers",
        15,
        **fan(5000, 'script = "task_empty.py"', pool="max_workers = 2", theirs=["fan", 5000, "process", 2]),
    ),
    Case("fan of 300, defaults", 100, **fan(300, 'script = "task_empty.py"', theirs=["fan", 300, "default"])),
    Case(
        "a fresh process per task, 100",
        5,
        **chain(100, "task_empty.py", pool="max_tasks_per_worker = 1", theirs=["chain", 100, "default"]),
    ),
    Case(
        "loop of 20,000, pool thread",
        2,
        **loop(LOOP, pool='type = "thread"\nmax_workers = 1', theirs=["loop", LOOP, "thread"]),
    ),
    Case("one actor, start to end", 6, **{**chain(1, "task_empty.py"), **ONE, "theirs": ["chain", 1, "process"]}),
    Case("64 MiB array through five", 20, **chain(5, "task_image.py", theirs=["image", 5, "process"])),
    Case(
        "2,000 × /bin/true, 2 at a time",
        0.67,
        **fan(2000, 'kind = "exec"\ncommand = ["/bin/true"]', {}, pool="max_workers = 2", theirs=["xargs", 2000]),
    ),
    Case("the loop, against itself with accounts", 0.95, **loop(LOOP, pool="max_workers = 1", theirs=["accounting"])),
    Case("the loop, against itself with history", 0.9, **loop(LOOP, pool="max_workers = 1", theirs=["history"])),
    Case("supervisor's memory, loop of 1,000,000", 16 << 20, **loop(1_000_000, pool="max_workers = 1", unit="bytes")),
    Case("pushflow check, 10,000 actors", 0.1, **fan(10_000, 'script = "task_empty.py"', unit="s")),
]
