"""What is said of one server at one workload: figures, or why there are none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Iterable, Optional

from disturbance import ROUNDS_LEFT
from samples import AGAIN, CANNOT, FAILED, GOOD, SPOILT, Sample
from spread import Spread, noise_of, spread

MEASURED, UNFINISHED, ABSENT = "measured", "unfinished", "absent"
# Figures whose ratio to those of raw in the same round is a figure too.
RATIOS = {"cpu_us": "cpu_ratio", "p50_us": "p50_ratio", "p99_us": "p99_ratio", "rss": "rss_ratio",
          "bytes_per_connection": "bytes_ratio", "schedule": "schedule_ratio",
          "reset": "reset_ratio", "cancel": "cancel_ratio", "fire": "fire_ratio"}


@dataclass(frozen=True)
class Cell:
    workload: str
    server: str
    state: str
    reason: str = ""
    figures: dict[str, Spread] = field(default_factory=dict)

    def median(self, figure: str) -> Optional[float]:
        found = self.figures.get(figure)
        return None if found is None else found.median


def good_by_round(samples: Iterable[Sample]) -> dict[int, dict[str, float]]:
    return {sample.round: sample.figures() for sample in samples if sample.outcome == GOOD}


def spreads(own: dict[int, dict[str, float]], raw: dict[int, dict[str, float]],
            ) -> dict[str, Spread]:
    """Each figure over the rounds, and its ratio to that of raw over the rounds that have both."""
    columns: dict[str, list[float]] = {}
    for number, figures in sorted(own.items()):
        for name, value in figures.items():
            columns.setdefault(name, []).append(value)
            base = raw.get(number, {}).get(name)
            if name in RATIOS and base:
                columns.setdefault(RATIOS[name], []).append(value / base)
    found = {name: spread(values) for name, values in columns.items()}
    return {name: value for name, value in found.items() if value is not None}


def cell_of(workload: str, server: str, samples: list[Sample], raw: list[Sample],
            rounds: int) -> Cell:
    """`samples` are of this workload and server, `raw` of this workload and of raw."""
    for outcome in (CANNOT, FAILED):
        for sample in samples:
            if sample.outcome == outcome:
                return Cell(workload, server, outcome, sample.reason)
    own, base = good_by_round(samples), good_by_round(raw)
    with_ratio = any(set(RATIOS) & set(figures) for figures in base.values()) or any(
        sample.outcome == SPOILT for sample in raw)
    left = set(own) & set(base) if with_ratio else set(own)
    if len(left) >= max(1, math.ceil(ROUNDS_LEFT * rounds - 1e-9)):
        # A round in which only raw was disturbed still says what the server's own time was.
        return Cell(workload, server, MEASURED, figures=spreads(own, base))
    lost = [sample for sample in [*samples, *raw] if sample.outcome == SPOILT]
    if lost:
        reason = f"{len(left)} of {rounds} rounds are left; the last: {lost[-1].reason}"
        return Cell(workload, server, SPOILT, reason)
    return Cell(workload, server, UNFINISHED, f"{len(left)} of {rounds} rounds were run")


def cells_of(samples: list[Sample], rounds: dict[str, int]) -> dict[str, dict[str, Cell]]:
    """All cells, by workload and server, in the order in which they were first measured.
    `rounds`: how many were asked for of each workload."""
    groups: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        groups.setdefault(sample.workload, {}).setdefault(sample.server, []).append(sample)
    cells: dict[str, dict[str, Cell]] = {}
    for workload, servers in groups.items():
        raw = servers.get("raw", [])
        cells[workload] = {
            server: cell_of(workload, server, own, raw, rounds.get(workload, 1))
            for server, own in servers.items()}
    return cells


def noise(cells: dict[str, Cell], figure: str) -> Optional[float]:
    """The noise of a workload's figure, from raw measured twice."""
    again = cells.get(AGAIN)
    if again is None or again.state != MEASURED:
        return None
    return noise_of(again.figures.get(RATIOS.get(figure, figure)))
