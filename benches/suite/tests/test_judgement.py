"""What the guard calls a regression."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Sequence

import judgement
from errors import Refused
from judgement import ABOVE, KEPT, NS, REGRESSED, UNCLEAR, Bounds, accepted
from spread import Spread, spread


def of(values: Sequence[float]) -> Spread:
    found = spread(values)
    assert found is not None
    return found


class Judgement(unittest.TestCase):
    def test_a_quiet_figure_gets_the_least_slack(self) -> None:
        bound = accepted(of([1.0, 1.0, 1.0]))
        self.assertAlmostEqual(bound.bound, 1.03)
        self.assertAlmostEqual(accepted(of([100.0] * 3), NS).bound, 115)

    def test_a_noisy_figure_gets_twice_its_noise(self) -> None:
        bound = accepted(of([0.9, 0.95, 1.0, 1.05, 1.1]))
        self.assertAlmostEqual(bound.noise, 0.05)
        self.assertAlmostEqual(bound.bound, 1.10)

    def test_the_first_look_compares_the_median(self) -> None:
        bound = accepted(of([1.0] * 3))
        self.assertEqual(judgement.first_look(of([1.02] * 3), bound), KEPT)
        self.assertEqual(judgement.first_look(of([1.04] * 3), bound), ABOVE)

    def test_the_second_wants_three_quarters_above(self) -> None:
        bound = accepted(of([1.0] * 3))
        self.assertEqual(judgement.second_look(of([1.05, 1.06, 1.07]), bound), REGRESSED)
        self.assertEqual(judgement.second_look(of([0.95, 0.96, 1.04, 1.2, 1.3]), bound), UNCLEAR)
        self.assertEqual(judgement.second_look(of([1.0, 1.01, 1.2]), bound), KEPT)

    def test_getting_faster_is_no_regression(self) -> None:
        self.assertEqual(judgement.first_look(of([0.5] * 3), accepted(of([1.0] * 3))), KEPT)

    def test_bounds_are_read_as_they_were_written(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "guard.json"
            self.assertEqual(judgement.read(path), Bounds({}, {}))
            bounds = Bounds({"processor": "x"}, {"echo": accepted(of([1.0, 1.1])),
                                                 "timers.fire": accepted(of([80.0]), NS)})
            judgement.write(path, bounds)
            self.assertEqual(judgement.read(path), bounds)
            path.write_text('{"bounds": 1}')
            with self.assertRaisesRegex(Refused, "guard.json"):
                judgement.read(path)
