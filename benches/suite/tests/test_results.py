"""Files of results, and small things that are read or shown."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

import places
import results as files
import words
import workloads
from bench import entries, rotated
from building import Built, reason_in
from command import picked
from errors import Refused
from preflight import choose
from progress import duration
from results import Results
from samples import GOOD, SPOILT, Sample
from servers import NAMES
from session import public
from syscalls import Count, parsed, per_operation

SUMMARY = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           1       600           recvfrom
 40.00    0.000400           2       200         3 accept4
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           1       800         3 total
"""


def results() -> Results:
    good = {"operations": 10, "elapsed_ns": 1000, "server_cpu_ns": 500, "core_busy_ns": [1, 2]}
    return Results("run", {"date": "today"}, {"echo-1x64": 1},
                   {"echo-1x64": workloads.NAMES["echo-1x64"]}, {"raw": "", "go": "no compiler"},
                   [Sample("echo-1x64", "raw", 0, 0, SPOILT, "others", good, {"0": 0.1}),
                    Sample("echo-1x64", "raw", 0, 1, GOOD, "", good, {"0": 0.0}, {"0": 0.0})],
                   [Count("echo-1x64", "raw", 2.5, {"recvfrom": 1.5})], partial=False)


class Files(unittest.TestCase):
    def test_results_are_read_as_they_were_written(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "new" / "results.json"
            files.write(results(), path)
            self.assertEqual(files.read(path), results())
            self.assertEqual([entry.name for entry in path.parent.iterdir()], ["results.json"])

    def test_what_is_published_keeps_why_samples_were_thrown_away(self) -> None:
        found = json.loads(files.dumped(results(), compact=True))
        self.assertEqual(found["cells"]["echo-1x64"]["raw"]["state"], "measured")
        self.assertNotIn("result.core_busy_ns", found["samples"]["columns"])
        lost = files.samples_of(found["samples"])[0]
        self.assertEqual((lost.reason, lost.result), ("others", {}))

    def test_no_place_of_the_machine_is_written(self) -> None:
        one = results()
        one.servers["go"] = f"{places.ROOT}/x is missing"
        self.assertNotIn(str(places.ROOT), files.dumped(one))

    def test_a_broken_file_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.json"
            with self.assertRaisesRegex(Refused, "cannot be read"):
                files.read(path)
            path.write_text("{")
            with self.assertRaisesRegex(Refused, "is not what"):
                files.read(path)
            path.write_text('{"format": 0}')
            with self.assertRaisesRegex(Refused, "format 0"):
                files.read(path)


class SystemCalls(unittest.TestCase):
    def test_a_summary_with_and_without_errors_is_read(self) -> None:
        self.assertEqual(parsed(SUMMARY), {"recvfrom": 600, "accept4": 200})

    def test_the_start_cancels_out(self) -> None:
        found = per_operation({"read": 100, "mmap": 9}, {"read": 300, "mmap": 9}, 100)
        self.assertEqual(found, {"read": 2.0})


class Choices(unittest.TestCase):
    def test_raw_again_stands_apart_from_raw(self) -> None:
        built = [Built(NAMES[name], (name,)) for name in ("raw", "twistor", "tokio", "go")]
        names = [one.name for one in entries(built, workloads.NAMES["churn"], again=True)]
        self.assertEqual(names, ["raw", "twistor", "tokio", "raw again", "go"])

    def test_each_round_begins_with_another_server(self) -> None:
        built = [Built(NAMES[name], (name,)) for name in ("raw", "twistor", "tokio")]
        order = entries(built, workloads.NAMES["churn"], again=False)
        firsts = [rotated(order, number)[0].name for number in range(4)]
        self.assertEqual(firsts, ["raw", "twistor", "tokio", "raw"])
        self.assertEqual(rotated([], 3), [])

    def test_servers_and_workloads_may_be_for_each_other_only(self) -> None:
        built = [Built(NAMES[name], (name,)) for name in ("raw", "twistor", "twistor-busy", "go")]
        busy = entries(built, workloads.NAMES["busy"], again=False)
        self.assertEqual([one.name for one in busy], ["raw", "twistor", "twistor-busy"])
        churn = entries(built, workloads.NAMES["churn"], again=False)
        self.assertEqual([one.name for one in churn], ["raw", "twistor", "go"])

    def test_what_is_absent_is_not_run(self) -> None:
        built = [Built(NAMES["raw"], ("raw",)), Built(NAMES["go"], absent="no compiler")]
        self.assertEqual(len(entries(built, workloads.NAMES["churn"], again=False)), 1)

    def test_names_are_picked_in_the_tables_order(self) -> None:
        known = ["echo-1", "echo-2", "churn"]
        self.assertEqual(picked("churn,echo-*", known, "workload"), known)
        self.assertEqual(picked(None, known, "workload"), known)
        with self.assertRaisesRegex(Refused, "'x'"):
            picked("x", known, "workload")

    def test_cores(self) -> None:
        self.assertEqual(choose(None, {0, 1, 2, 3}).runner, 3)
        self.assertEqual(choose(None, {0, 1}), choose("0,1", {0, 1}))
        self.assertTrue(choose(None, {5}).one)
        for wrong in ("0", "0,9", "a,b", "0,1,2"):
            with self.assertRaisesRegex(Refused, "two of the cores"):
                choose(wrong, {0, 1, 2})

    def test_idle_most_is_bounded_by_descriptors_and_ports(self) -> None:
        most = workloads.NAMES["idle-most"]
        self.assertEqual(workloads.resolved(most, 20_000, 28_000).options["connections"], 19_800)
        self.assertEqual(workloads.resolved(most, 1 << 20, 28_000).options["connections"], 27_800)
        self.assertIs(workloads.resolved(workloads.NAMES["churn"], 1, 1), workloads.NAMES["churn"])


class Showing(unittest.TestCase):
    def test_where_results_went_is_nobodys_business(self) -> None:
        self.assertEqual(public(["--out", "/home/x", "--rounds", "3", "--out=/y"]),
                         ["--rounds", "3"])

    def test_numbers(self) -> None:
        self.assertEqual([words.digits(value) for value in (1234.5, 12.34, 1.234, 0.0123, 0)],
                         ["1234", "12.3", "1.23", "0.012", "0.00"])
        self.assertEqual(words.memory(1536), "1.50 KiB")
        self.assertEqual(words.memory(None), words.NOTHING)
        self.assertEqual(duration(59.6), "1 min 00 s")
        self.assertEqual(duration(3700), "1 h 01 min")

    def test_the_reason_of_a_failed_build_is_its_first_error(self) -> None:
        said = "   Compiling x\nerror: no such feature\nmake: *** [x] Error 1\n"
        self.assertEqual(reason_in(said), "error: no such feature")
        self.assertEqual(reason_in("a\nb\n"), "b")
        said = "cc -Werror -o x x.c\nx.c:1:10: fatal error: uv.h: No such file or directory\n"
        self.assertIn("uv.h", reason_in(said))
