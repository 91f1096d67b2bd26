"""Where things are."""

from __future__ import annotations

import os
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
ROOT = BENCHES.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or BENCHES / "target").resolve()
BINARIES = TARGET / "release"
PEERS = TARGET / "peers"
VENV = TARGET / "venv"
REPORT = TARGET / "report"
BOUNDS = BENCHES / "guard.json"
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "PERFORMANCE.md"
PUBLISHED = ROOT / "docs" / "performance"


def without_places(text: str) -> str:
    """A text that is to be published names no directory of the machine that it comes from."""
    names = ((TARGET, "TARGET"), (BENCHES, "benches"), (ROOT, "."), (Path.home(), "~"))
    for place, name in names:
        if str(place) != "/":
            text = text.replace(str(place), name)
    return text
