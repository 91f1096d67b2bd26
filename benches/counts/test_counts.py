"""Tests of what needs no valgrind: `python3 -m unittest discover -s benches/counts`."""
import json
import tempfile
import unittest
from pathlib import Path

from callgrind import executable, instructions, per_operation, short
from comparison import Comparison, Kept
from machine import CannotCount

# Two calls into the world, of which the second calls within the world; and one out of it, which is
# a part of what the world costs.
PROFILE = """\
events: Ir
fn=twistor::instruction_counts::counted
33 100
calls=1 39
34 1090

fn=twistor::reactor::one_turn
40 7
cfn=<twistor::driver::scripted::Script as twistor::driver::Driver>::wait
calls=1 150
41 600
cfn=malloc
calls=2 9
42 83
cfn=<twistor::driver::scripted::ScriptedStream as twistor::driver::Stream>::write
calls=1 99
43 400

fn=<twistor::driver::scripted::ScriptedStream as twistor::driver::Stream>::write
99 50
cfn=twistor::driver::scripted::ScriptedStream::end
calls=1 101
100 300
cfn=malloc
calls=1 9
101 50

fn=twistor::driver::scripted::ScriptedStream::end
101 300

fn=<twistor::driver::scripted::Script as twistor::driver::Driver>::wait
150 600

fn=malloc
9 133

totals: 1190
"""


class Callgrind(unittest.TestCase):
    def test_what_the_world_did_is_taken_off_once(self) -> None:
        self.assertEqual(instructions(PROFILE), 1190 - 600 - 400)

    def test_a_count_is_for_one_operation(self) -> None:
        self.assertEqual(per_operation("x", PROFILE, "test x ... counted 100 operations\nok"), 1.9)

    def test_nothing_counted_is_no_count(self) -> None:
        with self.assertRaisesRegex(CannotCount, "counted nothing in x"):
            per_operation("x", "events: Ir\ntotals: 0\n", "counted 100 operations")
        for output in ("ok", "counted 0 operations"):
            with self.assertRaisesRegex(CannotCount, "how many operations"):
                per_operation("x", PROFILE, output)

    def test_the_executable_is_that_of_the_tests(self) -> None:
        library = {"executable": None, "profile": {"test": False}}
        tests = {"executable": "/somewhere/twistor-1", "profile": {"test": True}}
        messages = [{"reason": "build-script-executed"}, library, tests]
        self.assertEqual(executable("\n".join(map(json.dumps, messages))), "/somewhere/twistor-1")
        with self.assertRaises(CannotCount):
            executable(json.dumps(library))

    def test_a_name_leaves_out_what_all_have(self) -> None:
        self.assertEqual(short("instruction_counts::turns::echo_1"), "turns::echo_1")
        self.assertEqual(short("reactor::instruction_counts::set_1_000"), "reactor::set_1_000")


class Comparing(unittest.TestCase):
    def test_more_than_the_tolerance_is_named(self) -> None:
        kept = {"same": 100, "near": 100, "worse": 100, "better": 100}
        now = {"same": 100, "near": 102.9, "worse": 103.1, "better": 96.9}
        comparison = Comparison(kept, now, list(kept))
        self.assertEqual((comparison.worse(), comparison.better()), (["worse"], ["better"]))
        self.assertFalse(comparison.is_fine())
        self.assertIn("WORSE: worse costs 3.1% more", comparison.verdict())
        self.assertIn("better: better costs 3.1% less", comparison.verdict())
        self.assertRegex(comparison.table(), r"worse +100.00 +103.10 +\+3.1%")

    def test_an_improvement_is_fine(self) -> None:
        self.assertTrue(Comparison({"a": 100}, {"a": 50}, ["a"]).is_fine())

    def test_what_is_new_or_gone_is_not_passed_over(self) -> None:
        comparison = Comparison({"old": 100, "both": 1}, {"both": 1, "new": 5}, ["both", "new"])
        self.assertEqual((comparison.new(), comparison.gone()), (["new"], ["old"]))
        self.assertFalse(comparison.is_fine())
        self.assertEqual(comparison.accepted(), {"both": 1, "new": 5})

    def test_what_was_not_chosen_is_neither_compared_nor_lost(self) -> None:
        comparison = Comparison({"a": 100, "b": 100}, {"a": 90}, ["a", "b", "never kept"])
        self.assertTrue(comparison.is_fine())
        self.assertEqual(comparison.accepted(), {"a": 90, "b": 100})


class Keeping(unittest.TestCase):
    def test_counts_of_another_compiler_are_not_compared(self) -> None:
        kept = Kept({"rustc": "rustc 1.0", "target": "here"}, {"a": 1})
        kept.expect_made_with({"target": "here", "rustc": "rustc 1.0"})
        with self.assertRaisesRegex(CannotCount, "rustc: rustc 1.0 then, rustc 2.0 now"):
            kept.expect_made_with({"rustc": "rustc 2.0", "target": "here"})
        with self.assertRaisesRegex(CannotCount, "libc: not known then, musl now"):
            kept.expect_made_with({**kept.made_with, "libc": "musl"})

    def test_what_was_kept_is_read_again(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "counts.json")
            self.assertEqual(Kept.read(path), Kept({}, {}))
            kept = Kept({"rustc": "rustc 1.0"}, {"a": 1.5})
            kept.write(path)
            self.assertEqual(Kept.read(path), kept)
            for damaged in ("<<<<<<<", "[]", "{}"):
                path.write_text(damaged)
                with self.assertRaisesRegex(CannotCount, "counts.json is damaged"):
                    Kept.read(path)


if __name__ == "__main__":
    unittest.main()
