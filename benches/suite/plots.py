"""Draws what a directory has figures for: `python plots.py DIR run|growth`, in the venv.

Nothing is told by colour alone: bars are named, twistor's are hatched, and lines differ by marker
and dash. Equal figures give equal files.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
# Identifiers within a file are hashed with this instead of at random.
matplotlib.rcParams.update({
    "svg.hashsalt": "twistor", "svg.fonttype": "none", "font.size": 8, "axes.axisbelow": True,
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.5,
    "axes.spines.top": False, "axes.spines.right": False,
})

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator  # noqa: E402

import axes as growth_axes  # noqa: E402
import results as files  # noqa: E402
import words  # noqa: E402
from cells import MEASURED, Cell  # noqa: E402
from comparison import OURS  # noqa: E402
from results import Results  # noqa: E402
from samples import AGAIN  # noqa: E402
from tables import rated  # noqa: E402

COLUMNS = 3
# Bars end at so many times raw's, with an arrow.
CUT = 4
# Distinguishable with any kind of colour vision, and in grey.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777")
MARKERS = "osD^vP*X"
DASHES = ("-", "--", "-.", ":")


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def bar(axis: Any, place: int, cell: Cell, figure: str, end: float) -> None:
    """One server's bar with its spread, and its number beside it; or why there is none."""
    known = cell.figures.get(figure) if cell.state == MEASURED else None
    if known is None:
        axis.text(0.01 * end, place, cell.state, va="center", color="#555555")
        return
    ours = cell.server.startswith(OURS)
    length = min(known.median, end)
    axis.barh(place, length, height=0.7, color="#e8a87c" if ours else "#9ab7d3",
              hatch="////" if ours else None, edgecolor="#333333", linewidth=0.4)
    text = words.ratio(known.median) if figure.endswith("ratio") else words.number(known.median)
    if known.median > end:
        beside(axis, end, place, f"\u2192 {text}")
        return
    edges = [known.low, min(known.high, end)]
    axis.plot(edges, [place, place], color="black", linewidth=1)
    axis.plot(edges, [place, place], "|", color="black", markersize=4)
    beside(axis, max(length, edges[1]), place, text)


def beside(axis: Any, x: float, place: int, text: str) -> None:
    axis.annotate(text, (x, place), (5, 0), textcoords="offset points", va="center")


def plain(value: float, _: int) -> str:
    return f"{value:.6g}" if value < 1e6 else f"{value:.0f}"


def bars(results: Results, figure: str, title: str, path: Path) -> None:
    """A panel for each workload, a bar for each server."""
    cells = results.cells()
    names = [name for name in rated(results) if any(
        figure in cell.figures for cell in cells.get(name, {}).values())]
    if not names:
        return
    servers = [name for name in results.servers
               if any(name in cells[workload] for workload in names)]
    labels = [*servers[:1], AGAIN, *servers[1:]] if servers[:1] == ["raw"] else servers
    rows = math.ceil(len(names) / COLUMNS)
    height = rows * (0.18 * len(labels) + 0.75) + 0.6
    figures, grid = plt.subplots(rows, COLUMNS, figsize=(11, height), squeeze=False,
                                 layout="constrained")
    for number, axis in enumerate(grid.flat):
        if number >= len(names):
            axis.set_visible(False)
            continue
        panel(axis, cells[names[number]], labels, figure, names[number])
    figures.suptitle(title)
    save(figures, path)


def panel(axis: Any, cells: dict[str, Cell], labels: list[str], figure: str, name: str) -> None:
    shown = [label for label in labels if label in cells]
    medians = {label: cells[label].figures[figure].median for label in shown
               if cells[label].state == MEASURED and figure in cells[label].figures}
    most = max((cells[label].figures[figure].high for label in medians), default=1)
    # A bar is read by its length and so begins at 0; the few that are many times longer than all
    # others would leave those nothing to be told apart by.
    end = min(most, CUT * medians.get("raw", most))
    for place, label in enumerate(shown):
        bar(axis, place, cells[label], figure, end)
    axis.set_yticks(range(len(shown)), shown)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.set_xlim(0, end * 1.25)
    axis.set_title(name, loc="left", fontweight="bold")
    if figure.endswith("ratio"):
        axis.axvline(1, color="black", linewidth=0.8, linestyle="--", zorder=0)
    axis.grid(axis="y", visible=False)


def lines(results: Results, along: growth_axes.Axis, path: Path) -> None:
    known = growth_axes.series(results, along)
    if not known:
        return
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for number, one in enumerate(known):
        xs, ys = [point.x for point in one.points], [point.y for point in one.points]
        around = [point.y * point.noise for point in one.points]
        axis.errorbar(xs, ys, yerr=around, label=one.label, capsize=2,
                      color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)],
                      linestyle=DASHES[number % len(DASHES)], markersize=5, linewidth=1.2)
    axis.set_xscale("log")
    axis.set_yscale("log")
    every = [point.y for one in known for point in one.points]
    # A flat curve is to look flat: never less than a factor of ten from bottom to top.
    middle = math.sqrt(min(every) * max(every))
    axis.set_ylim(min(min(every) / 1.3, middle / 3.2), max(max(every) * 1.3, middle * 3.2))
    axis.xaxis.set_major_locator(FixedLocator(sorted({x for x, _ in along.points})))
    axis.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter(FuncFormatter(plain))
        scale.set_minor_locator(NullLocator())
    axis.set_xlabel(along.title)
    axis.set_ylabel(along.cost)
    figure.legend(frameon=False, loc="outside right upper")
    save(figure, path)


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    if kind == "growth":
        found = files.read(folder / files.GROWTH_FILE)
        for along in growth_axes.TABLE:
            lines(found, along, folder / f"growth-{along.name}.svg")
        return
    found = files.read(folder / files.FILE)
    how = f"less is better; median, and from least to most; cut at {CUT} times raw's"
    bars(found, "cpu_ratio", f"Server CPU time per operation, as a ratio to raw's ({how})",
         folder / "cpu.svg")
    bars(found, "p99_us", f"99th percentile of latency in us ({how})", folder / "p99.svg")


if __name__ == "__main__":
    main()
