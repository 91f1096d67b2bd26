"""`benches/run guard`: whether the library became slower than it was accepted to be."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Optional, Sequence

import judgement
import places
import results as files
import servers
from bench import Bench, Entry, entries, expected_seconds
from cells import MEASURED, Cell, cell_of
from errors import DISTURBED, INTERRUPTED, REGRESSED, Refused, ended_by
from judgement import KEPT, NS, RATIO, Bound, Bounds
from progress import duration
from results import Results
from samples import FAILED, Sample
from session import Session, note, prepared
from spread import Spread
from workloads import Workload

WATCHED = ("echo-64x64", "echo-64x16k", "pipeline-64x64", "lines-64x64", "chat-100", "chat-1000",
           "churn", "sink-1", "stream-8", "pipe-1", "idle-10000", "timers",
           "tls-echo-64x64", "tls-sink-1", "tls-full", "tls-idle-10000")
# What needs no median of many: memory hardly varies, and a million timers average themselves.
PAIRS = {"idle": 3, "timers": 5}
# A failing workload is measured again with this many times the pairs.
AGAIN = 2
# A bound so far above its figure lets real regressions pass.
WIDE = 0.2
FILE = "guard-results.json"
TIMER_FIGURES = ("schedule", "reset", "cancel", "fire")


@dataclass(frozen=True)
class Watched:
    """A figure that has a bound, or is to get one."""
    name: str
    workload: str
    unit: str
    spread: Spread


@dataclass
class Guard:
    bench: Bench
    session: Session
    results: Results
    pairs: int

    def measured(self, workload: Workload, times: int, first: int) -> tuple[Cell, list[Sample]]:
        """Twistor's cell over pairs of its own, whatever was measured before."""
        pairs = PAIRS.get(workload.kind, self.pairs) * times
        order: list[Entry] = entries(self.session.built, workload, again=False)
        self.results.rounds[workload.name] = first + pairs
        taken = self.bench.rounds(workload, order, pairs, first)
        own = [sample for sample in taken if sample.server == "twistor"]
        raw = [sample for sample in taken if sample.server == "raw"]
        return cell_of(workload.name, "twistor", own, raw, pairs), taken


def watched(cell: Cell, kind: str) -> Iterator[Watched]:
    """The figures of a cell that are compared, as ratios wherever raw has them too."""
    if kind == "timers":
        for figure in TIMER_FIGURES:
            ratio, own = cell.figures.get(f"{figure}_ratio"), cell.figures.get(figure)
            name = f"{cell.workload}.{figure}"
            if ratio is not None:
                yield Watched(name, cell.workload, RATIO, ratio)
            elif own is not None:
                yield Watched(name, cell.workload, NS, own)
        return
    found = cell.figures.get("bytes_ratio" if kind == "idle" else "cpu_ratio")
    if found is not None:
        yield Watched(cell.workload, cell.workload, RATIO, found)


def line(one: Watched, bound: Optional[Bound], verdict: str) -> str:
    against = f"bound {bound.bound:.3f}, accepted {bound.figure:.3f}" if bound else "no bound"
    unit = " ns" if one.unit == NS else ""
    return (f"{one.name:18} {one.spread.median:.3f}{unit} ({one.spread.low:.3f}.."
            f"{one.spread.high:.3f})  {against}  {verdict}").rstrip()


def run(arguments: argparse.Namespace, chosen: Sequence[Workload], words: Sequence[str]) -> int:
    known = judgement.read(places.BOUNDS)
    if not known.bounds and not arguments.accept:
        raise Refused("benches/guard.json has no bounds", "there is nothing to compare with",
                      "on a quiet machine and a source that is as fast as it should be: "
                      "benches/run guard --accept")
    session = prepared(arguments, [servers.NAMES["raw"], servers.NAMES["twistor"]], words)
    for built in session.built:
        if built.absent:
            raise Refused(f"{built.server.name} is absent: {built.absent}",
                          "the guard compares it", "mend its build")
    kept = session.possible(chosen)
    results = session.results("guard", {}, kept)
    expected = sum(2 * PAIRS.get(one.kind, arguments.rounds) *
                   expected_seconds(one, arguments.seconds) for one in kept)
    note(f"{len(kept)} workloads, about {duration(expected)}")
    bench = session.bench(arguments.seconds, expected, results)
    guard = Guard(bench, session, results, arguments.rounds)
    try:
        code = watch(guard, kept, known, arguments.accept)
        results.partial = False
    except KeyboardInterrupt as error:
        note(f"{ended_by(error)}; no bound was changed")
        code = INTERRUPTED
    files.write(results, Path(arguments.out) / FILE)
    return code


