"""Along what a cost may grow: the axes of `benches/run growth`, and what was found along them."""

from __future__ import annotations

from dataclasses import dataclass, replace
import words
from bends import FLAT, LINEAR, Bend, Point, bends
from cells import MEASURED
from results import Results
from workloads import Workload, chat, echo, lines, timers

# Lines of a segment, where the length of a line varies.
LINES = 16


@dataclass(frozen=True)
class Axis:
    name: str
    title: str
    unit: str
    law: str
    points: tuple[tuple[int, Workload], ...]
    # The figures that are followed, and how many of `unit` one operation has.
    figures: tuple[str, ...] = ("cpu_us",)
    divisor: int = 1

    @property
    def cost(self) -> str:
        return "ns per timer" if "fire" in self.figures else f"CPU us per {self.unit}"


def named(axis: str, workload: Workload, x: int) -> tuple[int, Workload]:
    return x, replace(workload, name=f"growth-{axis}-{x}")


TABLE: tuple[Axis, ...] = (
    Axis("connections", "connections, echo of 64 bytes", "message", FLAT, tuple(
        named("connections", echo(x, 64), x) for x in (10, 100, 1000, 10_000))),
    Axis("members", "members of a chat", "delivery", FLAT, tuple(
        named("members", chat(x), x) for x in (20, 100, 1000, 3000))),
    Axis("line-length", f"bytes of a line, {LINES} in a segment", "line", LINEAR, tuple(
        named("line-length", lines(16, LINES, x, ""), x)
        for x in (4, 16, 64, 256, 1024, 4096, 16_384)), divisor=LINES),
    Axis("segment", "bytes of a message, echo on 16 connections", "message", LINEAR, tuple(
        named("segment", echo(16, x), x)
        for x in (16, 64, 256, 1024, 4096, 16_384, 65_536))),
    Axis("timers", "timers", "timer", FLAT, tuple(
        named("timers", timers(x), x) for x in (1000, 10_000, 100_000, 1_000_000)),
        figures=("schedule", "reset", "cancel", "fire")),
)
NAMES: dict[str, Axis] = {axis.name: axis for axis in TABLE}


@dataclass(frozen=True)
class Series:
    server: str
    # Empty where the axis has one figure only.
    figure: str
    points: tuple[Point, ...]
    law: str

    @property
    def label(self) -> str:
        return f"{self.server} {self.figure}".strip()

    def bends(self) -> list[Bend]:
        return bends(self.points, self.law)


def series(results: Results, axis: Axis) -> list[Series]:
    all_cells = results.cells()
    found = []
    for figure in axis.figures:
        for server in results.servers:
            points = []
            for x, workload in axis.points:
                cell = all_cells.get(workload.name, {}).get(server)
                if cell is None or cell.state != MEASURED or figure not in cell.figures:
                    continue
                spread = cell.figures[figure]
                points.append(Point(x, spread.median / axis.divisor, spread.half_box))
            if points:
                name = figure if len(axis.figures) > 1 else ""
                found.append(Series(server, name, tuple(points), axis.law))
    return found


def ratio_series(results: Results, axis: Axis) -> list[Series]:
    """What a library adds to raw should not grow at all, whatever the kernel's share does."""
    if axis.figures != ("cpu_us",):
        return []
    all_cells = results.cells()
    found = []
    for server in results.servers:
        points = []
        for x, workload in axis.points:
            cell = all_cells.get(workload.name, {}).get(server)
            spread = cell.figures.get("cpu_ratio") if cell else None
            if spread is not None and server != "raw":
                points.append(Point(x, spread.median, spread.half_box))
        if points:
            found.append(Series(f"{server} / raw", "", tuple(points), FLAT))
    return found


def missing(results: Results, axis: Axis) -> list[str]:
    """Why points are not there."""
    all_cells = results.cells()
    gone: dict[tuple[str, str], list[str]] = {}
    for x, workload in axis.points:
        for server, cell in all_cells.get(workload.name, {}).items():
            if cell.state != MEASURED:
                why = f"{cell.state}, {cell.reason}"
                gone.setdefault((server, why), []).append(str(x))
    return [f"- {server} at {', '.join(at)}: {why}" for (server, why), at in gone.items()]


def section(results: Results, axis: Axis) -> str:
    """The table of an axis, and its bends."""
    known = series(results, axis) + ratio_series(results, axis)
    if not known:
        return "Not measured."
    at = [x for x, _ in axis.points]
    rows = []
    for one in known:
        values = {point.x: point.y for point in one.points}
        show = words.ratio if one.server.endswith("/ raw") else words.number
        rows.append([one.label, *(show(values[x]) if x in values else words.NOTHING for x in at)])
    table = words.table([axis.cost, *map(str, at)], rows)
    found = [f"- {one.label}: from {bend.start:.0f} to {bend.end:.0f}, slope {bend.slope:+.2f} "
             f"beyond a {one.law} law" for one in known for bend in one.bends()]
    said = "Bends:\n\n" + "\n".join(found) if found else "No bends."
    gone = "\n".join(missing(results, axis))
    return f"{table}\n\n{said}" + (f"\n\nNo figure:\n\n{gone}" if gone else "")


def growth(results: Results) -> str:
    parts = [f"### {axis.title[0].upper()}{axis.title[1:]}\n\n{section(results, axis)}"
             for axis in TABLE if any(w.name in results.workloads for _, w in axis.points)]
    return "\n\n".join(parts) or "Not measured."
