"""Where a cost does not grow as it should."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

# The slope in log-log that is left when the expected law has been taken off, from which on a
# stretch is called a bend: cost grows with the fourth root of what it should not grow with.
BEND = 0.25

FLAT, LINEAR = "flat", "linear"


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    # Half of what the middle half of the samples spans, as a share.
    noise: float = 0.0


@dataclass(frozen=True)
class Bend:
    start: float
    end: float
    slope: float


def fitted(points: Sequence[Point], law: str) -> tuple[float, float]:
    """The fixed and the growing part of a law, by least squares of relative errors."""
    # Of y = a + b x divided by y: unknowns a and b, with the coefficients 1/y and x/y.
    ones = [1 / point.y for point in points]
    slopes = [point.x / point.y for point in points]
    aa, bb = sum(u * u for u in ones), sum(v * v for v in slopes)
    ab, a1, b1 = sum(u * v for u, v in zip(ones, slopes)), sum(ones), sum(slopes)
    determinant = aa * bb - ab * ab
    if law == FLAT or determinant <= 1e-12 * aa * bb:
        return a1 / aa, 0.0
    fixed, growing = (a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant
    # No part of a cost is below nothing.
    if fixed < 0:
        return 0.0, b1 / bb
    if growing < 0:
        return a1 / aa, 0.0
    return fixed, growing


def slopes(points: Sequence[Point], law: str) -> list[Bend]:
    """The slope that is left between neighbours."""
    usable = [point for point in points if point.y > 0]
    if len(usable) < 2:
        return []
    fixed, growing = fitted(usable, law)
    left = [point.y / (fixed + growing * point.x) for point in usable]
    return [Bend(one.x, other.x, math.log(after / before) / math.log(other.x / one.x))
            for one, other, before, after in zip(usable, usable[1:], left, left[1:])]


def bends(points: Sequence[Point], law: str) -> list[Bend]:
    """The slopes that are a bend, and more than the noise of the two points."""
    noises = {point.x: point.noise for point in points}
    found = []
    for one in slopes(points, law):
        step = abs(one.slope) * math.log(one.end / one.start)
        if abs(one.slope) > BEND and step > noises[one.start] + noises[one.end]:
            found.append(one)
    return found
