"""Bars, a panel for each workload and in it one bar for each server.

Nothing is told by colour alone: bars are named, and twistor's name is bold. Equal figures give
equal files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence

import words
from cells import MEASURED, Cell
from comparison import OURS
from results import Results
from samples import AGAIN
from spread import Spread
from svg import Drawing

# Bars end at this multiple of raw's figure, with an arrow.
CUT = 4
HOW = f"less is better; median, lowest and highest; cut at {CUT} times raw's"
MARGIN = 12
# Room for a bar's number, to the right of the longest bar.
NUMBER = 58


@dataclass(frozen=True)
class Row:
    label: str
    # Nothing where there is no figure; `text` says why then.
    found: Optional[Spread]
    text: str

    @property
    def ours(self) -> bool:
        return self.label.startswith(OURS)


@dataclass(frozen=True)
class Panel:
    title: str
    note: str
    rows: tuple[Row, ...]
    # Where the scale ends.
    end: float
    # Where a dashed line stands.
    reference: Optional[float] = None


@dataclass(frozen=True)
class Look:
    columns: int
    width: float
    size: int
    row: float
    # Room for the names of servers.
    names: float


def row(cell: Cell, figure: str) -> Row:
    found = cell.figures.get(figure) if cell.state == MEASURED else None
    if found is None:
        return Row(cell.server, None, cell.state)
    show = words.ratio if figure.endswith("ratio") else words.number
    return Row(cell.server, found, show(found.median))


def panel(cells: dict[str, Cell], labels: Sequence[str], figure: str, title: str) -> Panel:
    rows = [row(cells[label], figure) for label in labels if label in cells]
    known = {one.label: one.found for one in rows if one.found is not None}
    most = max((found.high for found in known.values()), default=1.0)
    # A bar is read by its length and so begins at 0; the few that are many times longer than all
    # others would leave those nothing to be told apart by.
    raw = known.get("raw")
    end = min(most, CUT * raw.median) if raw else most
    return Panel(title, "", tuple(rows), end, 1.0 if figure.endswith("ratio") else None)


def ticks(end: float) -> list[float]:
    """Round numbers from 0, five at most."""
    power = 10.0 ** math.floor(math.log10(end))
    step = next(power * one for one in (0.2, 0.5, 1, 2, 5) if end / (power * one) <= 5)
    return [number * step for number in range(int(end / step + 1e-9) + 1)]


def sheet(title: str, note: str, panels: Sequence[Panel], look: Look) -> str:
    """All panels, in rows of `look.columns`, under one title."""
    head = look.size + 4.0
    above = 2 * head + 12
    across = (look.width - MARGIN) / look.columns
    rows = [panels[at:at + look.columns] for at in range(0, len(panels), look.columns)]
    heights = [max(tall(one, look) for one in each) for each in rows]
    drawing = Drawing(look.width, above + sum(heights), title, look.size)
    drawing.text(MARGIN, head + 2, title, more="h")
    drawing.text(MARGIN, 2 * head + 2, note, "m", "s")
    top = above
    for each, height in zip(rows, heights):
        for number, one in enumerate(each):
            draw(drawing, one, MARGIN + number * across, top, across - MARGIN, look)
        top += height
    return drawing.finished()


def tall(one: Panel, look: Look) -> float:
    lines = 2 if one.note else 1
    return lines * (look.size + 4) + look.row * len(one.rows) + 2 * look.size + 12


def draw(drawing: Drawing, one: Panel, left: float, top: float, width: float, look: Look) -> None:
    line = look.size + 4.0
    drawing.text(left, top + line, one.title, more="h")
    if one.note:
        top += line
        drawing.text(left, top + line, one.note, "m", "s")
    top += line + 6
    zero, length = left + look.names, width - look.names - NUMBER
    bottom = top + look.row * len(one.rows)
    marks = ticks(one.end)
    drawing.path("".join(f"M{at:.1f} {top:.1f}V{bottom:.1f}" for at in (
        zero + length * mark / one.end for mark in marks)), "g")
    for mark in marks:
        drawing.text(zero + length * mark / one.end, bottom + look.size + 2, f"{mark:.6g}", "m",
                     "cs")
    half = look.row * 0.36
    middles = [top + look.row * (number + 0.5) for number in range(len(one.rows))]
    for own, middle in zip(one.rows, middles):
        if own.found is not None:
            reach = length * min(own.found.median, one.end) / one.end
            drawing.bar(zero, middle - half, reach, 2 * half, "o" if own.ours else "b")
    if one.reference is not None and one.reference <= one.end:
        at = zero + length * one.reference / one.end
        drawing.path(f"M{at:.1f} {top - 2:.1f}V{bottom:.1f}", "r")
    for own, middle in zip(one.rows, middles):
        label(drawing, own, one.end, zero, length, middle, look)


def label(drawing: Drawing, own: Row, end: float, zero: float, length: float, middle: float,
          look: Look) -> None:
    """What stands beside one server's bar: its name, its spread and its number, or why there is
    none."""
    base, bold = middle + look.size * 0.36, "h" if own.ours else ""
    drawing.text(zero - 6, base, own.label, more=f"e{bold}")
    found = own.found
    if found is None:
        drawing.text(zero + 4, base, own.text, "m", "n")
        return
    if found.median > end:
        drawing.text(zero + length + 4, base, f"\u2192 {own.text}", more=bold)
        return
    high = length * min(found.high, end) / end
    drawing.spread(zero + length * found.low / end, zero + high, middle, look.row * 0.16,
                   cut=found.high > end)
    drawing.text(zero + max(length * found.median / end, high) + 5, base, own.text,
                 more=f"n{bold}")


def every(results: Results, figure: str, title: str, workloads: Sequence[str]) -> str:
    """A panel for each of the workloads; nothing if none has the figure."""
    cells = results.cells()
    names = [name for name in workloads if any(
        figure in cell.figures for cell in cells.get(name, {}).values())]
    servers = [name for name in results.servers
               if any(name in cells[workload] for workload in names)]
    labels = [*servers[:1], AGAIN, *servers[1:]] if servers[:1] == ["raw"] else servers
    panels = [panel(cells[name], labels, figure, name) for name in names]
    look = Look(columns=3, width=960, size=11, row=14, names=86)
    return sheet(title, HOW, panels, look) if panels else ""
