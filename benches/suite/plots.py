"""Draws the growth that a directory has figures of: `python plots.py DIR`, in the venv.

Nothing is told by colour alone: lines differ by marker and dash. Equal figures give equal files.
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
from results import Results  # noqa: E402

# Distinguishable with any kind of colour vision, and in grey.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777")
MARKERS = "osD^vP*X"
DASHES = ("-", "--", "-.", ":")


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def plain(value: float, _: int) -> str:
    return f"{value:.6g}" if value < 1e6 else f"{value:.0f}"


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
    folder = Path(sys.argv[1])
    found = files.read(folder / files.GROWTH_FILE)
    for along in growth_axes.TABLE:
        lines(found, along, folder / f"growth-{along.name}.svg")


if __name__ == "__main__":
    main()
