"""What is looked at before anything is measured."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import census
import cores
from errors import USAGE, Refused

# A process that uses more than this share of one core is not the noise of an idle machine.
BUSY_PROCESS = 0.5
# Likewise for all others together, on one of the two cores that are measured on.
BUSY_CORE = 0.2
LOOK_SECONDS = 1.0
# Beyond this a machine was busy within the last minute, and may be again.
LOAD_AVERAGE = 0.5


@dataclass(frozen=True)
class Cores:
    server: int
    load: int
    # Where the runner itself stays: not on the server's.
    runner: int

    @property
    def one(self) -> bool:
        return self.server == self.load


def choose(asked: Optional[str], allowed: set[int]) -> Cores:
    """`asked` is SERVER,LOAD; otherwise the first two that this process may run on."""
    ordered = sorted(allowed)
    if asked is None:
        pair = (ordered + ordered)[:2] if len(ordered) == 1 else ordered[:2]
    else:
        try:
            pair = [int(core) for core in asked.split(",")]
        except ValueError:
            pair = []
        if len(pair) != 2 or not set(pair) <= allowed:
            raise Refused(f"--cores {asked}: two of the cores {ordered} are needed, as in "
                          f"--cores {ordered[0]},{ordered[-1]}", code=USAGE)
    spare = [core for core in ordered if core not in pair]
    return Cores(pair[0], pair[1], spare[-1] if spare else pair[1])


def raise_descriptor_limit() -> int:
    """The soft limit becomes the hard one; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def ephemeral_ports() -> int:
    """How many connections to one address are possible."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        low, high = (int(field) for field in text.split())
        return high - low + 1
    except (OSError, ValueError):
        return 28_000


def siblings(core: int) -> str:
    place = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        return place.read_text().strip()
    except OSError:
        return str(core)


def warnings(chosen: Cores) -> list[str]:
    found = []
    if chosen.one:
        found.append("this machine lets us use one core only: server and load take turns on it; "
                     "CPU time per operation still compares, rates and latencies say little")
    elif siblings(chosen.server) == siblings(chosen.load) != str(chosen.server):
        found.append(f"cores {chosen.server} and {chosen.load} are two threads of one physical "
                     "core and slow each other down; choose others with --cores")
    average = os.getloadavg()[0]
    if average > LOAD_AVERAGE:
        found.append(f"the load average of the last minute is {average:.2f}: something else was "
                     "running; disturbed samples will be taken again and cost time")
    return found


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a process that has ended"


def look(chosen: Cores) -> list[str]:
    """Who uses a core at this moment."""
    places = cores.Places(chosen.server, chosen.load, chosen.runner, {}, apart=False, seen=False)
    before, watch = census.taken(without=[os.getpid()]), cores.Stopwatch(places, 0)
    time.sleep(LOOK_SECONDS)
    interval, after = watch.interval(), census.taken(without=[os.getpid()])
    used = {pid: (now - before.clocks[pid]) / interval.elapsed
            for pid, now in after.clocks.items() if pid in before.clocks}
    found = [f"{name_of(pid)} (process {pid}) uses {share:.0%} of a core"
             for pid, share in sorted(used.items(), key=lambda item: -item[1])
             if share > BUSY_PROCESS]
    for core, use in sorted(interval.cores.items()):
        share = use.foreign / interval.elapsed
        if share > BUSY_CORE and not found:
            found.append(f"others use {share:.0%} of core {core}")
    return found


def refuse_if_busy(chosen: Cores, anyway: bool) -> list[str]:
    """Refuses; or, if it is to go on anyway, returns what it would have refused for."""
    found = look(chosen)
    if found and not anyway:
        raise Refused(
            "something else is running: " + "; ".join(found[:3]),
            "it would share the cores and their caches with what is measured",
            "wait until it is over or end it; or --anyway, where samples that it disturbs are "
            "still thrown away")
    return found
