"""The report of one run: all of its figures in Markdown, and its plots."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Optional

import bars
import overview
import page
import places
import results as files
import tables
import tls
from building import Builder, NotBuilt
from results import Results

HEADINGS = {
    "conditions": "What was disturbed", "machine": "Machine", "servers": "Servers",
    "workloads": "Workloads",
    "cpu-rust": "CPU time per operation, Rust", "cpu-other": "CPU time per operation, others",
    "cpu-plot": "CPU time per operation, drawn", "latency-rust": "Latency, Rust",
    "latency-other": "Latency, others", "p99-plot": "Latency, drawn",
    "busy": "Busy polling",
    "syscalls": "System calls per operation", "memory": "Memory", "timers": "Timers",
    "bulk": "Bulk, GB/s", "better": "Where others are better",
    "tls": "TLS", "tls-plot": "TLS, drawn",
}


def markdown(run: Results, plots: set[str]) -> str:
    parts = page.parts_of({files.RUN: run, files.TLS: run}, plots, "")
    said = [f"# Report of `{run.kind}`"]
    said += [f"## {title}\n\n{parts[name]}" for name, title in HEADINGS.items()]
    said += [f"## {name}\n\n{tables.details(run, name)}"
             for name in [*tables.rated(run), *tls.rated(run)]]
    return "\n\n".join(said) + "\n"


def growth_markdown(growth: Results, plots: set[str]) -> str:
    part = page.parts_of({files.GROWTH: growth}, plots, "")[files.GROWTH]
    machine = page.PARTS["machine"](growth)
    return f"# Report of `growth`\n\n{machine}\n\n{part}\n"


def plots_of(run: Results) -> dict[str, str]:
    """What is drawn of a run, by the names of files."""
    drawn = {
        "cpu": bars.every(run, "cpu_ratio", "Server's CPU time per operation, as a ratio to raw's",
                          tables.rated(run)),
        "p99": bars.every(run, "p99_us", "99th percentile of latency, in microseconds",
                          tables.rated(run)),
        overview.NAME: overview.plot(run),
        tls.NAME: tls.plot(run),
    }
    return {name: text for name, text in drawn.items() if text}


def draw(folder: Path, results: Results, builder: Builder) -> Optional[str]:
    """Draws what there are figures of; returns why not, where it could not."""
    if results.kind == files.GROWTH:
        return draw_growth(folder, builder)
    for name, text in plots_of(results).items():
        (folder / f"{name}.svg").write_text(text)
    return None


def draw_growth(folder: Path, builder: Builder) -> Optional[str]:
    try:
        python = builder.python()
    except NotBuilt as error:
        return str(error)
    script = places.BENCHES / "suite" / "plots.py"
    done = subprocess.run([python, str(script), str(folder)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return f"drawing failed: {lines[-1] if lines else done.returncode}"
    return None


def make(folder: Path, results: Results, builder: Optional[Builder]) -> list[str]:
    """Writes plots and report of what is in `folder`; returns what went wrong with the plots."""
    troubles = []
    growing = results.kind == files.GROWTH
    for old in folder.glob("growth-*.svg" if growing else "*.svg"):
        # Those of other figures would be taken for these. A growth's are another file's.
        if growing or not old.name.startswith("growth-"):
            old.unlink()
    if builder is not None and results.samples:
        trouble = draw(folder, results, builder)
        troubles += [trouble] if trouble else []
    plots = {path.stem for path in folder.glob("*.svg")}
    text = growth_markdown(results, plots) if growing else markdown(results, plots)
    name = "growth.md" if growing else "report.md"
    (folder / name).write_text(places.without_places(text))
    return troubles
