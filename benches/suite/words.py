"""Numbers as tables show them."""

from __future__ import annotations

from typing import Optional, Sequence

NOTHING = "–"


def digits(value: float) -> str:
    """Three of them that count, or all before the point."""
    size = abs(value)
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 or size == 0 else f"{value:.3f}"


def number(value: Optional[float]) -> str:
    return NOTHING if value is None else digits(value)


def ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def memory(value: Optional[float]) -> str:
    if value is None:
        return NOTHING
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(value) >= size:
            return f"{digits(value / size)} {unit}"
    return f"{value:.0f} B"


def percent(share: Optional[float]) -> str:
    if share is None:
        return NOTHING
    return f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; all columns but the first are numbers and stand to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
