"""Whether a library became slower: what `benches/run guard` decides, without measuring."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from errors import Refused
from spread import Spread

# A bound lies at least this far above the figure that was accepted: another build of the same
# source, another day and another place in memory move a ratio by about as much.
SLACK = 0.03
# Nanoseconds have no raw beside them that the machine's own speed could be taken off with.
SLACK_NS = 0.15
# And this many times the noise that was measured beside the figure.
NOISES = 2

KEPT, ABOVE, UNCLEAR, REGRESSED = "kept", "above", "unclear", "regressed"
RATIO, NS = "ratio", "ns"


@dataclass(frozen=True)
class Bound:
    figure: float
    noise: float
    bound: float
    unit: str = RATIO


@dataclass(frozen=True)
class Bounds:
    """What was accepted, and on what."""
    about: dict[str, Any]
    bounds: dict[str, Bound]


def accepted(found: Spread, unit: str = RATIO) -> Bound:
    slack = max(SLACK if unit == RATIO else SLACK_NS, NOISES * found.half_box)
    return Bound(round(found.median, 4), round(found.half_box, 4),
                 round(found.median * (1 + slack), 4), unit)


def first_look(found: Spread, bound: Bound) -> str:
    return ABOVE if found.median > bound.bound else KEPT


def second_look(found: Spread, bound: Bound) -> str:
    """Of a measurement that is made because the first was above its bound.

    It takes three quarters of the pairs to call it a regression. On a noisy machine the median
    alone would be above by chance too often to be believed.
    """
    if found.median <= bound.bound:
        return KEPT
    return REGRESSED if found.q1 > bound.bound else UNCLEAR


def read(path: Path) -> Bounds:
    if not path.exists():
        return Bounds({}, {})
    try:
        found = json.loads(path.read_text())
        return Bounds(found["about"], {
            name: Bound(**bound) for name, bound in found["bounds"].items()})
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is not what `benches/run guard --accept` writes: {error!r}",
                      to_do="restore it from the repository, or accept anew") from None


def write(path: Path, bounds: Bounds) -> None:
    lines = [f"  {json.dumps(name)}: {json.dumps(asdict(bound))}"
             for name, bound in sorted(bounds.bounds.items())]
    about = json.dumps(bounds.about)
    path.write_text('{"about": ' + about + ',\n "bounds": {\n' + ",\n".join(lines) + "\n}}\n")
