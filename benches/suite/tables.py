"""The tables of a run, each a part of the page and of the report by its name."""

from __future__ import annotations

from typing import Callable, Optional, Sequence

import words
from cells import MEASURED, Cell, noise
from comparison import FIGURES, Better, better_than_ours
from results import Results
from samples import AGAIN, CANNOT
from servers import NAMES
from spread import Spread

NOT_MEASURED = "Not measured."
Show = Callable[[Cell], str]


def state(cell: Optional[Cell]) -> str:
    """What stands in a cell that has no figure."""
    if cell is None:
        return ""
    return words.NOTHING if cell.state == CANNOT else cell.state


def shown(cell: Optional[Cell], show: Show) -> str:
    return show(cell) if cell is not None and cell.state == MEASURED else state(cell)


def of(figure: str, word: Callable[[Optional[float]], str]) -> Show:
    """How a cell is shown of which one figure is of interest."""
    return lambda cell: word(cell.median(figure))


def small(main: str, below: str) -> str:
    return f"{main}<br><sub>{below}</sub>"


def of_family(results: Results, family: str) -> list[str]:
    """Those of a family that were run at any workload that is for all."""
    all_cells = results.cells()
    run = {server for workload in rated(results) for server in all_cells.get(workload, {})}
    return [name for name in ready(results)
            if name in run and name in NAMES and NAMES[name].family == family]


def rated(results: Results) -> list[str]:
    """The workloads with a rate that are for all servers."""
    return [name for name, workload in results.workloads.items()
            if workload.kind == "rate" and not workload.only]


def ready(results: Results) -> list[str]:
    return [name for name, absent in results.servers.items() if not absent]


def cpu_cell(cell: Cell) -> str:
    found = cell.figures.get("cpu_ratio")
    if found is None:
        return f"{words.number(cell.median('cpu_us'))} us"
    return small(words.ratio(found.median), f"{words.ratio(found.low)}..{words.ratio(found.high)}")


def microseconds(cell: Cell) -> str:
    return f"{words.number(cell.median('cpu_us'))} us"


def cpu(results: Results, family: str) -> str:
    """CPU time per operation as a ratio to raw's; beside it raw's time, and its ratio to itself."""
    names = [name for name in of_family(results, family) if name != "raw"]
    all_cells, rows = results.cells(), []
    for workload in rated(results):
        cells = all_cells.get(workload, {})
        rows.append([workload, shown(cells.get("raw"), microseconds),
                     shown(cells.get(AGAIN), cpu_cell),
                     *(shown(cells.get(name), cpu_cell) for name in names)])
    if not rows or not names:
        return NOT_MEASURED
    return words.table(["workload", "raw", "raw again", *names], rows)


def latency_cell(cell: Cell) -> str:
    return small(words.number(cell.median("p99_us")),
                 f"{words.number(cell.median('p50_us'))}, {words.number(cell.median('p999_us'))}")


def latency(results: Results, family: str) -> str:
    names = of_family(results, family)
    all_cells, rows = results.cells(), []
    for workload in rated(results):
        cells = all_cells.get(workload, {})
        found = noise(cells, "p99_us")
        rows.append([workload, words.percent(found),
                     *(shown(cells.get(name), latency_cell) for name in names)])
    return words.table(["workload", "noise", *names], rows) if rows and names else NOT_MEASURED


def busy(results: Results) -> str:
    """The workloads that are for some servers only, but for those over TLS."""
    some = [name for name, workload in results.workloads.items()
            if workload.only and workload.kind == "rate" and not workload.is_tls]
    return "\n\n".join(details(results, name) for name in some) or NOT_MEASURED


def syscalls(results: Results, workloads: Sequence[str]) -> str:
    found: dict[str, dict[str, str]] = {}
    for count in results.counts:
        if count.workload not in workloads:
            continue
        text = words.NOTHING if count.total is None else f"{count.total:.2f}"
        found.setdefault(count.workload, {})[count.server] = text
    names = [name for name in results.servers if any(name in row for row in found.values())]
    rows = [[workload, *(row.get(name, "") for name in names)] for workload, row in found.items()]
    reasons = {count.reason for count in results.counts if count.total is None}
    if not any(count.total is not None for count in results.counts):
        return f"{NOT_MEASURED} {' '.join(sorted(reasons))}".strip()
    return words.table(["workload", *names], rows)


