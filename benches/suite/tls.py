"""What is measured over TLS: a part of the page of its own, which a run of TLS alone fills too."""

from __future__ import annotations

import dataclasses
from typing import Callable

import about
import bars
import tables
import words
from cells import Cell
from results import RUN, TLS, Results
from samples import AGAIN

NAME = "tls"
TITLE = "Server's CPU time per operation over TLS, as a ratio to raw's"


def restricted(results: Results, kind: str, names: set[str]) -> Results:
    """What was measured at these workloads, as if there had been no others."""
    return dataclasses.replace(
        results, kind=kind,
        rounds={name: count for name, count in results.rounds.items() if name in names},
        workloads={name: one for name, one in results.workloads.items() if name in names},
        samples=[sample for sample in results.samples if sample.workload in names],
        counts=[count for count in results.counts if count.workload in names])


def apart(run: Results) -> dict[str, Results]:
    """A run as it is published, by kind: what was measured over TLS, and all else. A kind of which
    nothing was asked for is left out, so that it replaces no figures."""
    over_tls = {name for name, workload in run.workloads.items() if workload.is_tls}
    others = set(run.workloads) - over_tls
    found = {}
    if others or not over_tls:
        found[RUN] = restricted(run, RUN, others)
    if over_tls:
        found[TLS] = restricted(run, TLS, over_tls)
    return found


def rated(results: Results) -> list[str]:
    return [name for name, workload in results.workloads.items()
            if workload.is_tls and workload.kind == "rate"]


def cpu_cell(cell: Cell) -> str:
    found, time = cell.figures.get("cpu_ratio"), tables.microseconds(cell)
    if found is None or cell.server == "raw":
        return time
    return tables.small(words.ratio(found.median),
                        f"{words.ratio(found.q1)}..{words.ratio(found.q3)}, {time}")


def rate_cell(cell: Cell) -> str:
    return tables.small(words.number(cell.median("rate")),
                        f"{words.number(cell.median('p99_us'))} us")


def table(results: Results, show: Callable[[Cell], str]) -> str:
    """A row for each workload and a column for each server."""
    all_cells = results.cells()
    measured = {server for row in all_cells.values() for server in row}
    servers = ["raw", AGAIN, *(name for name in tables.ready(results)
                               if name != "raw" and name in measured)]
    rows = [[name, *(tables.shown(all_cells.get(name, {}).get(server), show)
                     for server in servers)] for name in rated(results)]
    return words.table(["workload", *servers], rows) if rows else tables.NOT_MEASURED


def part(results: Results) -> str:
    """All figures of TLS, and where they are from."""
    one = apart(results).get(TLS)
    if one is None:
        return tables.NOT_MEASURED
    found = one.about
    return "\n\n".join([
        f"{about.where(one)} {about.command(one)}, source {found['commit'] or 'not known'}; "
        f"rounds: {about.length(one)}.\n{about.conditions(one)}",
        f"CPU time per operation: the ratio to raw's; below it the quartiles, and the time.\n\n"
        f"{table(one, cpu_cell)}",
        f"Operations per second; below, the 99th percentile of latency.\n\n"
        f"{table(one, rate_cell)}",
        f"System calls per operation.\n\n{tables.syscalls(one, rated(one))}",
        f"Resident memory.\n\n{tables.memory(one)}"])


def better(results: Results) -> str:
    one = apart(results).get(TLS)
    return tables.better(one) if one is not None else tables.NOT_MEASURED


def plot(results: Results) -> str:
    return bars.every(results, "cpu_ratio", TITLE, rated(results))
