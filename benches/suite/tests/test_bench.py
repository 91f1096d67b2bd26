"""Rounds and tries, with samples that are scripted instead of taken."""

from __future__ import annotations

import unittest
from typing import Iterable
from unittest import mock

import workloads
from bench import Bench, Entry
from building import Built
from progress import Progress
from samples import CANNOT, FAILED, GOOD, SPOILT, Sample
from servers import NAMES
from workloads import Workload

CHURN = workloads.NAMES["churn"]
RAW, TWISTOR = (Entry(name, Built(NAMES[name], (name,))) for name in ("raw", "twistor"))


class Scripted(Bench):
    """Has for each server the outcomes of its samples; then all are good."""

    def __init__(self, spare: float = 100.0, **outcomes: Iterable[str]) -> None:
        self.seconds, self.spare = 1.0, spare
        self.progress = mock.Mock(spec=Progress)
        self.kept: list[Sample] = []
        self.keep = self.kept.append
        self.outcomes = {name: iter(script) for name, script in outcomes.items()}

    def sample(self, entry: Entry, workload: Workload, number: int, attempt: int) -> Sample:
        outcome = next(self.outcomes.get(entry.name, iter(())), GOOD)
        return Sample(workload.name, entry.name, number, attempt, outcome)


class Rounds(unittest.TestCase):
    def setUp(self) -> None:
        quick = mock.patch("bench.PAUSES_S", (0.0, 0.0, 0.0))
        quick.start()
        self.addCleanup(quick.stop)

    def taken(self, bench: Scripted, rounds: int) -> list[tuple[str, int, str]]:
        taken = bench.rounds(CHURN, [RAW, TWISTOR], rounds)
        self.assertEqual(taken, bench.kept)
        return [(sample.server, sample.round, sample.outcome) for sample in taken]

    def test_servers_take_turns_at_beginning(self) -> None:
        self.assertEqual([one[:2] for one in self.taken(Scripted(), 2)],
                         [("raw", 0), ("twistor", 0), ("twistor", 1), ("raw", 1)])

    def test_a_disturbed_sample_is_taken_again_at_once(self) -> None:
        self.assertEqual(self.taken(Scripted(raw=[SPOILT]), 1),
                         [("raw", 0, SPOILT), ("raw", 0, GOOD), ("twistor", 0, GOOD)])

    def test_and_not_more_than_three_times(self) -> None:
        taken = self.taken(Scripted(raw=[SPOILT] * 9), 1)
        self.assertEqual([one[0] for one in taken], ["raw"] * 4 + ["twistor"])

    def test_and_not_at_all_when_the_time_for_that_is_used_up(self) -> None:
        taken = self.taken(Scripted(0.0, raw=[SPOILT] * 9), 1)
        self.assertEqual([one[0] for one in taken], ["raw", "twistor"])

    def test_who_fails_or_cannot_is_not_asked_again(self) -> None:
        for outcome in (FAILED, CANNOT):
            taken = self.taken(Scripted(twistor=[outcome]), 3)
            self.assertEqual([one[0] for one in taken], ["raw", "twistor", "raw", "raw"])
