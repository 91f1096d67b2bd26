"""When a sample is worth nothing, because something else ran on the cores that it was taken on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

# More than this share of a core's time used by others shifts the figures by as much as most
# differences between servers: caches are lost and the server waits where it would not.
FOREIGN_SHARE = 0.05
# Time that the hypervisor gave to others is not charged to the server, but what it evicts from the
# caches and how long requests wait is; a guest cannot see more of it than this.
STEAL_SHARE = 0.02
# A cell is given up when fewer of its rounds are left: a median of the few that got through would
# be one of the quiet moments of a machine that is not quiet.
ROUNDS_LEFT = 2 / 3
# How often a disturbed sample is taken again, and how long is waited before each: most of what
# disturbs is over within seconds.
PAUSES_S = (0.5, 1.0, 2.0)
# All that is taken again may take as long as the run was to take, and then nothing is: on a
# machine that is never quiet the rest would be disturbed as well.
REPEATS = 1.0


@dataclass(frozen=True)
class CoreUse:
    """What happened on one core during a sample, in ns: what others used of it, and what the
    hypervisor gave to others."""
    foreign: int
    steal: int


@dataclass(frozen=True)
class Interval:
    """What happened during a sample: from before its load is started until that has ended."""
    elapsed: int
    cores: dict[int, CoreUse]


def disturbance(interval: Interval, tick: int) -> Optional[str]:
    """What disturbed a sample, or nothing. `tick`: the resolution of the cores' clocks in ns.

    What others used may come from what remains of the elapsed when idling and waiting for I/O are
    taken off: two counts that are cut off to ticks, so that less than two ticks cannot be told from
    nothing. Stolen time is one such count.
    """
    for core, use in sorted(interval.cores.items()):
        if use.foreign > max(FOREIGN_SHARE * interval.elapsed, 2 * tick):
            share = use.foreign / interval.elapsed
            return f"others used {share:.0%} of core {core} (at most {FOREIGN_SHARE:.0%} may be)"
        if use.steal > max(STEAL_SHARE * interval.elapsed, tick):
            share = use.steal / interval.elapsed
            return f"{share:.0%} of core {core} were stolen (at most {STEAL_SHARE:.0%} may be)"
    return None
