"""Merging computed parts into a page that is written by hand."""

from __future__ import annotations

import unittest

import overview
import places
from errors import Refused
from page import MARKED, NAMES, merged

PAGE = """# Title

By hand.

<!-- figures: cpu-rust -->
old
<!-- end -->

Between, by hand.

<!-- figures: timers -->
<!-- end -->
"""


class Merging(unittest.TestCase):
    def test_parts_are_replaced_and_prose_is_kept(self) -> None:
        text = merged(PAGE, {"cpu-rust": "| new |", "timers": "ns"})
        self.assertIn("<!-- figures: cpu-rust -->\n\n| new |\n\n<!-- end -->", text)
        self.assertIn("<!-- figures: timers -->\n\nns\n\n<!-- end -->", text)
        self.assertNotIn("old", text)
        for prose in ("# Title\n\nBy hand.", "Between, by hand."):
            self.assertIn(prose, text)

    def test_merging_again_changes_nothing(self) -> None:
        once = merged(PAGE, {"cpu-rust": "| new |"})
        self.assertEqual(merged(once, {"cpu-rust": "| new |"}), once)

    def test_a_part_that_is_not_given_stays(self) -> None:
        self.assertEqual(merged(PAGE, {}), PAGE)

    def test_text_with_backslashes_is_taken_as_it_is(self) -> None:
        self.assertIn(r"a\1b\g<name>", merged(PAGE, {"timers": r"a\1b\g<name>"}))

    def test_an_unknown_part_is_named(self) -> None:
        with self.assertRaisesRegex(Refused, "cpu-rusty"):
            merged(PAGE.replace("cpu-rust", "cpu-rusty"), {})

    def test_a_marker_without_end_is_refused(self) -> None:
        with self.assertRaises(Refused):
            merged(PAGE.replace("<!-- end -->", "", 1), {})
        with self.assertRaises(Refused):
            merged(PAGE + "<!-- end -->\n", {})

    def test_the_page_of_this_repository_has_every_part_once(self) -> None:
        text = places.PAGE.read_text()
        names = [match["name"] for match in MARKED.finditer(text)]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(NAMES - {overview.NAME}, set(names))
        merged(text, {})
