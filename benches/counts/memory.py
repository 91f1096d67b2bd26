"""Heap of an idle connection, as massif counts it."""
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Tuple

from machine import ROOT, CannotCount

BENCHES = ROOT / "benches"
BINARIES = BENCHES / "target" / "release"

# Entries: what the server serves, and how the load connects. An operation is a connection that was
# served an echo, and is idle.
ENTRIES: Dict[str, Tuple[str, str]] = {
    "memory::idle_tcp": ("echo", "tls=0"),
    "memory::idle_tls": ("tls-echo", "tls=1"),
}

# Two numbers of connections: the difference of their heaps is free of what all share.
CONNECTIONS = (100, 400)
SECONDS_MAX = 120


def build() -> None:
    for binary in ("load", "twistor"):
        command = ["cargo", "build", "--release", "--locked", "--target-dir",
                   str(BENCHES / "target"), "--manifest-path", str(BENCHES / "Cargo.toml"),
                   "--bin", binary]
        if subprocess.run(command, cwd=ROOT).returncode:
            raise CannotCount(f"{binary} cannot be built: see above what cargo says")


def count(entry: str, folder: Path) -> float:
    """Bytes of one connection."""
    few, many = (heap(entry, connections, folder) for connections in CONNECTIONS)
    return round((many - few) / (CONNECTIONS[1] - CONNECTIONS[0]), 2)


def heap(entry: str, connections: int, folder: Path) -> int:
    """The most that was allocated while so many connections were open."""
    serve, encryption = ENTRIES[entry]
    profile = folder / f"massif.out.{entry.replace('::', '.')}.{connections}"
    command: List[str] = [
        str(shutil.which("valgrind")), "--quiet", "--tool=massif", "--peak-inaccuracy=0.0",
        f"--massif-out-file={profile}", str(BINARIES / "twistor"), serve]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        address = re.search(r"listening on (\S+)", said)
        if not address:
            raise CannotCount(f"{entry}: the server says {said!r} instead of where it listens")
        load = [str(BINARIES / "load"), address[1], str(server.pid), "idle",
                f"connections={connections}", encryption]
        run = subprocess.run(load, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             timeout=SECONDS_MAX)
        if run.returncode:
            raise CannotCount(f"{entry}: {run.stderr.strip()}")
        # It ends in order, and massif writes its file.
        server.terminate()
        server.wait(SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise CannotCount(f"{entry} has not come to its end in {SECONDS_MAX} seconds") from None
    finally:
        server.kill()
        server.wait()
    return peak(profile.read_text())


def peak(profile: str) -> int:
    return max(int(size) for size in re.findall(r"^mem_heap_B=(\d+)$", profile, re.MULTILINE))
