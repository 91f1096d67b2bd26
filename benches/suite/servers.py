"""The servers that are compared: one table, by the names that users type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Cargo:
    """A binary of the crate; the first of the names that the crate has."""
    binaries: tuple[str, ...]
    feature: str = ""


@dataclass(frozen=True)
class Make:
    """A binary that `benches/peers/Makefile` makes in its OUT."""
    target: str
    tool: str


@dataclass(frozen=True)
class Script:
    """A program in Python below `benches/peers`; `package` says what it needs of the venv."""
    file: str
    arguments: tuple[str, ...] = ()
    package: str = ""


@dataclass(frozen=True)
class Server:
    name: str
    title: str
    family: str
    build: Union[Cargo, Make, Script]
    # Before the workload's name.
    arguments: tuple[str, ...] = ()
    # Crates, or what pkg-config knows, whose versions are reported.
    packages: tuple[str, ...] = ()
    # The workloads that it is for, if it is not for all.
    only: tuple[str, ...] = ()


RUST, OTHER = "Rust", "other languages"
TABLE: tuple[Server, ...] = (
    Server("raw", "the bare mio loop", RUST, Cargo(("raw",)), packages=("mio",)),
    Server("twistor", "this library", RUST, Cargo(("twistor",)), packages=("twistor", "mio")),
    Server("twistor-busy", "this library, polling 50 us before it waits", RUST,
           Cargo(("twistor",)), ("--busy-poll", "50"), ("twistor",), ("busy",)),
    Server("tokio", "tokio, current-thread runtime", RUST,
           Cargo(("tokio", "peer-tokio"), "tokio"), packages=("tokio",)),
    Server("tokio-codec", "tokio with tokio-util's codecs", RUST,
           Cargo(("tokio-codec", "tokio_codec", "peer-tokio-codec"), "tokio"),
           packages=("tokio", "tokio-util")),
    Server("calloop", "calloop", RUST, Cargo(("calloop", "peer-calloop"), "calloop"),
           packages=("calloop",)),
    Server("message-io", "message-io", RUST,
           Cargo(("message-io", "message_io", "peer-message-io"), "message-io"),
           packages=("message-io",)),
    Server("monoio", "monoio", RUST, Cargo(("monoio", "peer-monoio"), "monoio"),
           packages=("monoio",)),
    Server("mill-net", "mill-net over mill-io", RUST,
           Cargo(("mill-net", "mill_net", "peer-mill-net"), "mill-net"),
           packages=("mill-net", "mill-io")),
    Server("c-epoll", "C on bare epoll", OTHER, Make("epoll", "cc")),
    Server("c-epoll-hold", "the same, whose fan-outs wait for four empty polls", OTHER,
           Make("epoll", "cc"), ("--hold",), only=("chat-100", "chat-1000", "chat-lone")),
    Server("libuv", "C on libuv", OTHER, Make("libuv", "cc"), packages=("libuv",)),
    Server("libevent", "C on libevent", OTHER, Make("libevent", "cc"), packages=("libevent",)),
    Server("go", "Go, goroutines on one core", OTHER, Make("go", "go")),
    Server("asyncio", "Python's asyncio", OTHER, Script("asyncio_server.py")),
    Server("uvloop", "asyncio on uvloop", OTHER,
           Script("asyncio_server.py", ("--uvloop",), "uvloop"), packages=("uvloop",)),
    Server("twisted", "Twisted", OTHER, Script("twisted_server.py", package="twisted"),
           packages=("twisted",)),
)
NAMES: dict[str, Server] = {server.name: server for server in TABLE}
# What `--quick` compares with: an async runtime, and the same loop in another language.
QUICK = ("raw", "twistor", "twistor-busy", "tokio", "c-epoll")
