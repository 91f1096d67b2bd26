"""Servers and loads as processes, each held to its core, and ended by their numbers."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Iterator, Optional, Sequence

# Python servers import for a second or more on a slow machine.
START_SECONDS = 30
# By the contract the load itself gives up after 10 s without progress.
PATIENCE_SECONDS = 60
# How a server says that its library cannot do this.
CANNOT = 3

# The size of the environment moves the stack, and with it the figures; the user's settings of
# logs or of a garbage collector have no place in them either.
KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT")
ENVIRONMENT = {name: os.environ[name] for name in KEPT if name in os.environ}


class Cannot(Exception):
    """A server says that it cannot do a workload."""


class Failed(Exception):
    """A server or a load ended as it should not."""


class TooSlow(Failed):
    """It did not end within the patience that there is."""


@dataclass(frozen=True)
class Running:
    pid: int
    address: str


def spawn(command: Sequence[str], core: int, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
    def hold() -> None:
        os.sched_setaffinity(0, {core})

    # In a session of its own, so that Ctrl-C reaches the runner alone, which ends it in order.
    return subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=ENVIRONMENT,
        preexec_fn=hold, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        # It leads a group of its own: what it has started, as strace starts a server, goes with it.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def last_words(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    text = stderr.read().decode(errors="replace").strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Rust adds a hint on backtraces after what matters.
    lines = [line for line in lines if not line.startswith("note: run with")]
    return " ".join(lines[-2:])[:300] or "it said nothing on stderr"


def how_it_ended(code: int, stderr: IO[bytes]) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{how}: {last_words(stderr)}"


@contextmanager
def serving(command: Sequence[str], core: int) -> Iterator[Running]:
    """A server that listens, until the block is left."""
    with tempfile.TemporaryFile() as stderr:
        process = spawn(command, core, subprocess.PIPE, stderr)
        try:
            address = listening(process, stderr)
            try:
                yield Running(process.pid, address)
            except Failed as error:
                # A load that fails because the server is gone: the cause is the server's end.
                # A server that dies closes its connections a moment before it can be waited for.
                time.sleep(0.05)
                if process.poll() is not None:
                    ended = how_it_ended(process.returncode, stderr)
                    raise Failed(f"the server ended, {ended}") from error
                raise
        finally:
            end(process)


def listening(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> str:
    """The address that a server announces on its first line."""
    assert process.stdout is not None
    until, said = time.monotonic() + START_SECONDS, b""
    while b"\n" not in said:
        left = until - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise Failed(f"the server did not listen within {START_SECONDS} s")
        more = os.read(process.stdout.fileno(), 4096)
        if not more:
            code = process.wait()
            if code == CANNOT:
                raise Cannot(last_words(stderr))
            raise Failed(f"the server did not start, {how_it_ended(code, stderr)}")
        said += more
    line = said.split(b"\n")[0].decode(errors="replace").strip()
    if not line.startswith("listening on "):
        raise Failed(f"the server's first line is {line!r} instead of 'listening on ADDRESS'")
    return line.split()[-1]


def output_of(command: Sequence[str], core: int, seconds: float) -> dict[str, Any]:
    """The line of JSON that a program prints before it ends."""
    name = os.path.basename(command[0])
    with tempfile.TemporaryFile() as stderr:
        process = spawn(command, core, subprocess.PIPE, stderr)
        try:
            said, _ = process.communicate(timeout=seconds + PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise TooSlow(f"{name} did not end within {seconds + PATIENCE_SECONDS:.0f} s") from None
        finally:
            end(process)
        if process.returncode == CANNOT:
            raise Cannot(last_words(stderr))
        if process.returncode != 0:
            raise Failed(f"{name}: {how_it_ended(process.returncode, stderr)}")
    try:
        return dict(json.loads(said.decode().strip().splitlines()[-1]))
    except (ValueError, IndexError):
        raise Failed(f"{name} printed no line of JSON: {said[-200:]!r}") from None


def child_of(parent: int) -> Optional[int]:
    """The first process that another has started."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                # A command's name may contain blanks and brackets; its last bracket ends it.
                fields = file.read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == parent:
            return int(name)
    return None
