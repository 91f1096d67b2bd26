"""Counting one entry under callgrind."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import List

from machine import ROOT, CannotCount

# With several units, which functions are inlined depends on which happen to share one: a test
# added anywhere moved a count by a sixth. With one, unrelated code leaves counts as they are.
PROFILE = {"CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1", "RUSTFLAGS": ""}

# What the compiler has to say goes to the terminal, and is not a part of the messages.
BUILD = ["cargo", "test", "--release", "--lib", "--no-run", "--locked",
         "--message-format=json-render-diagnostics"]

# Nothing else, so that the stack begins at the same place for everyone. On x86 the C library copies
# and fills large pieces by an instruction that counts once for each byte, and would drown all else;
# with these it does so by vectors.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=0x7fffffff"
                      ":glibc.cpu.x86_rep_stosb_threshold=0x7fffffff",
}

# What is collected, and what is taken off again.
COUNTED = "*::instruction_counts::counted*"
WORLD = "::driver::scripted::"

SECONDS_MAX = 300


def build(folder: Path) -> "Binary":
    """Builds the tests, and takes a copy that no other build replaces meanwhile."""
    foreign = ("CARGO_PROFILE_", "CARGO_ENCODED_RUSTFLAGS")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    run = subprocess.run(BUILD, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                         env={**environment, **PROFILE})
    if run.returncode:
        raise CannotCount(f"the tests cannot be built in {ROOT}: see above what cargo says to "
                          f"`{' '.join(BUILD)}`")
    path = folder / "tests"
    shutil.copy(executable(run.stdout), path)
    return Binary(path)


def executable(messages: str) -> str:
    for message in map(json.loads, messages.splitlines()):
        if message.get("executable") and message["profile"]["test"]:
            return message["executable"]
    raise CannotCount(f"cargo names no executable of the tests; it was asked: {' '.join(BUILD)}")


def short(test: str) -> str:
    """The name of a test without the module that all entries have in common."""
    return "::".join(part for part in test.split("::") if part != "instruction_counts")


class Binary:
    """The library's tests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        listed = subprocess.run([str(path), "--list", "--ignored"], stdout=subprocess.PIPE,
                                text=True).stdout
        tests = re.findall(r"^(.*\binstruction_counts::.*): test$", listed, re.MULTILINE)
        if not tests:
            raise CannotCount(f"there are no entries: no ignored test of {ROOT} is in a module "
                              f"`instruction_counts`, as those in src/instruction_counts/ are")
        self.tests = {short(test): test for test in tests}

    def entries(self) -> List[str]:
        return list(self.tests)

    def count(self, entry: str) -> float:
        """Instructions of one operation."""
        profile = self.path.with_name("callgrind.out." + entry.replace("::", "."))
        command = [
            str(shutil.which("valgrind")), "--tool=callgrind", f"--callgrind-out-file={profile}",
            "--collect-atstart=no", f"--toggle-collect={COUNTED}",
            "--compress-strings=no", "--compress-pos=no",
            f"./{self.path.name}", "--exact", self.tests[entry], "--ignored", "--nocapture",
            "--test-threads=1",
        ]
        try:
            run = subprocess.run(command, cwd=self.path.parent, env=ENVIRONMENT, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise CannotCount(f"{entry} has not come to its end in {SECONDS_MAX} seconds") from None
        if run.returncode:
            raise CannotCount(
                f"{entry} fails; without valgrind: cargo test --release --lib -- --ignored --exact "
                f"{self.tests[entry]}\n{run.stdout}")
        return per_operation(entry, profile.read_text(), run.stdout)


def per_operation(entry: str, profile: str, output: str) -> float:
    said = re.search(r"counted (\d+) operations", output)
    if not said or not int(said[1]):
        raise CannotCount(f"{entry} does not say how many operations were counted: it has to call "
                          f"`rounds` of src/instruction_counts/mod.rs")
    count = instructions(profile)
    if not count:
        raise CannotCount(f"callgrind has counted nothing in {entry}: it knows no function called "
                          f"{COUNTED}, which is in src/instruction_counts/mod.rs")
    return round(count / int(said[1]), 2)


def instructions(profile: str) -> int:
    """All that were collected, less those of calls into the world."""
    total, world = 0, 0
    caller, callee, is_call = "", "", False
    for line in profile.splitlines():
        key, _, value = line.partition("=")
        if key == "fn":
            caller = value
        elif key == "cfn":
            callee = value
        elif key == "calls":
            is_call = True
        elif line[:1].isdigit():
            cost = int(line.split()[1])
            # The line behind a call has what the call cost in all; it stands nowhere else.
            if not is_call:
                total += cost
            elif WORLD in callee and WORLD not in caller:
                world += cost
            is_call = False
    return total - world
