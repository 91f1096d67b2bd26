"""What was measured over TLS: apart on the page and in the published figures."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import page
import places
import redrawing
import report
import results as files
import tls
import workloads
from errors import Refused
from page import MARKED
from results import RUN, TLS, Results
from samples import AGAIN, GOOD, Sample
from syscalls import Count

ABOUT = {
    "date": "2026-01-02 03:04 UTC", "arguments": ["--workloads", "tls-*"], "commit": "abc",
    "machine": {"processor": "P", "cores": 2, "virtual": False, "memory_gib": 4, "kernel": "K 1",
                "governor": None, "descriptors": 99, "interrupts_apart": False,
                "io_uring_off": False},
    "compilers": {}, "versions": {}, "cores": {"server": 0, "load": 1}, "rounds": 5,
    "seconds": 1.0, "load_average": 0.0, "busy": []}
COSTS = {"raw": (1.0,) * 5, AGAIN: (1.0,) * 5, "twistor": (1.0, 1.1, 1.2, 1.3, 1.4),
         "tokio": (2.0,) * 5}
PAGE = """By hand.

<!-- figures: cpu-rust -->
old
<!-- end -->
<!-- figures: tls -->
old
<!-- end -->
<!-- figures: tls-plot -->
old
<!-- end -->
<!-- figures: tls-better -->
old
<!-- end -->
"""


def run(*names: str) -> Results:
    taken = []
    for name in names:
        for server, costs in COSTS.items():
            for number, cost in enumerate(costs):
                figures = {"operations": 1000, "elapsed_ns": 10**9, "server_cpu_ns": cost * 1e6,
                           "p99_ns": 50_000, "server_rss": 1 << 20, "server_peak": 1 << 20}
                if workloads.NAMES[name].kind == "idle":
                    figures = {"bytes_per_connection": 1024 * cost, "server_peak": 1 << 20}
                taken.append(Sample(name, server, number, 0, GOOD, "", figures))
    counts = [Count(name, "raw", 2.5, {"recvfrom": 2.5}) for name in names]
    return Results("run", ABOUT, {name: 5 for name in names},
                   {name: workloads.NAMES[name] for name in names},
                   {name: "" for name in ("raw", "twistor", "tokio")}, taken, counts,
                   partial=False)


class Apart(unittest.TestCase):
    def test_each_half_has_what_is_its_own(self) -> None:
        found = tls.apart(run("echo-64x64", "tls-full"))
        self.assertEqual(list(found), [RUN, TLS])
        for kind, name in ((RUN, "echo-64x64"), (TLS, "tls-full")):
            one = found[kind]
            self.assertEqual(one.kind, kind)
            self.assertEqual([*one.rounds], [name])
            self.assertEqual([*one.workloads], [name])
            self.assertEqual({sample.workload for sample in one.samples}, {name})
            self.assertEqual([count.workload for count in one.counts], [name])

    def test_a_half_without_workloads_is_none(self) -> None:
        self.assertEqual(list(tls.apart(run("tls-full"))), [TLS])
        self.assertEqual(list(tls.apart(run("echo-64x64"))), [RUN])
        self.assertEqual(list(tls.apart(run())), [RUN])

    def test_every_workload_over_tls_is_known_by_its_name(self) -> None:
        for name, workload in workloads.NAMES.items():
            self.assertEqual(workload.is_tls, name.startswith("tls-"), name)


class Part(unittest.TestCase):
    def test_a_cell_has_the_ratio_its_quartiles_and_the_time(self) -> None:
        part = tls.part(run("tls-full"))
        self.assertIn("| workload | raw | raw again | twistor | tokio |", part)
        self.assertIn("| tls-full | 1.00 us |", part)
        self.assertIn("| 1.20<br><sub>1.10..1.30, 1.20 us</sub> |", part)

    def test_it_has_rates_system_calls_memory_and_where_they_are_from(self) -> None:
        part = tls.part(run("tls-full", "tls-idle-10000"))
        self.assertIn("| 1000<br><sub>50.0 us</sub> |", part)
        self.assertIn("| tls-full | 2.50 |", part)
        self.assertIn("| twistor | 1.20 KiB | 1.00 MiB |", part)
        self.assertIn("Measured on 2026-01-02, on 2 cores of P, K 1.", part)
        self.assertIn("40 samples count", part)

    def test_nothing_else_is_in_it(self) -> None:
        self.assertEqual(tls.part(run("echo-64x64", "tls-full")), tls.part(run("tls-full")))
        self.assertEqual(tls.part(run("echo-64x64")), "Not measured.")

    def test_a_run_of_all_draws_both(self) -> None:
        self.assertEqual(set(report.plots_of(run("echo-64x64", "tls-full"))),
                         {"cpu", "p99", "overview", "tls"})
        self.assertEqual(set(report.plots_of(run("tls-full"))), {"tls"})

    def test_the_report_has_all_of_both(self) -> None:
        said = report.markdown(run("echo-64x64", "tls-full"), {"cpu", "tls"})
        for words in ("## TLS\n", "(tls.svg)", "(cpu.svg)", "## tls-full\n", "## echo-64x64\n"):
            self.assertIn(words, said)
        self.assertIn("## Busy polling\n\nNot measured.", said)


class Publishing(unittest.TestCase):
    """Into a page, a README.md and published figures of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root, self.out = Path(folder.name), Path(folder.name) / "out"
        for name, path in (("PAGE", "page.md"), ("README", "readme.md"), ("PUBLISHED", "figures")):
            patch = mock.patch.object(places, name, self.root / path)
            patch.start()
            self.addCleanup(patch.stop)
        places.PAGE.write_text(PAGE)
        places.README.write_text("<!-- figures: overview -->\nold\n<!-- end -->\n")

    def publish(self, results: Results) -> set[str]:
        files.write(results, self.out / files.FILE)
        for name, text in report.plots_of(results).items():
            (self.out / f"{name}.svg").write_text(text)
        return {path.name for path in page.publish(self.out, anyway=False)}

    def parts(self) -> dict[str, str]:
        return {match["name"]: match["old"].strip()
                for match in MARKED.finditer(places.PAGE.read_text())}

    def test_a_run_of_tls_alone_leaves_all_else_as_it_was(self) -> None:
        self.publish(run("echo-64x64"))
        before, readme = self.parts(), places.README.read_text()
        kept = {path: path.read_bytes() for path in places.PUBLISHED.iterdir()}
        # Plots of an earlier run beside the figures are not those of this one.
        (self.out / "cpu.svg").write_text("another run's")
        self.assertEqual(self.publish(run("tls-full")), {"tls.json", "tls.svg", "page.md"})
        after = self.parts()
        self.assertEqual(after["cpu-rust"], before["cpu-rust"])
        self.assertIn("tls-full", after["tls"])
        self.assertIn("(performance/tls.svg)", after["tls-plot"])
        self.assertIn("tls-full", after["tls-better"])
        self.assertEqual(places.README.read_text(), readme)
        self.assertEqual({path: path.read_bytes() for path in kept}, kept)

    def test_a_run_without_tls_leaves_tls_as_it_was(self) -> None:
        self.publish(run("tls-full"))
        before = self.parts()
        self.assertNotIn("tls.json", self.publish(run("echo-64x64")))
        after = self.parts()
        self.assertNotEqual(after.pop("cpu-rust"), before.pop("cpu-rust"))
        self.assertEqual(after, before)

    def test_a_full_run_fills_everything(self) -> None:
        written = self.publish(run("echo-64x64", "tls-full"))
        self.assertEqual(written, {"results.json", "tls.json", "cpu.svg", "p99.svg",
                                   "overview.svg", "tls.svg", "page.md", "readme.md"})
        self.assertNotIn("old", self.parts().values())
        self.assertNotIn("tls-full", self.parts()["cpu-rust"])
        found = page.read_from(places.PUBLISHED)
        self.assertEqual({kind: list(one.workloads) for kind, one in found.items()},
                         {RUN: ["echo-64x64"], TLS: ["tls-full"]})

    def test_what_is_partial_is_refused(self) -> None:
        one = run("tls-full")
        one.partial = True
        with self.assertRaisesRegex(Refused, "partial"):
            self.publish(one)
        self.assertEqual(places.PAGE.read_text(), PAGE)

    def test_redrawing_draws_what_is_published(self) -> None:
        self.publish(run("tls-full"))
        drawn = places.PUBLISHED / "tls.svg"
        text, readme = drawn.read_text(), places.README.read_text()
        drawn.write_text("another")
        self.assertEqual(redrawing.run(places.PUBLISHED, build=False), 0)
        self.assertEqual(drawn.read_text(), text)
        self.assertEqual({path.name for path in places.PUBLISHED.iterdir()},
                         {"tls.json", "tls.svg"})
        self.assertEqual(places.README.read_text(), readme)

    def test_a_directory_without_figures_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "has none of results.json, tls.json, growth.json"):
            page.read_from(self.root)