@dataclass
class Findings:
    """By name, or as it is said to the user."""
    regressions: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def watch(guard: Guard, chosen: Sequence[Workload], known: Bounds, accept: bool) -> int:
    found: list[Watched] = []
    findings = Findings()
    for workload in chosen:
        cell, _ = guard.measured(workload, 1, 0)
        if cell.state != MEASURED:
            guard.bench.progress.say(f"{workload.name:18} {cell.state}: {cell.reason}")
            no_figure = findings.failed if cell.state == FAILED else findings.lost
            no_figure.append(workload.name)
            continue
        ones = list(watched(cell, workload.kind))
        found += ones
        if accept:
            for one in ones:
                guard.bench.progress.done_with(line(one, None, ""))
            continue
        compare(guard, workload, ones, known, findings)
    if accept:
        return accepted(guard, found, known, findings.lost + findings.failed)
    return concluded(findings)


def compare(guard: Guard, workload: Workload, ones: Sequence[Watched], known: Bounds,
            findings: Findings) -> None:
    """The figures of one workload with their bounds; those above are measured again."""
    bounds = {one.name: usable(guard, one, known) for one in ones}
    above = []
    for one in ones:
        bound = bounds[one.name]
        verdict = judgement.first_look(one.spread, bound) if bound else ""
        guard.bench.progress.done_with(line(one, bound, verdict))
        if verdict not in ("", KEPT):
            above.append(one.name)
    if not above:
        return
    pairs = PAIRS.get(workload.kind, guard.pairs)
    guard.bench.progress.say(f"{workload.name:18} above its bound; again, with {AGAIN * pairs}")
    cell, _ = guard.measured(workload, AGAIN, pairs)
    if cell.state != MEASURED:
        # Not to be called a regression; and nothing better either.
        findings.lost += [f"{name} (above its bound before)" for name in above]
        return
    for one in watched(cell, workload.kind):
        bound = bounds.get(one.name)
        if one.name not in above or bound is None:
            continue
        verdict = judgement.second_look(one.spread, bound)
        text = line(one, bound, verdict)
        guard.bench.progress.say(text)
        if verdict == judgement.REGRESSED:
            findings.regressions.append(" ".join(text.split()))


def usable(guard: Guard, one: Watched, known: Bounds) -> Optional[Bound]:
    """The bound of a figure, if it is one that can be compared here."""
    bound = known.bounds.get(one.name)
    if bound is None or bound.unit != one.unit:
        note(f"{one.name}: benches/guard.json has no such bound; benches/run guard --accept "
             f"--workloads {one.workload} makes one")
        return None
    here = guard.session.about["machine"]["processor"]
    there = known.about.get("processor")
    if bound.unit == NS and here != there:
        note(f"{one.name}: not compared; its bound is in ns and of another processor, {there}")
        return None
    return bound


def accepted(guard: Guard, found: Sequence[Watched], known: Bounds, lost: Sequence[str]) -> int:
    machine = guard.session.about["machine"]
    about = {"date": guard.session.about["date"], "processor": machine["processor"],
             "kernel": machine["kernel"], "rustc": guard.session.about["compilers"]["rustc"]}
    bounds = {**known.bounds, **{one.name: judgement.accepted(one.spread, one.unit)
                                 for one in found}}
    judgement.write(places.BOUNDS, Bounds(about, bounds))
    note(f"accepted {len(found)} figures into benches/guard.json")
    for one in found:
        bound = bounds[one.name]
        if bound.bound > bound.figure * (1 + WIDE):
            note(f"the bound of {one.name} is {bound.bound / bound.figure - 1:.0%} above its "
                 "figure, because that was noisy; accept it again on a quieter machine")
    if lost:
        note(f"not accepted, and their bounds left as they were: {', '.join(lost)}")
        return DISTURBED
    return 0


def concluded(findings: Findings) -> int:
    for name in findings.failed:
        note(f"failed: {name}")
    for text in findings.regressions:
        note(f"regression: {text}")
    if findings.lost:
        note(f"not judged, because disturbed: {', '.join(findings.lost)}")
    if findings.regressions or findings.failed:
        return REGRESSED
    if findings.lost:
        return DISTURBED
    note("no regression")
    return 0
