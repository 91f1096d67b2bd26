"""System calls per operation: counted under strace, which makes servers slow, and so never in the
rounds that are timed.

A server is run twice, with different numbers of operations; the difference of the counts is free
of the start, of the connections' opening and of their end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import processes
from bench import Entry
from preflight import Cores
from processes import Cannot, Failed
from workloads import Workload

# Calls by which a server waits or reads a clock vary with the speed of the load; they are listed
# like all others, and this many names are kept of a server.
NAMES_KEPT = 8


@dataclass(frozen=True)
class Count:
    workload: str
    server: str
    # Per operation.
    total: Optional[float] = None
    calls: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def parsed(summary: str) -> dict[str, int]:
    """Calls by name, of what `strace -c` writes."""
    counts = {}
    for line in summary.splitlines():
        fields = line.split()
        # The fifth column, errors, is empty where there were none.
        if len(fields) in (5, 6) and fields[3].isdigit() and fields[-1] != "total":
            counts[fields[-1]] = int(fields[3])
    return counts


def per_operation(first: dict[str, int], second: dict[str, int], operations: int,
                  ) -> dict[str, float]:
    names = set(first) | set(second)
    difference = {name: second.get(name, 0) - first.get(name, 0) for name in names}
    # A name that a start calls some more or less often would be below zero or next to it.
    rates = {name: count / operations for name, count in difference.items()}
    return {name: rate for name, rate in sorted(rates.items(), key=lambda item: -item[1])
            if rate >= 0.0005}


def absent() -> str:
    return "" if shutil.which("strace") else "strace is not installed"


def traced(entry: Entry, workload: Workload, operations: int, load: str, chosen: Cores,
           ) -> tuple[dict[str, int], dict[str, Any]]:
    """One run under strace: the calls of all its threads, and what the load says."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "calls"
        command = ["strace", "-c", "-f", "-o", str(summary), "--", *entry.built.command,
                   workload.serve]
        with processes.serving(command, chosen.server) as tracer:
            server = processes.child_of(tracer.pid)
            if server is None:
                raise Failed("strace has started no server")
            try:
                arguments = workload.load_arguments(operations=operations, warmup=0)
                said = processes.output_of(
                    [load, tracer.address, str(server), *arguments], chosen.load, 30)
            finally:
                # strace writes when what it traces has ended; killed itself, it would not.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server, signal.SIGKILL)
            wait_for(summary)
        return parsed(summary.read_text()), said


def wait_for(summary: Path) -> None:
    for _ in range(200):
        if summary.exists() and "total" in summary.read_text():
            return
        time.sleep(0.02)
    raise Failed("strace has written no summary; perhaps tracing is not permitted here")


def count(entry: Entry, workload: Workload, load: str, chosen: Cores) -> Count:
    missing = absent()
    if missing or workload.traced is None:
        return Count(workload.name, entry.name, reason=missing or "not traced")
    try:
        runs = [traced(entry, workload, operations, load, chosen) for operations in workload.traced]
    except (Cannot, Failed) as error:
        return Count(workload.name, entry.name, reason=str(error))
    (first, few), (second, many) = runs
    operations = int(many.get("operations", 0)) - int(few.get("operations", 0))
    if operations <= 0:
        return Count(workload.name, entry.name, reason="the load ignores `operations`")
    calls = per_operation(first, second, operations)
    kept = dict(list(calls.items())[:NAMES_KEPT])
    return Count(workload.name, entry.name, sum(calls.values()), kept)
