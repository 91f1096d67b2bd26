"""Makes programs of servers' sources, each by itself: one that fails to build holds up no other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Callable, Optional, Sequence

import places
from errors import Refused
from servers import Cargo, Make, Script, Server

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """How a server is started, or the reason why it cannot be."""
    server: Server
    command: tuple[str, ...] = ()
    absent: str = ""


class NotBuilt(Exception):
    pass


def called(command: Sequence[str]) -> str:
    """Runs a build step; its output is shown only as the reason of a failure."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, errors="replace")
    except OSError as error:
        raise NotBuilt(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise NotBuilt(reason_in(done.stdout) or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def reason_in(output: str) -> str:
    """The line of a build's output that says why it failed: the first error, or the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # A whole word: the option -Werror is none.
    errors = [line for line in lines if re.search(r"(?i)\berror\b|not found", line)]
    chosen = errors[0] if errors else (lines[-1] if lines else "")
    return places.without_places(chosen)[:200]


def manifest() -> list[str]:
    return ["--manifest-path", str(places.BENCHES / "Cargo.toml")]


def crate_binaries() -> set[str]:
    """The names of the binaries that the crate has."""
    text = called(["cargo", "metadata", "--no-deps", "--format-version", "1", *manifest()])
    (package,) = json.loads(text[text.index("{"):])["packages"]
    return {target["name"] for target in package["targets"] if "bin" in target["kind"]}


def cargo_build(binary: str, feature: str = "") -> None:
    # One binary at a time: built together they would share one choice of their dependencies'
    # features, and raw would be another program whenever a peer is asked for.
    features = ["--features", feature] if feature else []
    called(["cargo", "build", "--release", "--target-dir", str(places.TARGET), *manifest(),
            *features, "--bin", binary])


class Builder:
    """Builds what is asked for; asks once for what several need."""

    def __init__(self, tell: Tell, build: bool = True) -> None:
        self.tell, self.build = tell, build
        self.venv_state: Optional[str] = None
        self.binaries: Optional[set[str]] = None
        # What is built already: raw is needed, and asked for; some serve under two names.
        self.made: dict[str, str] = {}

    def needed(self, binary: str) -> str:
        """What nothing goes without: the load and raw."""
        try:
            return str(self.cargo(Cargo((binary,))))
        except NotBuilt as error:
            raise Refused(
                f"benches: {binary} cannot be built: {error}",
                "it is part of every measurement",
                f"see the whole message: cargo build --release --bin {binary} "
                "--manifest-path benches/Cargo.toml") from None

    def of(self, server: Server) -> Built:
        try:
            if isinstance(server.build, Cargo):
                command = [self.cargo(server.build)]
            elif isinstance(server.build, Make):
                command = [self.make(server.build)]
            else:
                command = self.script(server.build)
        except NotBuilt as error:
            return Built(server, absent=str(error))
        return Built(server, (*command, *server.arguments))

    def cargo(self, build: Cargo) -> str:
        if self.binaries is None and self.build:
            self.binaries = crate_binaries()
        for name in build.binaries:
            path = places.BINARIES / name
            if self.binaries is None:
                if path.exists():
                    return str(path)
            elif name in self.made:
                return self.made[name]
            elif name in self.binaries:
                self.tell(f"building {name}")
                cargo_build(name, build.feature)
                return self.made.setdefault(name, str(path))
        if self.build:
            raise NotBuilt(f"the crate has no binary {' or '.join(build.binaries)}")
        raise NotBuilt(f"TARGET/release has no {' or '.join(build.binaries)}, and --no-build")

    def make(self, build: Make) -> str:
        path = places.PEERS / build.target
        if not self.build:
            if path.exists():
                return str(path)
            raise NotBuilt(f"TARGET/peers has no {build.target}, and --no-build")
        for tool in ("make", build.tool):
            if shutil.which(tool) is None:
                raise NotBuilt(f"{tool} is not installed")
        if build.target in self.made:
            return self.made[build.target]
        folder = places.BENCHES / "peers"
        if not (folder / "Makefile").exists():
            raise NotBuilt("benches/peers/Makefile is missing")
        self.tell(f"building {build.target}")
        places.PEERS.mkdir(parents=True, exist_ok=True)
        called(["make", "-C", str(folder), f"OUT={places.PEERS}", str(path)])
        return self.made.setdefault(build.target, str(path))

    def script(self, build: Script) -> list[str]:
        path = places.BENCHES / "peers" / build.file
        if not path.exists():
            raise NotBuilt(f"benches/peers/{build.file} is missing")
        python = self.python() if build.package else sys.executable
        return [python, str(path), *build.arguments]

    def python(self) -> str:
        """The interpreter of the venv, which is made when it is first asked for."""
        if self.venv_state is None:
            try:
                if self.build or not (places.VENV / "made-of").exists():
                    make_venv(self.tell)
                self.venv_state = ""
            except NotBuilt as error:
                self.venv_state = f"the venv cannot be made: {error}"
        if self.venv_state:
            raise NotBuilt(self.venv_state)
        return str(places.VENV / "bin" / "python")


def make_venv(tell: Tell) -> None:
    requirements = places.BENCHES / "requirements.txt"
    wanted = f"{sys.version_info[:2]}\n{requirements.read_text()}"
    stamp = places.VENV / "made-of"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    tell("making a venv of benches/requirements.txt")
    called([sys.executable, "-m", "venv", "--clear", str(places.VENV)])
    called([str(places.VENV / "bin" / "python"), "-m", "pip", "install", "--quiet",
            "--disable-pip-version-check", "-r", str(requirements)])
    # Last, so that one that was interrupted is made anew.
    stamp.write_text(wanted)
