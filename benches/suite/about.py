"""The parts of the page that say what was measured, on what, and under which conditions."""

from __future__ import annotations

from typing import Sequence

import tables
import words
from cells import MEASURED, Cell
from results import Results
from samples import CANNOT, FAILED, GOOD, SPOILT
from servers import NAMES


def where(results: Results) -> str:
    about, found = results.about, results.about["machine"]
    virtual = "virtual " if found["virtual"] else ""
    return (f"Measured on {about['date'].split()[0]}, on {found['cores']} {virtual}cores of "
            f"{found['processor']}, {found['kernel']}.")


def command(results: Results) -> str:
    return f"`benches/run {' '.join(results.about['arguments'])}`".replace(" `", "`")


def length(results: Results) -> str:
    return f"{results.about['rounds']} of {results.about['seconds']} s each"


def machine(results: Results) -> str:
    about = results.about
    found, cores = about["machine"], about["cores"]
    virtual = ", virtual" if found["virtual"] else ""
    rows = [
        ["processor", f"{found['processor']}, {found['cores']} cores{virtual}"],
        ["memory", f"{found['memory_gib']} GiB"],
        ["kernel", found["kernel"]],
        ["frequency governor", found["governor"] or "not shown by this machine"],
        ["cores", f"server on {cores['server']}, load on {cores['load']}"],
        ["descriptors", str(found["descriptors"])],
        ["io_uring", "switched off" if found["io_uring_off"] else "available"],
        ["soft interrupts", "kept off the servers' CPU time by this kernel"
         if found["interrupts_apart"] else "part of the servers' CPU time"],
        *([name, version] for name, version in about["compilers"].items() if version),
        ["date", about["date"]],
        ["source", about["commit"] or "not known"],
        ["command", command(results)],
        ["rounds", length(results)],
        ["load average before", f"{about['load_average']:.2f}"],
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)])


def servers(results: Results) -> str:
    rows = []
    for name, absent in results.servers.items():
        server = NAMES.get(name)
        if server is None:
            continue
        known = results.about["versions"]
        versions = [f"{package} {known[package]}" for package in server.packages
                    if package in known]
        rows.append(f"| {name} | {server.title} | {', '.join(versions)} | {absent} |")
    return "\n".join(["| name | what it is | version | absent |", "|---|---|---|---|", *rows])


def workloads(results: Results) -> str:
    rows = [f"| {name} | {workload.note} | {workload.operation} |"
            for name, workload in results.workloads.items()]
    return "\n".join(["| name | what happens | an operation is a |", "|---|---|---|", *rows])


def conditions(results: Results) -> str:
    lost = [sample for sample in results.samples if sample.outcome == SPOILT]
    good = sum(sample.outcome == GOOD for sample in results.samples)
    lines = [f"{good} samples count; {len(lost)} were disturbed and thrown away."]
    if results.partial:
        lines.append("The run was ended before its end: what is missing was not measured.")
    cells = [cell for row in results.cells().values() for cell in row.values()]
    for state, says in ((SPOILT, "have no figure, because too much was disturbed"),
                        (FAILED, "failed"), (CANNOT, "are not possible")):
        found = reasons([cell for cell in cells if cell.state == state])
        if found:
            count = sum(cell.state == state for cell in cells)
            lines += [f"{count} of {len(cells)} cells {says}:\n", *found, ""]
    lines += [f"The machine was not quiet at the start: {one}."
              for one in results.about.get("busy", [])]
    return "\n".join(lines).strip()


def reasons(cells: Sequence[Cell]) -> list[str]:
    """A line for each server and reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        groups.setdefault((cell.server, cell.reason), []).append(cell.workload)
    return [f"- {server} at {', '.join(names)}: {reason}"
            for (server, reason), names in groups.items()]


def summary(results: Results, workload: str) -> str:
    """One line of a workload that is done, for the terminal."""
    kind = results.workloads[workload].kind
    parts = []
    for name, cell in results.cells().get(workload, {}).items():
        if name == "raw" and kind != "timers":
            continue
        if cell.state != MEASURED:
            parts.append(f"{name} {cell.state}")
        elif kind == "timers":
            parts.append(f"{name} {words.number(cell.median('schedule'))}/"
                         f"{words.number(cell.median('fire'))} ns")
        elif kind == "idle":
            parts.append(f"{name} {words.memory(cell.median('bytes_per_connection'))}")
        else:
            found = cell.figures.get("cpu_ratio")
            parts.append(f"{name} {words.ratio(found.median)}" if found else tables.state(cell))
    return f"{workload:15} " + ", ".join(parts)
