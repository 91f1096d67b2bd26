"""From samples to figures, or to the reason why there are none."""

from __future__ import annotations

import unittest
from typing import Any

from cells import MEASURED, UNFINISHED, cells_of, noise
from comparison import better_than_ours
from samples import AGAIN, CANNOT, FAILED, GOOD, SPOILT, Sample


def sample(server: str, number: int, cpu: float = 1.0, outcome: str = GOOD, **more: Any) -> Sample:
    result = {"operations": 1000, "elapsed_ns": 10**9, "server_cpu_ns": cpu * 1e6,
              "p99_ns": 50_000, "server_rss": 1 << 20, **more}
    reason = "others" if outcome != GOOD else ""
    return Sample("echo", server, number, 0, outcome, reason, result)


def echo(samples: list[Sample], rounds: int) -> dict[str, Any]:
    return cells_of(samples, {"echo": rounds})["echo"]


class Cells(unittest.TestCase):
    def test_a_ratio_is_one_of_the_same_round(self) -> None:
        # The machine is twice as slow in the second round; the ratio is not.
        taken = [sample("raw", 0, 1.0), sample("twistor", 0, 1.1),
                 sample("raw", 1, 2.0), sample("twistor", 1, 2.2)]
        cell = echo(taken, 2)["twistor"]
        self.assertEqual(cell.state, MEASURED)
        self.assertAlmostEqual(cell.figures["cpu_ratio"].low, 1.1)
        self.assertAlmostEqual(cell.figures["cpu_ratio"].high, 1.1)
        self.assertAlmostEqual(cell.figures["cpu_us"].median, 1.65)
        self.assertAlmostEqual(cell.figures["rate"].median, 1000)

    def test_a_disturbed_sample_counts_for_nothing_and_its_successor_does(self) -> None:
        taken = [sample("raw", 0), sample("twistor", 0, 9.0, SPOILT), sample("twistor", 0, 1.2)]
        cell = echo(taken, 1)["twistor"]
        self.assertAlmostEqual(cell.median("cpu_ratio"), 1.2)

    def test_two_thirds_of_the_rounds_are_needed(self) -> None:
        taken = [sample("raw", number) for number in range(3)]
        taken += [sample("twistor", 0), sample("twistor", 1), sample("twistor", 2, 1, SPOILT)]
        self.assertEqual(echo(taken, 3)["twistor"].state, MEASURED)
        taken[4] = sample("twistor", 1, 1, SPOILT)
        cell = echo(taken, 3)["twistor"]
        self.assertEqual((cell.state, cell.figures), (SPOILT, {}))
        self.assertIn("1 of 3 rounds", cell.reason)

    def test_without_raw_of_the_round_there_is_no_ratio_of_it(self) -> None:
        taken = [sample("raw", 0, 1, SPOILT), sample("twistor", 0, 1.0)]
        cells = echo(taken, 1)
        self.assertEqual(cells["twistor"].state, SPOILT)
        self.assertEqual(cells["raw"].state, SPOILT)

    def test_a_run_that_was_ended_is_not_called_disturbed(self) -> None:
        self.assertEqual(echo([sample("raw", 0), sample("twistor", 0)], 5)["twistor"].state,
                         UNFINISHED)

    def test_failures_and_inabilities_are_told(self) -> None:
        cells = echo([sample("raw", 0), sample("a", 0, 1, FAILED), sample("b", 0, 1, CANNOT)], 1)
        self.assertEqual((cells["a"].state, cells["b"].state), (FAILED, CANNOT))

    def test_timers_need_no_raw(self) -> None:
        result = {"schedule": 100.0, "reset": None, "cancel": 50.0, "fire": 80.0}
        taken = [Sample("timers", "raw", 0, 0, CANNOT, "no timers"),
                 Sample("timers", "twistor", 0, 0, GOOD, "", result)]
        cell = cells_of(taken, {"timers": 1})["timers"]["twistor"]
        self.assertEqual((cell.state, cell.median("schedule"), cell.median("reset")),
                         (MEASURED, 100.0, None))


class Comparison(unittest.TestCase):
    def cells(self, other: float) -> dict[str, Any]:
        taken = []
        for number in range(3):
            taken += [sample("raw", number), sample("twistor", number, 1.2),
                      sample(AGAIN, number, 1.02), sample("tokio", number, other)]
        return cells_of(taken, {"echo": 3})

    def test_noise_is_raw_against_raw(self) -> None:
        self.assertAlmostEqual(noise(self.cells(1)["echo"], "cpu_us") or 0, 0.02)

    def test_only_what_is_lower_by_more_than_noise_is_better(self) -> None:
        def names(other: float) -> list[tuple[str, str]]:
            return [(one.server, one.figure) for one in better_than_ours(self.cells(other))]

        self.assertEqual(names(1.1), [("raw", "cpu_ratio"), ("tokio", "cpu_ratio")])
        self.assertEqual(names(1.19), [("raw", "cpu_ratio")])
        self.assertEqual(names(1.3), [("raw", "cpu_ratio")])
