"""`benches/run redraw`: the published plots, and the figures of README.md, from the published
figures. Nothing is measured."""

from __future__ import annotations

from pathlib import Path

import page
import report
from building import Builder
from session import note


def run(folder: Path, build: bool) -> int:
    measured, growth = page.read_from(folder)
    builder = Builder(lambda text: note(text + " .."), build=build)
    for one in (measured, growth):
        trouble = report.draw(folder, one, builder) if one is not None else None
        if trouble:
            note(f"the plots of `{one.kind if one else ''}` are as they were: {trouble}")
    if measured is not None:
        note(f"written: {page.into_readme(measured, drawn=True)}")
    return 0
