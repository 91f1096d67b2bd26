"""The rule by which samples are thrown away, and the reading of the cores' clocks."""

from __future__ import annotations

import unittest
from typing import Optional

from census import Census, used_between
from cores import TICK_NS, CoreClock, Places, Reading, Stopwatch, core_clocks, task_clocks
from disturbance import CoreUse, Interval, disturbance

SECOND = 1_000_000_000
TICK = 10_000_000


def one(foreign: float, steal: float = 0.0, elapsed: float = 1.0) -> Interval:
    use = CoreUse(int(foreign * SECOND), int(steal * SECOND))
    return Interval(int(elapsed * SECOND), {1: use})


class Rule(unittest.TestCase):
    def test_others_may_use_five_hundredths(self) -> None:
        self.assertIsNone(disturbance(one(0), TICK))
        self.assertIsNone(disturbance(one(0.05), TICK))
        self.assertIn("6% of core 1", disturbance(one(0.06), TICK) or "")

    def test_less_than_two_ticks_cannot_be_told(self) -> None:
        self.assertIsNone(disturbance(one(0.018, elapsed=0.2), TICK))
        self.assertIsNotNone(disturbance(one(0.021, elapsed=0.2), TICK))

    def test_stolen_time_disturbs(self) -> None:
        self.assertIsNone(disturbance(one(0, steal=0.02), TICK))
        self.assertIn("stolen", disturbance(one(0, steal=0.03), TICK) or "")
        # One tick within a short sample may be a hundredth of it.
        self.assertIsNone(disturbance(one(0, steal=0.01, elapsed=0.2), TICK))

    def test_either_core_counts(self) -> None:
        quiet, noisy = CoreUse(0, 0), CoreUse(SECOND // 2, 0)
        found = disturbance(Interval(SECOND, {0: quiet, 1: noisy}), TICK)
        self.assertIn("core 1", found or "")


class Bounds(unittest.TestCase):
    """What others used of core 0 within a second of which it idled for 0.2 s."""

    def foreign(self, own: float, tasks: Optional[float] = None, others: Optional[float] = None,
                steal: float = 0.0, interrupts: float = 0.0, apart: bool = False) -> float:
        def reading(at: float) -> Reading:
            clock = CoreClock(int(0.2 * at * SECOND), int(interrupts * at * SECOND),
                              int(steal * at * SECOND))
            ran = {} if tasks is None else {0: int(tasks * at * SECOND)}
            return Reading(int(at * SECOND), {0: clock}, ran, {0: int(own * at * SECOND)}, None, 1)

        watch = Stopwatch.__new__(Stopwatch)
        watch.places = Places(0, 1, 1, {}, apart, seen=False)
        known = None if others is None else int(others * SECOND)
        return watch.use(0, reading(0), reading(1), known).foreign / SECOND

    def test_a_core_that_was_not_idle_was_ours_or_that_of_others(self) -> None:
        self.assertAlmostEqual(self.foreign(own=0.8), 0)
        self.assertAlmostEqual(self.foreign(own=0.7), 0.1)

    def test_waking_up_is_nobodys_where_that_is_known(self) -> None:
        self.assertAlmostEqual(self.foreign(own=0.6, tasks=0.61), 0.01)
        self.assertAlmostEqual(self.foreign(own=0.6, others=0.03), 0.03)

    def test_others_on_other_cores_disturb_no_more_than_was_used_here(self) -> None:
        self.assertAlmostEqual(self.foreign(own=0.78, others=5.0), 0.02)

    def test_stolen_time_is_nobodys(self) -> None:
        self.assertAlmostEqual(self.foreign(own=0.7, steal=0.1), 0)

    def test_interrupts_are_nobodys_where_they_are_kept_apart(self) -> None:
        self.assertAlmostEqual(self.foreign(own=0.6, interrupts=0.2, apart=True), 0)
        self.assertAlmostEqual(self.foreign(own=0.6, interrupts=0.2), 0.2)

    def test_more_of_our_own_than_there_was_is_no_disturbance(self) -> None:
        self.assertEqual(self.foreign(own=0.85), 0)


class Clocks(unittest.TestCase):
    def test_idle_is_idle_and_waiting_for_io(self) -> None:
        text = ("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 40 5 6 7 8 0 0\n"
                "cpu12 0 0 0 1 0 0 0 0 0 0\nintr 5 1 2\nctxt 7\n")
        clocks = core_clocks(text)
        self.assertEqual(sorted(clocks), [0, 12])
        self.assertEqual(clocks[0].idle, 45 * TICK_NS)
        self.assertEqual(clocks[0].interrupts, 13 * TICK_NS)
        self.assertEqual(clocks[0].steal, 8 * TICK_NS)

    def test_old_kernels_have_fewer_columns(self) -> None:
        self.assertEqual(core_clocks("cpu0 1 2 3 4\n")[0].steal, 0)

    def test_schedstat(self) -> None:
        text = "version 17\ntimestamp 1\ncpu0 0 0 9 8 7 6 123456789 42 5\ndomain0 MC 3 1 2\n"
        self.assertEqual(task_clocks(text), {0: 123456789})
        self.assertEqual(task_clocks(""), {})

    def test_a_census_tells_nothing_when_somebody_came_or_went(self) -> None:
        before = Census({1: 100, 7: 50}, last=90)
        self.assertEqual(used_between(before, Census({1: 110, 7: 75}, last=91), ours=1), 35)
        self.assertIsNone(used_between(before, Census({1: 110}, last=91), ours=1))
        self.assertIsNone(used_between(before, Census({1: 1, 7: 5, 91: 1}, last=91), ours=1))
        # Somebody who was there only in between.
        self.assertIsNone(used_between(before, Census({1: 110, 7: 75}, last=92), ours=1))
