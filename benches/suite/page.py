"""The page of figures, and those of README.md: parts between markers are computed, the rest is
written by hand and kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Callable, Optional

import about
import axes
import overview
import places
import results as files
import tables
from errors import Refused
from results import Results
from servers import OTHER, RUST

MARKED = re.compile(r"<!-- figures: (?P<name>[a-z0-9-]+) -->\n(?P<old>.*?)<!-- end -->", re.DOTALL)
BEGIN, END = "<!-- figures: ", "<!-- end -->"

# The parts of a run, by the names that the page marks them with.
PARTS: dict[str, Callable[[Results], str]] = {
    "machine": about.machine,
    "servers": about.servers,
    "workloads": about.workloads,
    "conditions": about.conditions,
    "cpu-rust": lambda results: tables.cpu(results, RUST),
    "cpu-other": lambda results: tables.cpu(results, OTHER),
    "latency-rust": lambda results: tables.latency(results, RUST),
    "latency-other": lambda results: tables.latency(results, OTHER),
    "busy": tables.busy,
    "syscalls": tables.syscalls,
    "memory": tables.memory,
    "timers": tables.timers,
    "bulk": tables.bulk,
    "better": tables.better,
}
# The parts of a run of `growth`.
GROWTH = "growth"
PLOTS = {"cpu-plot": ("cpu", "CPU time per operation as a ratio to raw, by workload and server"),
         "p99-plot": ("p99", "99th percentile of latency, by workload and server")}


def merged(text: str, parts: dict[str, str]) -> str:
    """The page with new parts; a part that is not given stays as it is."""
    if text.count(BEGIN) != text.count(END) or text.count(BEGIN) != len(MARKED.findall(text)):
        raise Refused("the page's markers do not match",
                      "each part is between `<!-- figures: NAME -->` and `<!-- end -->`, and none "
                      "is within another", "mend the page by hand")
    names = [match["name"] for match in MARKED.finditer(text)]
    known = {*PARTS, *PLOTS, GROWTH, overview.NAME}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Refused(f"the page marks parts that nobody computes: {', '.join(unknown)}",
                      to_do=f"use one of: {', '.join(sorted(known))}")

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        new = f"\n{parts[name].strip()}\n\n" if name in parts else match["old"]
        return f"{BEGIN}{name} -->\n{new}{END}"

    return MARKED.sub(replaced, text)


def image(name: str, text: str, folder: str) -> str:
    return f"![{text}]({folder}{name}.svg)"


def parts_of(run: Optional[Results], growth: Optional[Results], plots: set[str],
             folder: str) -> dict[str, str]:
    """All parts that can be made; `plots` are the names of those that were drawn."""
    parts = {}
    if run is not None:
        parts = {name: make(run) for name, make in PARTS.items()}
        parts.update((name, image(plot, text, folder) if plot in plots else "No plot was drawn.")
                     for name, (plot, text) in PLOTS.items())
    if growth is not None:
        drawn = [image(f"growth-{axis.name}", f"cost along {axis.title}", folder)
                 for axis in axes.TABLE if f"growth-{axis.name}" in plots]
        parts[GROWTH] = "\n\n".join([axes.growth(growth), *drawn])
    return parts


def read_from(folder: Path) -> tuple[Optional[Results], Optional[Results]]:
    found = [files.read(folder / name) if (folder / name).exists() else None
             for name in (files.FILE, files.GROWTH_FILE)]
    if found == [None, None]:
        raise Refused(f"{folder} has neither {files.FILE} nor {files.GROWTH_FILE}",
                      to_do="give the directory that benches/run wrote to (--out)")
    return found[0], found[1]


def publish(folder: Path, anyway: bool) -> list[Path]:
    """Writes the page, its plots and its figures, and those of README.md; returns what was
    written."""
    run, growth = read_from(folder)
    for one in (run, growth):
        if one is not None and one.partial and not anyway:
            raise Refused(f"what {folder} has of `{one.kind}` is partial",
                          "the page would show what happened to be done when it was ended",
                          "run it to its end, or --anyway")
    if not places.PAGE.exists():
        raise Refused("docs/PERFORMANCE.md is missing", "its prose is written by hand",
                      "restore it from the repository")
    plots = {path.stem for path in folder.glob("*.svg")}
    parts = parts_of(run, growth, plots, "performance/")
    text = merged(places.PAGE.read_text(), parts)
    places.PUBLISHED.mkdir(parents=True, exist_ok=True)
    written = []
    for one, name in ((run, files.FILE), (growth, files.GROWTH_FILE)):
        if one is not None:
            files.write(one, places.PUBLISHED / name, compact=True)
            written.append(places.PUBLISHED / name)
    for plot in sorted(plots):
        if plot.startswith("growth-") and growth is None or (
                not plot.startswith("growth-") and run is None):
            continue
        shutil.copyfile(folder / f"{plot}.svg", places.PUBLISHED / f"{plot}.svg")
        written.append(places.PUBLISHED / f"{plot}.svg")
    places.PAGE.write_text(text)
    written.append(places.PAGE)
    if run is not None:
        written.append(into_readme(run, overview.NAME in plots))
    return written


def into_readme(run: Results, drawn: bool) -> Path:
    new = {overview.NAME: overview.part(run, drawn)}
    places.README.write_text(merged(places.README.read_text(), new))
    return places.README
