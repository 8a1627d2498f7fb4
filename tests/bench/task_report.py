"""The last task of a timed graph: what the supervisor, this process's parent, has used so far."""

import os


def run(**_):
    supervisor = os.getppid()
    with open(f"/proc/{supervisor}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    with open(f"/proc/{supervisor}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return {"supervisor": {"cpu": cpu, "peak": peak * 1024}}
