"""Takes samples: a fresh server on its core, a load on another, and both cores watched."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import Callable, Iterator, Optional, Sequence

import census
import processes
from building import Built
from cores import TICK_NS, Places, Stopwatch, soft_interrupt_threads
from disturbance import PAUSES_S, REPEATS, Interval, disturbance
from preflight import Cores
from processes import Cannot, Failed, TooSlow
from progress import Progress
from samples import AGAIN, CANNOT, FAILED, GOOD, SPOILT, Sample
from workloads import Workload

Keep = Callable[[Sample], None]
# Of a sample's time what is not its measured phase: the warm-up, as a share, and two processes.
WARM_UP = 0.2
AROUND_SECONDS = 0.25


@dataclass(frozen=True)
class Entry:
    """A server in the order of a round; `name` differs from the server's where it runs again."""
    name: str
    built: Built


def entries(servers: Sequence[Built], workload: Workload, again: bool) -> list[Entry]:
    """Raw's second run stands half a round away from its first: so far apart are, on average, the
    two runs that a ratio is made of."""
    ready = [Entry(built.server.name, built) for built in servers
             if not built.absent and fits(built, workload)]
    raw = [entry for entry in ready if entry.name == "raw"]
    if again and raw and workload.kind != "timers":
        ready.insert((len(ready) + 2) // 2, Entry(AGAIN, raw[0].built))
    return ready


def rotated(order: Sequence[Entry], number: int) -> list[Entry]:
    """Each round begins with another server: whoever follows a pause gains or loses by it."""
    turn = number % len(order) if order else 0
    return [*order[turn:], *order[:turn]]


def fits(built: Built, workload: Workload) -> bool:
    wanted = not workload.only or built.server.name in workload.only
    return wanted and (not built.server.only or workload.name in built.server.only)


def expected_seconds(workload: Workload, seconds: float) -> float:
    """A guess, to tell the time left by until samples were taken."""
    if workload.kind == "timers":
        return 0.5 + workload.options["count"] * 2e-6
    if workload.kind == "idle":
        return 0.3 + workload.options["connections"] * 1e-4
    return seconds * (1 + WARM_UP) + AROUND_SECONDS + workload.options.get("connections", 0) * 1e-4


class Bench:
    def __init__(self, load: str, chosen: Cores, seconds: float, apart: bool,
                 progress: Progress, keep: Keep) -> None:
        self.load, self.cores, self.seconds = load, chosen, seconds
        self.progress, self.keep = progress, keep
        self.places = Places(
            chosen.server, chosen.load, chosen.runner,
            soft_interrupt_threads({chosen.server, chosen.load}), apart, census.is_complete())
        # Seconds that are left for taking samples again.
        self.spare = progress.expected * REPEATS
        # The server's core is its own; and the time of the runner must be known to a core.
        os.sched_setaffinity(0, {chosen.runner})

    def rounds(self, workload: Workload, order: Sequence[Entry], rounds: int,
               first: int = 0) -> list[Sample]:
        """Each round has every server once, and begins with another one."""
        taken: list[Sample] = []
        out: set[str] = set()
        cost = expected_seconds(workload, self.seconds)
        for number in range(first, first + rounds):
            for entry in rotated(order, number):
                if entry.name in out:
                    self.progress.drop(cost)
                    continue
                label = f"{workload.name}, round {number - first + 1} of {rounds}, {entry.name}"
                self.progress.show(label)
                for sample in self.tries(entry, workload, number):
                    taken.append(sample)
                    self.keep(sample)
                self.progress.step(cost)
                if taken[-1].outcome in (CANNOT, FAILED):
                    out.add(entry.name)
                    if taken[-1].outcome == FAILED:
                        reason = taken[-1].reason
                        self.progress.say(f"{workload.name}: {entry.name} failed: {reason}")
        return taken

    def tries(self, entry: Entry, workload: Workload, number: int) -> Iterator[Sample]:
        """Samples until one is not disturbed, or until it has been tried often enough."""
        sample = self.sample(entry, workload, number, 0)
        yield sample
        for attempt, pause in enumerate(PAUSES_S, 1):
            if sample.outcome != SPOILT or self.spare <= 0:
                return
            self.progress.show(f"{workload.name}, {entry.name}: {sample.reason}; again")
            begun = time.monotonic()
            time.sleep(pause)
            sample = self.sample(entry, workload, number, attempt)
            self.spare -= time.monotonic() - begun
            yield sample

    def sample(self, entry: Entry, workload: Workload, number: int, attempt: int) -> Sample:
        def made(outcome: str, reason: str = "", result: Optional[dict[str, object]] = None,
                 interval: Optional[Interval] = None) -> Sample:
            uses = interval.cores.items() if interval else ()
            elapsed = interval.elapsed if interval else 1
            return Sample(workload.name, entry.name, number, attempt, outcome, reason, result or {},
                          {str(core): round(use.foreign / elapsed, 4) for core, use in uses},
                          {str(core): round(use.steal / elapsed, 4) for core, use in uses})

        try:
            if workload.kind == "timers":
                result, interval = self.run_timers(entry, workload)
            else:
                result, interval = self.run_load(entry, workload)
        except Cannot as error:
            return made(CANNOT, str(error))
        except Failed as error:
            return made(FAILED, str(error))
        if workload.kind == "rate" and not result.get("operations"):
            return made(FAILED, f"no operation ended within {self.seconds} s: give more --seconds",
                        result, interval)
        # Who else runs does not change how much memory a connection takes.
        reason = None if workload.kind == "idle" else disturbance(interval, TICK_NS)
        return made(SPOILT if reason else GOOD, reason or "", result, interval)

    def run_load(self, entry: Entry, workload: Workload) -> tuple[dict[str, object], Interval]:
        command = [*entry.built.command, workload.serve]
        with processes.serving(command, self.cores.server) as server:
            watch = Stopwatch(self.places, server.pid)
            timed = {} if workload.kind == "idle" else {"seconds": self.seconds}
            arguments = workload.load_arguments(**timed)
            result = processes.output_of(
                [self.load, server.address, str(server.pid), *arguments], self.cores.load,
                self.seconds)
            return result, watch.interval()

    def run_timers(self, entry: Entry, workload: Workload) -> tuple[dict[str, object], Interval]:
        """There is no load: the program is the child whose time is told when it has ended."""
        core = self.cores.server
        watch = Stopwatch(replace(self.places, load_core=core), 0)
        command = [*entry.built.command, "timers", str(workload.options["count"])]
        try:
            result = processes.output_of(command, core, self.seconds)
        except TooSlow as error:
            # A library whose cost grows with the square of the timers is not at fault otherwise.
            raise Cannot(str(error)) from None
        return result, watch.interval()
