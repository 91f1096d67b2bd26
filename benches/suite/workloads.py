"""What servers are measured at: one table, by the names that users type."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Optional

MEBIBYTE = 1 << 20
BLOCK = 64 * 1024

# Descriptors that a server or the load needs besides one for each connection.
MARGIN = 200


@dataclass(frozen=True)
class Workload:
    name: str
    serve: str
    load: str
    note: str
    options: dict[str, int] = field(default_factory=dict)
    # rate: operations for a time; idle: memory of connections; timers: no load at all.
    kind: str = "rate"
    # What one operation is.
    operation: str = "message"
    # Bytes that an operation moves, where the rate in GB/s is of interest.
    moved: int = 0
    # Two numbers of operations: the difference of their system calls is free of the start.
    traced: Optional[tuple[int, int]] = None
    # The servers that it is for, if it is not for all.
    only: tuple[str, ...] = ()

    @property
    def is_tls(self) -> bool:
        return "tls" in self.options

    def load_arguments(self, **more: float) -> list[str]:
        return [self.load, *(f"{key}={value}" for key, value in {**self.options, **more}.items())]


def several(count: int) -> str:
    return f"{count} connection" if count == 1 else f"{count} connections"


def echo(connections: int, size: int, name: str = "") -> Workload:
    label = "16k" if size == 16384 else str(size)
    return Workload(
        name or f"echo-{connections}x{label}", "echo", "echo",
        f"{several(connections)}, messages of {size} bytes there and back",
        {"connections": connections, "bytes": size},
        traced=(2 * connections + 200, 4 * connections + 2200))


def chat(connections: int, name: str = "", talkers: int = 10) -> Workload:
    options = {"connections": connections}
    if talkers != 10:
        options["talkers"] = talkers
    said = "one talks" if talkers == 1 else f"{talkers} talk"
    return Workload(
        name or f"chat-{connections}", "chat", "chat", f"{connections} members, {said}", options,
        operation="delivery", traced=(20 * connections, 120 * connections))


def bulk(load: str, connections: int) -> Workload:
    serve, what = ("sink", "to the server") if load == "sink" else ("echo", "there and back")
    return Workload(
        f"{load}-{connections}", serve, load, f"{several(connections)} streaming {what}",
        {"connections": connections}, operation="MiB", moved=MEBIBYTE,
        traced=(16 * connections, 48 * connections))


def pipe(count: int) -> Workload:
    """Only the servers that it compares have one: nobody else was written a pipe."""
    pairs = "a pair" if count == 1 else f"{count} pairs"
    return Workload(
        f"pipe-{count}", "pipe", "pipe", f"{pairs} of connections, from one to the other",
        {"connections": count}, operation="MiB", moved=MEBIBYTE, traced=(16 * count, 48 * count),
        only=("raw", "twistor"))


def idle(connections: int, name: str = "") -> Workload:
    note = f"{connections} connections, each served once" if connections else (
        "as many connections as the descriptor limit allows")
    return Workload(
        name or f"idle-{connections}", "echo", "idle", note, {"connections": connections},
        kind="idle", operation="connection")


def timers(count: int, name: str = "timers") -> Workload:
    return Workload(
        name, "timers", "", f"{count} timers: scheduled, pushed back, cancelled, fired",
        {"count": count}, kind="timers", operation="timer")


def lines(connections: int, count: int, size: int, name: str) -> Workload:
    return Workload(
        name, "lines", "lines", f"{connections} connections, segments of {count} lines",
        {"connections": connections, "lines": count, "bytes": size},
        operation="segment", traced=(4 * connections, 16 * connections))


# Those that were written for TLS.
TLS_SERVERS = ("raw", "twistor", "tokio")


def over_tls(workload: Workload, name: str = "") -> Workload:
    """The same over TLS 1.3; a key of type P-256, unless the server is asked for another."""
    return replace(
        workload, name=name or f"tls-{workload.name}", serve=f"tls-{workload.serve}",
        note=f"{workload.note}, over TLS", options={**workload.options, "tls": 1},
        only=TLS_SERVERS)


def handshakes(name: str, serve: str, note: str, **options: int) -> Workload:
    return Workload(
        name, serve, "churn", f"connections that are served a line and closed, over TLS: {note}",
        {"connections": 16, "tls": 1, **options}, operation="connection", traced=(200, 1000),
        only=TLS_SERVERS)


TABLE: tuple[Workload, ...] = (
    echo(1, 64), echo(1, 16384), echo(64, 64), echo(64, 16384), echo(1000, 64), echo(1000, 16384),
    Workload("pipeline-64x64", "echo", "pipeline", "64 connections, 32 messages at once",
             {"connections": 64, "bytes": 64, "depth": 32}, traced=(4096, 20480)),
    lines(64, 64, 12, "lines-64x64"),
    chat(100), chat(1000), chat(100, "chat-lone", talkers=1),
    Workload("churn", "quote", "churn", "connections that are served a line and closed",
             {"connections": 16}, operation="connection", traced=(200, 1000)),
    bulk("sink", 1), bulk("sink", 8), bulk("stream", 1), bulk("stream", 8),
    pipe(1), pipe(8),
    Workload("broadcast-1000", "broadcast", "broadcast", "64 KiB to each of 1000 connections",
             {"connections": 1000}, operation="block", moved=BLOCK, traced=(1000, 4000)),
    idle(10_000), idle(0, "idle-most"), timers(1_000_000),
    replace(echo(1, 64, "busy"), note="echo-1x64, with a loop that polls before it waits",
            only=("raw", "twistor", "twistor-busy")),
    over_tls(echo(1, 64)), over_tls(echo(64, 64)), over_tls(echo(64, 16384)),
    over_tls(bulk("sink", 1)), over_tls(bulk("stream", 1)),
    over_tls(Workload("source-8", "source", "source",
                      "8 connections, 64 KiB for each byte that comes", {"connections": 8},
                      operation="block", moved=BLOCK, traced=(200, 1000))),
    handshakes("tls-full", "tls-quote", "full handshakes, key of type P-256"),
    handshakes("tls-full-rsa", "tls-rsa-quote", "full handshakes, key of type RSA"),
    handshakes("tls-resumed", "tls-quote", "resumed sessions", resume=1),
    over_tls(idle(10_000)),
)
NAMES: dict[str, Workload] = {workload.name: workload for workload in TABLE}


def resolved(workload: Workload, descriptors: int, ports: int) -> Workload:
    """`idle-most` knows how many connections it is of only on the machine that it runs on."""
    if workload.name != "idle-most":
        return workload
    most = max(1, min(descriptors, ports) - MARGIN)
    return replace(workload, options={"connections": most}, note=f"{most} connections idle")


def descriptors_needed(workload: Workload) -> int:
    sockets = 2 if workload.load == "pipe" else 1
    return sockets * workload.options.get("connections", 0) + 50
