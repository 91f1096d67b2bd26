"""What counts depend on besides the source."""
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List

ROOT = Path(__file__).resolve().parents[2]

ADVICE = {
    "valgrind": "install it, on Debian and Ubuntu with `apt-get install valgrind`",
    "cargo": "install a Rust toolchain, from https://rustup.rs, and see that it is on the PATH",
    "rustc": "install a Rust toolchain, from https://rustup.rs, and see that it is on the PATH",
}


class CannotCount(Exception):
    """Nothing can be said about the counts. Its text says what is wrong, where, and what helps."""


def output_of(command: List[str]) -> str:
    tool = command[0]
    if not shutil.which(tool):
        raise CannotCount(f"{tool} is missing; {ADVICE[tool]}")
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True)
    if run.returncode:
        raise CannotCount(f"`{' '.join(command)}` fails in {ROOT}: {run.stdout.strip()}")
    return run.stdout


def vectors() -> str:
    """The widest vectors that valgrind lets memchr and the C library choose."""
    try:
        return "AVX2" if " avx2 " in Path("/proc/cpuinfo").read_text() else "none or narrower"
    except OSError:
        return "unknown"


def made_with() -> Dict[str, str]:
    """Counts that were made with the same can be compared."""
    rustc = output_of(["rustc", "-vV"]).splitlines()
    output_of(["cargo", "-V"])
    return {
        "rustc": rustc[0],
        "target": next(line for line in rustc if line.startswith("host: "))[len("host: "):],
        "valgrind": output_of(["valgrind", "--version"]).strip(),
        # Its allocator and its memcpy are a part of what is counted.
        "libc": " ".join(platform.libc_ver()).strip() or "unknown",
        "vectors": vectors(),
    }
