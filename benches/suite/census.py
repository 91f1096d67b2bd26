"""Who else ran: the CPU time of all processes of the machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional


@dataclass(frozen=True)
class Census:
    """Nanoseconds of CPU time by process, and the number that was given out last."""
    clocks: dict[int, int]
    last: int


def process_clock(pid: int) -> int:
    """Nanoseconds of CPU time of a process and its threads, ended ones too; 0 when it is none."""
    try:
        # The clock that clock_getcpuclockid(3) makes of a process's number.
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def is_complete() -> bool:
    """Within a container others are not seen, nor is the parent of the kernel's own threads."""
    try:
        return Path("/proc/2/comm").read_text().strip() == "kthreadd"
    except OSError:
        return False


def last_number() -> int:
    return int(Path("/proc/loadavg").read_text().split()[4])


def threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def taken(without: Iterable[int] = ()) -> Census:
    pids = {int(name) for name in os.listdir("/proc") if name.isdigit()} - set(without)
    return Census({pid: process_clock(pid) for pid in sorted(pids)}, last_number())


def used_between(before: Census, after: Census, ours: int) -> Optional[int]:
    """What all of a census used until the next one, or nothing if that cannot be told: of who came
    or went between the two, some of its time is in neither. `ours`: how many processes and threads
    we ourselves have started since."""
    if before.clocks.keys() != after.clocks.keys() or after.last - before.last != ours:
        return None
    return sum(after.clocks[pid] - clock for pid, clock in before.clocks.items())
