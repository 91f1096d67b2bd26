"""`benches/run redraw`: the published plots, and the figures of README.md, from the published
figures. Nothing is measured."""

from __future__ import annotations

from pathlib import Path

import page
import report
import results as files
from building import Builder
from session import note


def run(folder: Path, build: bool) -> int:
    found = page.read_from(folder)
    builder = Builder(lambda text: note(text + " .."), build=build)
    for one in found.values():
        trouble = report.draw(folder, one, builder)
        if trouble:
            note(f"the plots of `{one.kind}` are as they were: {trouble}")
    if files.RUN in found:
        note(f"written: {page.into_readme(found[files.RUN], drawn=True)}")
    return 0
