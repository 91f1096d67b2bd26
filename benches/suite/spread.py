"""Medians, quartiles and noise: what many samples say together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence

# Two runs of one program differ by as much from where its memory came to lie. Nothing that is
# smaller is called a difference, however quiet a few rounds happened to be.
NOISE_FLOOR = 0.01
# Quartiles of fewer samples say nothing; all that they span does.
QUARTILES_FROM = 5


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float
    q1: float
    q3: float
    count: int

    @property
    def half_box(self) -> float:
        """Half of what the middle half of the samples spans, as a share of the median."""
        return (self.q3 - self.q1) / 2 / abs(self.median) if self.median else 0.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between neighbours."""
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> Optional[Spread]:
    if not values:
        return None
    ordered = sorted(values)
    return Spread(quantile(ordered, 0.5), ordered[0], ordered[-1], quantile(ordered, 0.25),
                  quantile(ordered, 0.75), len(ordered))


def noise_of(again: Optional[Spread]) -> Optional[float]:
    """How far the ratio of one program to itself strays from 1: in the middle, or from round to
    round, whichever is more."""
    if again is None:
        return None
    box = again.half_box
    if again.count < QUARTILES_FROM:
        box = (again.high - again.low) / 2 / again.median
    return max(NOISE_FLOOR, abs(again.median - 1), box)
