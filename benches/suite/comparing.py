"""`benches/run`: all servers at all workloads, or those that are asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

import about
import page
import report
import results as files
import syscalls
from bench import Bench, Entry, entries, expected_seconds
from cells import MEASURED
from errors import DISTURBED, INTERRUPTED, REGRESSED, ended_by
from progress import Progress, duration
from results import Results
from samples import AGAIN, FAILED, SPOILT
from servers import Server
from session import Session, note, prepared
from workloads import Workload

# Two servers, two loads and what strace takes to slow them down.
TRACE_SECONDS = 0.8


def run(arguments: argparse.Namespace, servers: Sequence[Server], workloads: Sequence[Workload],
        words: Sequence[str]) -> int:
    session = prepared(arguments, servers, words)
    chosen = session.possible(workloads)
    results = session.results(files.RUN, {one.name: arguments.rounds for one in chosen}, chosen)
    results.about["skipped"] = session.skipped
    orders = {one.name: entries(session.built, one, again=True) for one in chosen}
    expected = sum(len(orders[one.name]) * arguments.rounds *
                   expected_seconds(one, arguments.seconds) for one in chosen)
    counted = counting(orders, chosen) if arguments.syscalls else []
    expected += len(counted) * TRACE_SECONDS
    out = Path(arguments.out)
    note(f"{len(chosen)} workloads, about {duration(expected)}")
    bench = session.bench(arguments.seconds, expected, results)
    code = 0
    try:
        measure(bench, results, orders, arguments.rounds, out)
        trace(session, bench.progress, results, counted)
        results.partial = False
    except KeyboardInterrupt as error:
        note(f"{ended_by(error)}; what was measured is kept and marked partial")
        code = INTERRUPTED
    files.write(results, out / files.FILE)
    for trouble in report.make(out, results, session.builder if arguments.plots else None):
        note(f"no plots: {trouble}")
    note(f"report: {out / 'report.md'}, figures: {out / files.FILE}")
    code = code or judged(results)
    if arguments.publish and code != INTERRUPTED:
        for path in page.publish(out, arguments.anyway):
            note(f"written: {path}")
    return code


def counting(orders: dict[str, list[Entry]], workloads: Sequence[Workload],
             ) -> list[tuple[Entry, Workload]]:
    return [(entry, workload) for workload in workloads if workload.traced
            for entry in orders[workload.name] if entry.name != AGAIN]


def measure(bench: Bench, results: Results, orders: dict[str, list[Entry]], rounds: int,
            out: Path) -> None:
    for workload in results.workloads.values():
        if not orders[workload.name]:
            continue
        bench.rounds(workload, orders[workload.name], rounds)
        bench.progress.done_with(about.summary(results, workload.name))
        # After each, so that even a machine that goes down leaves what is done.
        files.write(results, out / files.FILE)


def trace(session: Session, progress: Progress, results: Results,
          counted: Sequence[tuple[Entry, Workload]]) -> None:
    if not counted:
        return
    missing = syscalls.absent()
    if missing:
        note(f"no system calls are counted: {missing}")
    cells = results.cells()
    for entry, workload in counted:
        cell = cells.get(workload.name, {}).get(entry.name)
        progress.show(f"system calls of {workload.name}, {entry.name}")
        # What cannot be done untraced cannot be done traced.
        if cell is not None and cell.state in (MEASURED, SPOILT):
            results.counts.append(
                syscalls.count(entry, workload, session.load, session.cores))
        progress.step(TRACE_SECONDS)
    known = sum(count.total is not None for count in results.counts)
    progress.say(f"system calls     counted for {known} of {len(counted)} cells")


def judged(results: Results) -> int:
    """The exit code, and why it is one."""
    cells = [cell for row in results.cells().values() for cell in row.values()]
    spoilt = [cell for cell in cells if cell.state == SPOILT]
    failed = [cell for cell in cells if cell.state == FAILED]
    for cell in failed:
        note(f"failed: {cell.server} at {cell.workload}: {cell.reason}")
    if spoilt:
        note(f"disturbed: {len(spoilt)} of {len(cells)} cells have no figure; "
             "measure them again when the machine is quiet")
        return DISTURBED
    return REGRESSED if failed else 0
