"""What was measured, as a file: enough to make every table and plot of it again."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import places
from cells import Cell, cells_of
from errors import Refused
from samples import GOOD, Sample
from spread import Spread
from syscalls import Count
from workloads import Workload

FORMAT = 1
RUN, TLS, GROWTH = "run", "tls", "growth"
FILE = "results.json"
GROWTH_FILE = "growth.json"
# What a directory keeps, by kind. `benches/run` writes all of a run to the first; published, what
# was measured over TLS has its own file, so that either can be measured again without the other.
FILES = {RUN: FILE, TLS: "tls.json", GROWTH: GROWTH_FILE}
SAMPLE_COLUMNS = ("workload", "server", "round", "attempt", "outcome", "reason", "foreign", "steal")
FIGURE_COLUMNS = tuple(column.name for column in dataclasses.fields(Spread))
# What of the load's line no figure is made of; left out of what is published.
UNUSED = ("workload", "connections", "bytes", "core_busy_ns", "steal_ns")


@dataclass
class Results:
    # run, tls (the part of a run that is published apart), growth or guard.
    kind: str
    # Date, arguments, machine, compilers, versions, rounds, seconds, cores, load average.
    about: dict[str, Any]
    # Of each workload.
    rounds: dict[str, int] = field(default_factory=dict)
    workloads: dict[str, Workload] = field(default_factory=dict)
    # Why a server is absent, or "" if it is not; in the order of the table.
    servers: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    # Some of what was asked for was not measured.
    partial: bool = True

    def cells(self) -> dict[str, dict[str, Cell]]:
        return cells_of(self.samples, self.rounds)


def rows_of(samples: list[Sample], leave_out: tuple[str, ...]) -> dict[str, Any]:
    keys: dict[str, None] = {}
    for sample in samples:
        keys.update((key, None) for key in sample.result if key not in leave_out)
    rows = [[*(getattr(sample, column) for column in SAMPLE_COLUMNS),
             *(sample.result.get(key) for key in keys)] for sample in samples]
    return {"columns": [*SAMPLE_COLUMNS, *(f"result.{key}" for key in keys)], "rows": rows}


def samples_of(table: dict[str, Any]) -> list[Sample]:
    names = table["columns"][len(SAMPLE_COLUMNS):]
    keys = [name[len("result."):] for name in names]
    samples = []
    for row in table["rows"]:
        own, rest = row[:len(SAMPLE_COLUMNS)], row[len(SAMPLE_COLUMNS):]
        result = {key: value for key, value in zip(keys, rest) if value is not None}
        workload, server, number, attempt, outcome, reason, foreign, steal = own
        samples.append(Sample(workload, server, number, attempt, outcome, reason, result,
                              foreign, steal))
    return samples


def rounded(value: Any) -> Any:
    """Six digits, so that a file can be read and compared."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


def cells_as_json(results: Results) -> dict[str, Any]:
    return {
        workload: {
            server: {"state": cell.state, "reason": cell.reason, "figures": {
                name: [rounded(getattr(figure, column)) for column in FIGURE_COLUMNS]
                for name, figure in cell.figures.items()}}
            for server, cell in servers.items()}
        for workload, servers in results.cells().items()}


def entry(value: Any) -> str:
    """A line for each member, so that files can be read by eye and by diff."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    members = ",\n".join(f" {json.dumps(key)}: {json.dumps(member)}"
                         for key, member in value.items())
    return f"{{\n{members}\n}}"


def dumped(results: Results, compact: bool = False) -> str:
    samples = results.samples
    leave_out: tuple[str, ...] = UNUSED if compact else ()
    if compact:
        samples = [sample if sample.outcome == GOOD else dataclasses.replace(sample, result={})
                   for sample in samples]
    table = rows_of(samples, leave_out)
    lines = [json.dumps(row, separators=(",", ":")) for row in table["rows"]]
    head = {
        "format": FORMAT, "kind": results.kind, "partial": results.partial,
        "about": results.about, "rounds": results.rounds, "servers": results.servers,
        "workloads": {name: dataclasses.asdict(workload)
                      for name, workload in results.workloads.items()},
        "figure_columns": FIGURE_COLUMNS, "cells": cells_as_json(results),
        "counts": [rounded(dataclasses.asdict(count)) for count in results.counts],
    }
    text = ",\n".join(f"{json.dumps(key)}: {entry(value)}" for key, value in head.items())
    columns = json.dumps(table["columns"])
    rows = ",\n".join(lines)
    whole = f'{{{text},\n"samples": {{"columns": {columns},\n"rows": [\n{rows}\n]}}}}\n'
    return places.without_places(whole)


def write(results: Results, path: Path, compact: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all, whenever a run is ended.
    new = path.with_suffix(".new")
    new.write_text(dumped(results, compact))
    os.replace(new, path)


def read(path: Path) -> Results:
    try:
        found = json.loads(path.read_text())
        if found.get("format") != FORMAT:
            raise Refused(f"{path} has format {found.get('format')}, this reads {FORMAT}",
                          to_do="measure again with this version of benches/run")
        workloads = {}
        for name, own in found["workloads"].items():
            own["traced"] = own["traced"] and tuple(own["traced"])
            workloads[name] = Workload(**{**own, "only": tuple(own["only"])})
        return Results(
            found["kind"], found["about"], found["rounds"], workloads, found["servers"],
            samples_of(found["samples"]), [Count(**count) for count in found["counts"]],
            found["partial"])
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}",
                      to_do="give the directory that benches/run wrote to (--out)") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is not what benches/run writes: {error!r}",
                      to_do="measure again") from None
