"""Writes the report: one HTML page, for people."""

from html import escape
from pathlib import Path

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Data reduction</title>
<style>body {{ font: 15px sans-serif; margin: 2em }} td, th {{ padding: 2px 1em; text-align: right }}</style>
<h1>Data reduction</h1>
<p>Images: {images}</p>
<p>Unit cell: a = {a} Å, b = {b} Å, c = {c} Å ({indexed} of {spots} spots indexed)</p>
<p>{unique} unique reflections to <b>{resolution} Å</b>, R<sub>merge</sub> {r_merge}</p>
<h2>Shells</h2>
<table><tr><th>from / Å<th>to / Å<th>reflections<th>I/σ</tr>
{shells}
</table>
<h2>Resolution limits tried</h2>
<table><tr><th>limit / Å<th>I/σ, outermost shell</tr>
{cycles}
</table>
</html>
"""


def row(*cells):
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>"


def run(report, images, cell, spots, indexed, unique, resolution, r_merge, shells, cycles, **others):
    a, b, c = cell
    page = PAGE.format(
        images=escape(images),
        a=a,
        b=b,
        c=c,
        spots=spots,
        indexed=indexed,
        unique=unique,
        resolution=resolution,
        r_merge=r_merge,
        shells="\n".join(row(s["from"], s["to"], s["reflections"], s["i_over_sigma"]) for s in shells),
        cycles="\n".join(row(cycle["resolution"], cycle["i_over_sigma"]) for cycle in cycles),
    )
    Path(report).write_text(page, encoding="utf-8")
    print(f"the report is {report}")
    return {"shells": None}  # they are in the report
