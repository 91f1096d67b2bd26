"""`benches/run growth`: what an operation costs as more of something is there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

import axes
import report
import results as files
from axes import Axis
from bench import entries, expected_seconds
from building import NotBuilt
from comparing import judged
from errors import INTERRUPTED, ended_by
from progress import duration
from servers import Server
from session import Session, note, prepared


def prepare_plots(session: Session) -> None:
    """A venv that cannot be made is better known before measuring than after."""
    try:
        session.builder.python()
    except NotBuilt as error:
        note(f"there will be no plots: {error}; --no-plots does without them")


def run(arguments: argparse.Namespace, servers: Sequence[Server], chosen: Sequence[Axis],
        words: Sequence[str]) -> int:
    session = prepared(arguments, servers, words)
    if arguments.plots:
        prepare_plots(session)
    workloads = session.possible(workload for axis in chosen for _, workload in axis.points)
    rounds = {workload.name: arguments.rounds for workload in workloads}
    results = session.results(files.GROWTH, rounds, workloads)
    orders = {one.name: entries(session.built, one, again=False) for one in workloads}
    expected = sum(len(orders[one.name]) * arguments.rounds *
                   expected_seconds(one, arguments.seconds) for one in workloads)
    note(f"{len(workloads)} points on {len(chosen)} axes, about {duration(expected)}")
    out, code = Path(arguments.out), 0
    bench = session.bench(arguments.seconds, expected, results)
    try:
        for axis in chosen:
            for _, workload in axis.points:
                if workload.name in results.workloads:
                    bench.rounds(workload, orders[workload.name], arguments.rounds)
            bench.progress.say(f"\n{axis.title}\n\n{axes.section(results, axis)}\n")
            bench.progress.done_with(f"{axis.name} is done")
            files.write(results, out / files.GROWTH_FILE)
        results.partial = False
    except KeyboardInterrupt as error:
        note(f"{ended_by(error)}; what was measured is kept and marked partial")
        code = INTERRUPTED
    files.write(results, out / files.GROWTH_FILE)
    for trouble in report.make(out, results, session.builder if arguments.plots else None):
        note(f"no plots: {trouble}")
    note(f"report: {out / 'growth.md'}, figures: {out / files.GROWTH_FILE}")
    return code or judged(results)
