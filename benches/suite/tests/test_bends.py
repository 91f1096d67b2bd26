"""Bends: where cost departs from its law."""

from __future__ import annotations

import unittest
from typing import Mapping

from bends import FLAT, LINEAR, Point, bends, fitted, slopes


def points(pairs: Mapping[int, float], noise: float = 0.0) -> list[Point]:
    return [Point(x, y, noise) for x, y in pairs.items()]


class Bends(unittest.TestCase):
    def test_a_flat_cost_has_none(self) -> None:
        self.assertEqual(bends(points({10: 2.0, 100: 2.1, 1000: 1.9}), FLAT), [])

    def test_a_step_is_named_by_its_two_points(self) -> None:
        (found,) = bends(points({10: 2.0, 100: 2.0, 1000: 4.0, 10_000: 4.1}), FLAT)
        self.assertEqual((found.start, found.end), (100, 1000))
        self.assertAlmostEqual(found.slope, 0.301, places=3)

    def test_what_is_square_instead_of_flat_bends_everywhere(self) -> None:
        self.assertEqual(len(bends(points({1: 1, 10: 100, 100: 10_000}), FLAT)), 2)

    def test_a_fixed_part_and_a_linear_one_are_no_bend(self) -> None:
        xs = (16, 64, 256, 1024, 4096, 16_384)
        self.assertEqual(bends(points({x: 3 + 0.01 * x for x in xs}), LINEAR), [])
        fixed, growing = fitted(points({x: 3 + 0.01 * x for x in xs}), LINEAR)
        self.assertAlmostEqual(fixed, 3)
        self.assertAlmostEqual(growing, 0.01)

    def test_a_linear_law_does_not_hide_a_step(self) -> None:
        costs = {16: 3.0, 64: 3.0, 256: 3.1, 1024: 3.4, 4096: 10.0, 16_384: 11.0}
        self.assertIn(1024, [bend.start for bend in bends(points(costs), LINEAR)])

    def test_no_part_of_a_law_is_negative(self) -> None:
        fixed, growing = fitted(points({1: 1, 10: 20, 100: 400}), LINEAR)
        self.assertEqual(fixed, 0.0)
        self.assertGreater(growing, 0)
        self.assertEqual(fitted(points({1: 4, 10: 3, 100: 2}), LINEAR)[1], 0.0)

    def test_a_bend_within_the_noise_is_none(self) -> None:
        costs = {10: 2.0, 100: 4.0}
        self.assertEqual(len(bends(points(costs), FLAT)), 1)
        self.assertEqual(bends(points(costs, noise=0.5), FLAT), [])

    def test_one_point_has_no_slope(self) -> None:
        self.assertEqual(slopes(points({10: 2.0}), FLAT), [])
        self.assertEqual(slopes(points({10: 2.0, 100: 0.0}), LINEAR), [])
