"""The page of figures, and those of README.md: parts between markers are computed, the rest is
written by hand and kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Callable

import about
import axes
import overview
import places
import results as files
import tables
import tls
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
    "syscalls": lambda results: tables.syscalls(results, tables.rated(results)),
    "memory": tables.memory,
    "timers": tables.timers,
    "bulk": tables.bulk,
    "better": tables.better,
}
PLOTS = {"cpu-plot": ("cpu", "CPU time per operation as a ratio to raw, by workload and server"),
         "p99-plot": ("p99", "99th percentile of latency, by workload and server")}
# What was measured over TLS; its plot.
TLS_PARTS: dict[str, Callable[[Results], str]] = {tls.NAME: tls.part, "tls-better": tls.better}
TLS_PLOTS = {"tls-plot": (tls.NAME, "CPU time per operation over TLS as a ratio to raw, by "
                                    "workload and server")}
# What is made of each kind of results; of growth there is one part, with all of its plots.
MADE = {files.RUN: (PARTS, PLOTS), files.TLS: (TLS_PARTS, TLS_PLOTS)}
NAMES = {*(name for made in MADE.values() for table in made for name in table), files.GROWTH,
         overview.NAME}


def merged(text: str, parts: dict[str, str]) -> str:
    """The page with new parts; a part that is not given stays as it is."""
    if text.count(BEGIN) != text.count(END) or text.count(BEGIN) != len(MARKED.findall(text)):
        raise Refused("the page's markers do not match",
                      "each part is between `<!-- figures: NAME -->` and `<!-- end -->`, and none "
                      "is within another", "mend the page by hand")
    names = [match["name"] for match in MARKED.finditer(text)]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise Refused(f"the page marks parts that nobody computes: {', '.join(unknown)}",
                      to_do=f"use one of: {', '.join(sorted(NAMES))}")

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        new = f"\n{parts[name].strip()}\n\n" if name in parts else match["old"]
        return f"{BEGIN}{name} -->\n{new}{END}"

    return MARKED.sub(replaced, text)


def image(name: str, text: str, folder: str) -> str:
    return f"![{text}]({folder}{name}.svg)"


def parts_of(found: dict[str, Results], plots: set[str], folder: str) -> dict[str, str]:
    """All parts that can be made of these results, which are by kind; `plots` are the names of
    those that were drawn."""
    parts: dict[str, str] = {}
    for kind, (made, drawn) in MADE.items():
        if kind in found:
            parts.update((name, make(found[kind])) for name, make in made.items())
            parts.update(
                (name, image(plot, text, folder) if plot in plots else "No plot was drawn.")
                for name, (plot, text) in drawn.items())
    if files.GROWTH in found:
        images = [image(f"growth-{axis.name}", f"cost along {axis.title}", folder)
                  for axis in axes.TABLE if f"growth-{axis.name}" in plots]
        parts[files.GROWTH] = "\n\n".join([axes.growth(found[files.GROWTH]), *images])
    return parts


def kind_of_plot(name: str) -> str:
    if name.startswith("growth-"):
        return files.GROWTH
    return files.TLS if name == tls.NAME else files.RUN


def read_from(folder: Path) -> dict[str, Results]:
    """What a directory has figures of, by kind: `benches/run` writes TLS with all else, and the
    published figures have it apart."""
    found = {kind: files.read(folder / name) for kind, name in files.FILES.items()
             if (folder / name).exists()}
    if not found:
        raise Refused(f"{folder} has none of {', '.join(files.FILES.values())}",
                      to_do="give the directory that benches/run wrote to (--out)")
    run = found.pop(files.RUN, None)
    return {**found, **(tls.apart(run) if run is not None else {})}


def publish(folder: Path, anyway: bool) -> list[Path]:
    """Writes the page, its plots and its figures, and those of README.md; returns what was
    written. What the directory has no figures of stays as it is."""
    found = read_from(folder)
    for one in found.values():
        if one.partial and not anyway:
            raise Refused(f"what {folder} has of `{one.kind}` is partial",
                          "the page would show what happened to be done when it was ended",
                          "run it to its end, or --anyway")
    if not places.PAGE.exists():
        raise Refused("docs/PERFORMANCE.md is missing", "its prose is written by hand",
                      "restore it from the repository")
    plots = {path.stem for path in folder.glob("*.svg")}
    text = merged(places.PAGE.read_text(), parts_of(found, plots, "performance/"))
    written = []
    for kind, one in found.items():
        files.write(one, places.PUBLISHED / files.FILES[kind], compact=True)
        written.append(places.PUBLISHED / files.FILES[kind])
    for plot in sorted(plots):
        if kind_of_plot(plot) in found:
            shutil.copyfile(folder / f"{plot}.svg", places.PUBLISHED / f"{plot}.svg")
            written.append(places.PUBLISHED / f"{plot}.svg")
    places.PAGE.write_text(text)
    written.append(places.PAGE)
    if files.RUN in found:
        written.append(into_readme(found[files.RUN], overview.NAME in plots))
    return written


def into_readme(run: Results, drawn: bool) -> Path:
    new = {overview.NAME: overview.part(run, drawn)}
    places.README.write_text(merged(places.README.read_text(), new))
    return places.README
