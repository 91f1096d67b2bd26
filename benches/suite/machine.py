"""What a measurement ran on: enough to judge it by, and nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterable, Optional, Sequence

import places
from servers import Cargo, Server


def said(command: Sequence[str]) -> Optional[str]:
    """The first line that a program prints, if there is that program."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def field(path: str, name: str) -> Optional[str]:
    try:
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None


def description(apart: bool, descriptors: int) -> dict[str, Any]:
    flags = (field("/proc/cpuinfo", "flags") or "").split()
    memory = (field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    # What follows the numbers of a kernel's release is the name of whoever built it.
    release = re.match(r"[0-9.]*[0-9]", platform.release())
    return {
        "processor": field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in flags,
        "memory_gib": round(int(memory) / (1 << 20), 1),
        "kernel": f"{platform.system()} {release[0] if release else ''}".strip(),
        "governor": governor.read_text().strip() if governor.exists() else None,
        "descriptors": descriptors,
        "interrupts_apart": apart,
        # Some runtimes are other programs where they may use it.
        "io_uring_off": io_uring_is_off(),
    }


def io_uring_is_off() -> bool:
    try:
        value = int(Path("/proc/sys/kernel/io_uring_disabled").read_text())
    except (OSError, ValueError):
        return False
    # 1 leaves it to the privileged.
    return value == 2 or value == 1 and os.geteuid() != 0


def compilers() -> dict[str, Optional[str]]:
    return {
        "rustc": said(["rustc", "--version"]),
        "cc": said(["cc", "--version"]),
        "go": said(["go", "version"]),
        "python": f"Python {sys.version.split()[0]}",
    }


def locked_versions(text: str) -> dict[str, str]:
    """Crates and their versions, of a Cargo.lock."""
    return dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', text))


def version(package: str, server: Server, crates: dict[str, str]) -> Optional[str]:
    if isinstance(server.build, Cargo):
        return crates.get(package)
    if package in ("uvloop", "twisted"):
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        return said([str(places.VENV / "bin" / "python"), "-c", code])
    return said(["pkg-config", "--modversion", package])


def versions(servers: Iterable[Server]) -> dict[str, str]:
    lock = places.BENCHES / "Cargo.lock"
    crates = locked_versions(lock.read_text()) if lock.exists() else {}
    found = {}
    for server in servers:
        for package in server.packages:
            known = version(package, server, crates)
            if known:
                found[package] = known
    return found


def commit() -> Optional[str]:
    return said(["git", "-C", str(places.ROOT), "describe", "--always", "--dirty"])
