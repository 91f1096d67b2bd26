"""What run, growth and guard have in common: looking around, building, and saving as they go."""

from __future__ import annotations

import argparse
import datetime
import os
import signal
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Iterable, Optional, Sequence

import machine
import preflight
from bench import Bench
from building import Builder, Built
from cores import interrupts_are_apart
from errors import Interrupted
from preflight import Cores
from progress import Progress
from results import Results
from samples import Sample
from servers import Server
from workloads import Workload, descriptors_needed, resolved


def note(text: str) -> None:
    print(f"benches: {text}", flush=True)


@dataclass
class Session:
    """A machine that has been looked at, and the programs that will run on it."""
    cores: Cores
    builder: Builder
    load: str
    built: list[Built]
    apart: bool
    descriptors: int
    about: dict[str, Any]
    skipped: list[str] = field(default_factory=list)

    def possible(self, asked: Iterable[Workload]) -> list[Workload]:
        """Those that the descriptor limit allows; the others are told of."""
        kept = []
        for workload in asked:
            known = resolved(workload, self.descriptors, preflight.ephemeral_ports())
            if descriptors_needed(known) > self.descriptors:
                self.skipped.append(f"{known.name}: it needs {descriptors_needed(known)} "
                                    f"descriptors, the limit is {self.descriptors}")
                note(f"left out, {self.skipped[-1]}; raise the hard limit (ulimit -Hn)")
            else:
                kept.append(known)
        return kept

    def results(self, kind: str, rounds: dict[str, int], workloads: Sequence[Workload]) -> Results:
        servers = {built.server.name: built.absent for built in self.built}
        return Results(kind, self.about, rounds, {one.name: one for one in workloads}, servers)

    def bench(self, seconds: float, expected: float, results: Results) -> Bench:
        def keep(sample: Sample) -> None:
            results.samples.append(sample)

        return Bench(self.load, self.cores, seconds, self.apart, Progress(expected), keep)


def end_by_signal(number: int, frame: Optional[FrameType]) -> None:
    raise Interrupted(signal.Signals(number).name)


def prepared(arguments: argparse.Namespace, servers: Sequence[Server],
             words: Sequence[str]) -> Session:
    """Looks first, and builds then: a machine that is busy is told of at once, and what a build
    leaves of load is not taken for something else."""
    signal.signal(signal.SIGTERM, end_by_signal)
    signal.signal(signal.SIGHUP, end_by_signal)
    allowed = os.sched_getaffinity(0)
    chosen = preflight.choose(arguments.cores, allowed)
    descriptors = preflight.raise_descriptor_limit()
    for warning in preflight.warnings(chosen):
        note(warning)
    load_average = os.getloadavg()[0]
    busy = preflight.refuse_if_busy(chosen, arguments.anyway)
    for one in busy:
        note(f"going on although {one}")
    builder = Builder(lambda text: note(text + " .."), build=not arguments.no_build)
    load = builder.needed("load")
    if servers and servers[0].name == "raw":
        builder.needed("raw")
    built = [builder.of(server) for server in servers]
    for program in built:
        if program.absent:
            note(f"absent, {program.server.name}: {program.absent}")
    apart = interrupts_are_apart()
    about = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "arguments": public(words), "commit": machine.commit(),
        "machine": machine.description(apart, descriptors), "compilers": machine.compilers(),
        "versions": machine.versions(
            program.server for program in built if not program.absent),
        "cores": {"server": chosen.server, "load": chosen.load},
        "rounds": arguments.rounds, "seconds": arguments.seconds,
        "load_average": load_average, "busy": busy,
    }
    return Session(chosen, builder, load, built, apart, descriptors, about)


def public(words: Sequence[str]) -> list[str]:
    """The arguments, without where the results went."""
    kept, skip = [], False
    for word in words:
        if skip or word.startswith("--out="):
            skip = False
        elif word == "--out":
            skip = True
        else:
            kept.append(word)
    return kept
