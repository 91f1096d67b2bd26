"""One run of one server at one workload, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

# Outcomes. `good` counts; `disturbed` is kept with its reason and counts for nothing; `cannot` is
# a server that says so; `failed` is a server or a load that ended as it should not.
GOOD, SPOILT, CANNOT, FAILED = "good", "disturbed", "cannot", "failed"

# The second run of raw in each round: a server to the figures, though not to the machine.
AGAIN = "raw again"


@dataclass(frozen=True)
class Sample:
    workload: str
    server: str
    round: int
    attempt: int
    outcome: str
    reason: str = ""
    # What the load printed, or `timers` did.
    result: dict[str, Any] = field(default_factory=dict)
    # The shares of the sample that others used of each core, and that were stolen.
    foreign: dict[str, float] = field(default_factory=dict)
    steal: dict[str, float] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        return {key: value for key, value in raw_figures(self.result).items() if value is not None}


def per(result: dict[str, Any], key: str, divisor: Optional[float]) -> Optional[float]:
    value = result.get(key)
    return None if value is None or not divisor else value / divisor


def raw_figures(result: dict[str, Any]) -> dict[str, Optional[float]]:
    """The figures of a sample, by the names that tables and the JSON use."""
    if "schedule" in result or "fire" in result:
        keys = ("schedule", "reset", "cancel", "fire", "bytes_each", "bytes_left")
        return {key: result.get(key) for key in keys}
    operations, elapsed = result.get("operations"), result.get("elapsed_ns")
    figures = {"peak": result.get("server_peak")}
    if result.get("bytes_per_connection") is not None:
        # What is resident at the end is without the connections, which are closed by then.
        return {**figures, "bytes_per_connection": result["bytes_per_connection"]}
    switches = result.get("server_switches") or {}
    figures.update({
        "rss": result.get("server_rss"),
        "cpu_us": per(result, "server_cpu_ns", operations and operations * 1e3),
        "rate": per(result, "operations", elapsed and elapsed / 1e9),
        "p50_us": per(result, "p50_ns", 1e3),
        "p99_us": per(result, "p99_ns", 1e3),
        "p999_us": per(result, "p999_ns", 1e3),
        "max_us": per(result, "max_ns", 1e3),
        "load_share": per(result, "load_cpu_ns", result.get("server_cpu_ns")),
        "server_busy": per(result, "server_cpu_ns", elapsed),
        "waits": per(switches, "voluntary", operations),
    })
    return figures
