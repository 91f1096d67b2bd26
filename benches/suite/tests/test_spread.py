"""Medians, quartiles, noise."""

from __future__ import annotations

import unittest

from spread import NOISE_FLOOR, noise_of, quantile, spread


class Spreads(unittest.TestCase):
    def test_quantiles_lie_between_neighbours(self) -> None:
        self.assertEqual(quantile([1, 2, 3, 4], 0.5), 2.5)
        self.assertEqual(quantile([1, 2, 3, 4, 5], 0.25), 2)
        self.assertEqual(quantile([7], 0.99), 7)
        self.assertEqual(quantile([1, 2], 1), 2)

    def test_a_spread_does_not_depend_on_the_order(self) -> None:
        found = spread([5, 1, 4, 2, 3])
        assert found is not None
        self.assertEqual((found.low, found.q1, found.median, found.q3, found.high, found.count),
                         (1, 2, 3, 4, 5, 5))
        self.assertAlmostEqual(found.half_box, 1 / 3)

    def test_nothing_has_no_spread(self) -> None:
        self.assertIsNone(spread([]))
        self.assertIsNone(noise_of(None))

    def test_one_outlier_leaves_median_and_box_alone(self) -> None:
        found = spread([1.0, 1.0, 1.0, 1.0, 9.0])
        assert found is not None
        self.assertEqual((found.median, found.half_box), (1.0, 0.0))

    def test_noise_is_the_shift_or_the_box_or_the_floor(self) -> None:
        self.assertAlmostEqual(noise_of(spread([1.05] * 5)) or 0, 0.05)
        self.assertAlmostEqual(noise_of(spread([0.9, 0.95, 1, 1.05, 1.1])) or 0, 0.05)
        self.assertEqual(noise_of(spread([1.0] * 5)), NOISE_FLOOR)

    def test_of_few_rounds_the_noise_is_all_that_they_span(self) -> None:
        self.assertAlmostEqual(noise_of(spread([0.9, 1.0, 1.1])) or 0, 0.1)


if __name__ == "__main__":
    unittest.main()