def memory(results: Results) -> str:
    columns: list[tuple[str, str, str]] = []
    if "echo-1x64" in results.workloads:
        columns.append(("serving one connection", "echo-1x64", "rss"))
    for name, workload in results.workloads.items():
        if workload.kind == "idle":
            columns.append((f"{name}, per connection", name, "bytes_per_connection"))
            columns.append((f"{name}, most", name, "peak"))
    if "echo-1000x16k" in results.workloads:
        columns.append(("echo-1000x16k, most", "echo-1000x16k", "peak"))
    all_cells, rows = results.cells(), []
    for server in ready(results):
        cells = [(all_cells.get(workload, {}).get(server), figure)
                 for _, workload, figure in columns]
        if any(cell is not None for cell, _ in cells):
            rows.append([server, *(shown(cell, of(figure, words.memory))
                                   for cell, figure in cells)])
    return words.table(["server", *(column[0] for column in columns)], rows) if rows else (
        NOT_MEASURED)


def timers(results: Results) -> str:
    heads = {"schedule": "schedule, ns", "reset": "push back, ns", "cancel": "cancel, ns",
             "fire": "fire, ns", "bytes_each": "bytes each", "bytes_left": "bytes left"}
    cells = results.cells().get("timers", {})
    rows = []
    for server in ready(results):
        cell = cells.get(server)
        if cell is None:
            continue
        rows.append([server, *(shown(cell, of(figure, words.number)) for figure in heads)])
    return words.table(["server", *heads.values()], rows) if rows else NOT_MEASURED


def bulk(results: Results) -> str:
    """Bytes moved in a second, and below it in a second of the server's CPU time."""
    moved = {name: workload.moved for name, workload in results.workloads.items()
             if workload.moved}
    all_cells, rows = results.cells(), []

    def show(cell: Cell) -> str:
        rate, cost = cell.median("rate"), cell.median("cpu_us")
        size = moved[cell.workload] / 1e9
        return small(words.number(rate and rate * size), words.number(cost and size * 1e6 / cost))

    for server in ready(results):
        row = [all_cells.get(workload, {}).get(server) for workload in moved]
        if any(row):
            rows.append([server, *(shown(cell, show) for cell in row)])
    return words.table(["server", *moved], rows) if rows else NOT_MEASURED


def figure_text(figure: str, value: float) -> str:
    if figure == "cpu_ratio":
        return words.ratio(value)
    if figure in ("rss", "bytes_per_connection", "bytes_each", "bytes_left"):
        return words.memory(value)
    return f"{words.number(value)} {'us' if figure.endswith('_us') else 'ns'}"


def better(results: Results) -> str:
    """A row for each figure of a workload, and in it all that are lower."""
    groups: dict[tuple[str, str], list[Better]] = {}
    for one in better_than_ours(results.cells()):
        groups.setdefault((one.workload, one.figure), []).append(one)
    if not groups:
        return "Nothing that was measured is lower by more than the noise." if (
            "twistor" in ready(results) and results.samples) else NOT_MEASURED
    rows = []
    # One kind of figure after the other; within, as the workloads are ordered.
    kinds = list(FIGURES)
    for (workload, figure), found in sorted(groups.items(), key=lambda one: kinds.index(one[0][1])):
        lower = [f"{one.server} {figure_text(figure, one.theirs)} (-{words.percent(one.less)})"
                 for one in sorted(found, key=lambda one: one.theirs)]
        rows.append([FIGURES[figure], workload, figure_text(figure, found[0].ours),
                     words.percent(found[0].noise), ", ".join(lower)])
    return words.table(["figure", "workload", "twistor's", "noise", "lower"], rows)


def ratio_spread(found: Optional[Spread]) -> str:
    if found is None:
        return words.NOTHING
    return f"{words.ratio(found.median)} ({words.ratio(found.low)}..{words.ratio(found.high)})"


def details(results: Results, workload: str) -> str:
    """All of one workload, for the report."""
    rows = []
    for server, cell in results.cells().get(workload, {}).items():
        if cell.state != MEASURED:
            rows.append([server, f"{cell.state}: {cell.reason}", *[""] * 8])
            continue
        plain = [words.number(cell.median(key)) for key in ("rate", "p50_us", "p99_us", "p999_us")]
        rows.append([server, ratio_spread(cell.figures.get("cpu_ratio")),
                     words.number(cell.median("cpu_us")), *plain,
                     ratio_spread(cell.figures.get("p99_ratio")), words.memory(cell.median("rss")),
                     words.percent(cell.median("load_share"))])
    return words.table(["server", "CPU ratio", "CPU us/op", "op/s", "p50 us", "p99 us", "p99.9 us",
                        "p99 ratio", "resident", "load's CPU to it"], rows)
