"""What README.md shows of the figures: one plot of a few servers, and three rows of ratios."""

from __future__ import annotations

import about
import bars
import words
from bars import Look, Panel
from cells import MEASURED, Cell
from results import Results
from samples import AGAIN
from tables import ratio_spread, shown

NAME = "overview"
FIGURE = "cpu_ratio"
# One workload for each thing that a server does most: answer, split, tell many, and accept.
WORKLOADS = ("echo-64x64", "lines-64x64", "chat-100", "churn")
# Those that a reader is likely to know; all others are in docs/PERFORMANCE.md.
SERVERS = ("twistor", "tokio", "libuv", "go", "asyncio", "twisted")
# The rows of the table: as much as raw, more, and less.
ROWS = WORKLOADS[:3]
COLUMNS = ("twistor", "tokio", AGAIN)
# The scale is the same in all panels, and ends at this multiple of raw's time, with an arrow.
END = 3.0
ALT = "CPU time per operation of six servers at four workloads, as ratios to a bare mio loop"


def plot(results: Results) -> str:
    """Nothing if none of the workloads was measured."""
    all_cells = results.cells()
    panels = []
    for name in WORKLOADS:
        cells = all_cells.get(name, {})
        rows = tuple(bars.row(cells[server], FIGURE) for server in SERVERS if server in cells)
        if rows:
            panels.append(Panel(name, results.workloads[name].note, rows, END, 1.0))
    if not panels:
        return ""
    return bars.sheet(
        "Server's CPU time per operation; 1 is a loop over bare mio",
        f"median, lowest and highest of {results.about['rounds']} rounds; less is better; "
        f"cut at {END:.0f}",
        panels, Look(columns=2, width=720, size=12, row=18, names=64))


def ratios(results: Results) -> str:
    def cell(found: Cell) -> str:
        return ratio_spread(found.figures.get(FIGURE))

    rows = []
    for name, cells in results.cells().items():
        if name in ROWS and any(one.state == MEASURED for one in cells.values()):
            rows.append([f"`{name}`: {results.workloads[name].note}",
                         *(shown(cells.get(column), cell) for column in COLUMNS)])
    return words.table(["workload", *COLUMNS], rows) if rows else "Not measured."


def part(results: Results, drawn: bool) -> str:
    image = [f"![{ALT}](docs/performance/{NAME}.svg)"] if drawn else []
    return "\n\n".join([*image, ratios(results), about.where(results)])
