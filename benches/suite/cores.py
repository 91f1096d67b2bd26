"""What happened on the cores that are measured on, and how much of it was not our own.

What others used of a core is bounded from above in three ways, none of which errs to the other
side but by its resolution, so that the least of them holds:

- The core was not idle, and neither server nor load ran. On its own this blames others for what it
  takes to put a core to sleep and to wake it, some microseconds each time: much, where a server
  waits for one connection at a virtual machine's pace.
- The kernel's count of what tasks ran on a core (/proc/schedstat), where it keeps one.
- What all other processes used, on whichever core, if none of them came or went meanwhile.

The load counts how long each core was busy as well, by columns of /proc/stat that are filled by
whoever is met at a tick. Chance makes an error of 4 % of that within a second, and a server that
goes to sleep in step with ticks a larger one; so this goes by the idle column, which a clock fills
wherever the kernel stops its ticks on idle cores, and which is only printed in ticks.
"""

from __future__ import annotations

import os
import resource
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional

from census import Census, process_clock, taken, threads, used_between
from disturbance import CoreUse, Interval

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CoreClock:
    """What has passed since the start of the machine, in ns."""
    idle: int
    interrupts: int
    steal: int


def core_clocks(text: str) -> dict[int, CoreClock]:
    clocks = {}
    for line in text.splitlines():
        name, *rest = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(field) * TICK_NS for field in rest] + [0] * 8
            clocks[int(name[3:])] = CoreClock(ticks[3] + ticks[4], ticks[5] + ticks[6], ticks[7])
    return clocks


def task_clocks(text: str) -> dict[int, int]:
    """Nanoseconds that tasks ran on each core, of /proc/schedstat."""
    clocks = {}
    for line in text.splitlines():
        name, *rest = line.split()
        if name.startswith("cpu") and len(rest) >= 7:
            clocks[int(name[3:])] = int(rest[6])
    return clocks


def text_of(path: str) -> str:
    """A file's text, or none where the kernel does not have it."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def reaped() -> int:
    """Nanoseconds of CPU time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def soft_interrupt_threads(cores: Iterable[int]) -> dict[int, int]:
    """For each core the process that handles what interrupts left over: packets of loopback too,
    which nobody but the server and the load send."""
    names = {f"ksoftirqd/{core}": core for core in cores}
    found = {}
    for place in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = place.read_text().strip()
        except OSError:
            continue
        if name in names:
            found[names[name]] = int(place.parent.name)
    return found


@dataclass(frozen=True)
class Places:
    """Which core has what, and the processes that are known of."""
    server_core: int
    load_core: int
    runner_core: int
    # Of each core, the process that does what interrupts left over.
    soft: dict[int, int]
    # Whether interrupts are kept off the clocks of processes.
    apart: bool
    # Whether all processes are seen.
    seen: bool


@dataclass(frozen=True)
class Reading:
    at: int
    cores: dict[int, CoreClock]
    tasks: dict[int, int]
    # Nanoseconds of our own on each core.
    own: dict[int, int]
    census: Optional[Census]
    threads: int


class Stopwatch:
    """From its making until `interval`: what the cores did, and how much of that was our own.

    A server of 0 is a child that is started and has ended in between, as a load always is.
    """

    def __init__(self, places: Places, server: int) -> None:
        self.places, self.server = places, server
        self.before = self.read()

    def read(self) -> Reading:
        places = self.places
        own = {core: process_clock(pid) for core, pid in places.soft.items()}
        shares = ((places.server_core, process_clock(self.server) if self.server else 0),
                  (places.load_core, reaped()), (places.runner_core, time.process_time_ns()))
        for core, share in shares:
            own[core] = own.get(core, 0) + share
        known = {self.server, os.getpid(), *places.soft.values()}
        census = taken(without=known) if places.seen else None
        return Reading(time.monotonic_ns(), core_clocks(Path("/proc/stat").read_text()),
                       task_clocks(text_of("/proc/schedstat")), own, census,
                       threads(self.server) if self.server else 0)

    def interval(self) -> Interval:
        before, after = self.before, self.read()
        elapsed = after.at - before.at
        others = None
        if before.census and after.census:
            # The load is one; a server starts threads when it has use for them.
            ours = 1 + after.threads - before.threads
            others = used_between(before.census, after.census, ours)
        uses = {}
        for core in {self.places.server_core, self.places.load_core}:
            if core in before.cores and core in after.cores:
                uses[core] = self.use(core, before, after, others)
        return Interval(elapsed, uses)

    def use(self, core: int, before: Reading, after: Reading, others: Optional[int]) -> CoreUse:
        was, now = before.cores[core], after.cores[core]
        steal, idle = now.steal - was.steal, now.idle - was.idle
        apart = now.interrupts - was.interrupts if self.places.apart else 0
        own = after.own.get(core, 0) - before.own.get(core, 0)
        # Neither is charged to any process.
        charged = own + steal + apart
        bounds = [after.at - before.at - idle - charged]
        if core in before.tasks and core in after.tasks:
            bounds.append(after.tasks[core] - before.tasks[core] - charged)
        if others is not None:
            bounds.append(others)
        # Below zero is possible within the resolution, and where a kernel charges stolen time to
        # whom it was stolen from.
        return CoreUse(max(0, min(bounds)), steal)


def interrupts_are_apart() -> bool:
    """Whether this kernel keeps the time of interrupts off the clocks of the processes they hit.

    Most of what loopback costs is done in soft interrupts. Where they are kept apart, the figures
    leave that out for all servers alike, and the cores' busy time must not count it as foreign. A
    process that sends to itself and is never displaced has then less CPU time than has passed.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        own.connect(own.getsockname())
        best = 0.0
        for _ in range(20):
            switches = resource.getrusage(resource.RUSAGE_SELF)
            start, cpu = time.perf_counter_ns(), time.process_time_ns()
            for _ in range(500):
                own.send(b"x")
                own.recv(1)
            cpu, passed = time.process_time_ns() - cpu, time.perf_counter_ns() - start
            now = resource.getrusage(resource.RUSAGE_SELF)
            if (now.ru_nivcsw, now.ru_nvcsw) == (switches.ru_nivcsw, switches.ru_nvcsw):
                best = max(best, cpu / passed)
    return 0.0 < best < 0.95
