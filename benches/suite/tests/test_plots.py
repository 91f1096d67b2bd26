"""Plots that are drawn by hand, and what README.md shows of the figures."""

from __future__ import annotations

import unittest
import xml.etree.ElementTree as xml

import bars
import overview
import page
import places
import report
import results as files
import workloads
from bars import Look, Panel, Row
from page import merged
from results import Results
from samples import AGAIN, CANNOT, GOOD, Sample
from spread import spread
from svg import short

LOOK = Look(columns=2, width=400, size=10, row=12, names=50)


def texts(drawn: str) -> list[str]:
    name = "{http://www.w3.org/2000/svg}text"
    return [one.text or "" for one in xml.fromstring(drawn).iter(name)]


def widths(drawn: str, kind: str) -> list[float]:
    return [float(one.get("width", 0)) for one in xml.fromstring(drawn)
            if one.get("class") == kind]


def sheet(*rows: Row, end: float = 2.0) -> str:
    return bars.sheet("title", "note", [Panel("echo", "", rows, end, 1.0)], LOOK)


def one(label: str, *values: float) -> Row:
    found = spread(values)
    return Row(label, found, f"{found.median:.2f}" if found else "cannot")


def run() -> Results:
    def sample(workload: str, server: str, number: int, cpu: float) -> Sample:
        result = {"operations": 1000, "elapsed_ns": 10**9, "server_cpu_ns": cpu * 1e6,
                  "p99_ns": 50_000}
        return Sample(workload, server, number, 0, GOOD, "", result)

    names = ("echo-64x64", "lines-64x64")
    costs = {"raw": 1.0, AGAIN: 1.02, "twistor": 1.1, "tokio": 1.2, "twisted": 9.0}
    taken = [sample(name, server, number, cpu) for name in names for number in range(3)
             for server, cpu in costs.items()]
    taken.append(Sample("lines-64x64", "go", 0, 0, CANNOT, "no <compiler>"))
    about = {"date": "2026-01-02 03:04 UTC", "rounds": 3,
             "machine": {"processor": "P", "cores": 2, "virtual": True, "kernel": "K 1"}}
    servers = {name: "" for name in ("raw", "twistor", "tokio", "go", "twisted")}
    return Results("run", about, {name: 3 for name in names},
                   {name: workloads.NAMES[name] for name in names}, servers, taken, partial=False)


class Bars(unittest.TestCase):
    def test_a_bar_is_as_long_as_its_figure(self) -> None:
        drawn = sheet(one("a", 0.5), one("b", 1.0), one("twistor", 2.0))
        first, second = widths(drawn, "b")
        self.assertAlmostEqual(2 * first, second, delta=0.2)
        self.assertAlmostEqual(2 * second, widths(drawn, "o")[0], delta=0.2)

    def test_what_is_cut_off_has_an_arrow(self) -> None:
        drawn = sheet(one("a", 2.0), one("b", 7.0))
        self.assertEqual(*widths(drawn, "b"))
        self.assertIn("\u2192 7.00", texts(drawn))
        self.assertIn("2.00", texts(drawn))

    def test_without_a_figure_the_reason_stands_there(self) -> None:
        drawn = sheet(one("a", 1.0), Row("b", None, "cannot"))
        self.assertEqual(len(widths(drawn, "b")), 1)
        self.assertIn("cannot", texts(drawn))

    def test_text_is_escaped(self) -> None:
        self.assertIn("a < b & c", texts(sheet(Row("a < b & c", None, "cannot"))))

    def test_ticks_are_round_and_few(self) -> None:
        self.assertEqual(bars.ticks(3.0), [0, 1, 2, 3])
        self.assertEqual(bars.ticks(40_000), [0, 10_000, 20_000, 30_000, 40_000])
        for end in (0.07, 0.3, 1, 1.8, 5.01, 99, 12_345):
            self.assertIn(len(bars.ticks(end)), range(3, 7), end)

    def test_coordinates_are_short(self) -> None:
        self.assertEqual([short(12.04), short(12.06), short(0)], ["12", "12.1", "0"])

    def test_equal_figures_give_equal_files(self) -> None:
        self.assertEqual(report.plots_of(run()), report.plots_of(run()))
        self.assertEqual(set(report.plots_of(run())), {"cpu", "p99", "overview"})

    def test_nothing_measured_is_no_plot(self) -> None:
        nothing = Results("run", run().about)
        self.assertEqual(report.plots_of(nothing), {})


class Overview(unittest.TestCase):
    def test_a_part_has_the_plot_the_ratios_and_where_they_are_from(self) -> None:
        part = overview.part(run(), drawn=True)
        self.assertIn("(docs/performance/overview.svg)", part)
        self.assertIn("| 1.10 (1.10..1.10) | 1.20 (1.20..1.20) | 1.02 (1.02..1.02) |", part)
        self.assertIn("Measured on 2026-01-02, on 2 virtual cores of P, K 1.", part)
        self.assertNotIn("chat-100", part)

    def test_without_figures_it_says_so(self) -> None:
        part = overview.part(Results("run", run().about), drawn=False)
        self.assertIn("Not measured.", part)
        self.assertNotIn(".svg", part)

    def test_only_servers_that_were_measured_are_drawn(self) -> None:
        found = texts(overview.plot(run()))
        self.assertEqual(found.count("tokio"), 2)
        self.assertEqual(found.count("go"), 1)
        self.assertNotIn("libuv", found)


class Published(unittest.TestCase):
    """What this repository shows is what its published figures give: `benches/run redraw`."""

    found: dict[str, Results]

    @classmethod
    def setUpClass(cls) -> None:
        cls.found = page.read_from(places.PUBLISHED)

    def test_the_plots_are_of_the_figures(self) -> None:
        drawn = {**report.plots_of(self.found[files.RUN]), **report.plots_of(self.found[files.TLS])}
        self.assertEqual(set(drawn), {"cpu", "p99", "overview", "tls"})
        for name, text in drawn.items():
            found = (places.PUBLISHED / f"{name}.svg").read_text()
            self.assertTrue(found == text, f"{name}.svg is not: benches/run redraw")

    def test_the_part_of_tls_is_of_the_figures(self) -> None:
        parts = page.parts_of({files.TLS: self.found[files.TLS]}, {"tls"}, "performance/")
        text = places.PAGE.read_text()
        self.assertTrue(merged(text, parts) == text, "benches/run publish")

    def test_the_readme_is_of_the_figures(self) -> None:
        text = places.README.read_text()
        part = overview.part(self.found[files.RUN], drawn=True)
        self.assertTrue(f"<!-- figures: {overview.NAME} -->" in text)
        self.assertTrue(merged(text, {overview.NAME: part}) == text, "benches/run redraw")

    def test_plots_are_small_and_their_text_is_text(self) -> None:
        for path in places.PUBLISHED.glob("*.svg"):
            most = 30_000 if path.stem == overview.NAME else 100_000
            self.assertLess(path.stat().st_size, most, path.name)
            self.assertGreater(len(texts(path.read_text())), 5, path.name)
