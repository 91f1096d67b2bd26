"""Where others are better: computed, so that nobody chooses what is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Optional

from cells import MEASURED, Cell, noise
from samples import AGAIN
from spread import NOISE_FLOOR, Spread

OURS = "twistor"
# This library under other names is no other.
NOT_OTHERS = (OURS, "twistor-busy", AGAIN)
# The figure, what it is called, and how it is compared: less is better for all.
FIGURES = {
    "cpu_ratio": "CPU per operation",
    "p99_us": "p99",
    "rss": "resident memory",
    "bytes_per_connection": "memory per connection",
    "schedule": "scheduling a timer",
    "reset": "pushing a timer back",
    "cancel": "cancelling a timer",
    "fire": "firing a timer",
    "bytes_each": "memory per timer",
    "bytes_left": "memory left by a timer",
}
# The figure whose ratio of raw to raw is the noise.
NOISE_OF = {"cpu_ratio": "cpu_us"}


@dataclass(frozen=True)
class Better:
    workload: str
    figure: str
    server: str
    theirs: float
    ours: float
    noise: float

    @property
    def less(self) -> float:
        return 1 - self.theirs / self.ours


def noise_between(cells: dict[str, Cell], figure: str, ours: Spread, theirs: Spread) -> float:
    known = noise(cells, NOISE_OF.get(figure, figure))
    if known is not None:
        return known
    # Nothing ran twice: what the rounds of either differ by.
    return max(NOISE_FLOOR, ours.half_box, theirs.half_box)


def better_than_ours(all_cells: dict[str, dict[str, Cell]]) -> Iterator[Better]:
    for workload, cells in all_cells.items():
        own = cells.get(OURS)
        if own is None or own.state != MEASURED:
            continue
        for figure in FIGURES:
            ours = own.figures.get(figure)
            if ours is None:
                continue
            for server, cell in cells.items():
                if server in NOT_OTHERS or cell.state != MEASURED:
                    continue
                found = compared(workload, figure, cell, ours, cells)
                if found:
                    yield found


def compared(workload: str, figure: str, cell: Cell, ours: Spread, cells: dict[str, Cell],
             ) -> Optional[Better]:
    theirs = cell.figures.get(figure)
    if theirs is None or ours.median <= 0:
        return None
    noise_here = noise_between(cells, figure, ours, theirs)
    if theirs.median < ours.median * (1 - noise_here):
        return Better(workload, figure, cell.server, theirs.median, ours.median, noise_here)
    return None
