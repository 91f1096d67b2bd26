"""The command line."""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
from pathlib import Path
from typing import Optional, Sequence

import axes
import comparing
import growth
import guard
import page
import places
import redrawing
import servers
import workloads
from axes import Axis
from errors import INTERRUPTED, USAGE, Refused, ended_by
from servers import Server
from workloads import Workload

ABOUT = """\
Compares servers on several libraries under the same loads.

  benches/run              all servers at all workloads, and a report
  benches/run --quick      a few servers, in a few minutes
  benches/run guard        whether twistor became slower than benches/guard.json says
  benches/run growth       what an operation costs as more of something is there
  benches/run publish DIR  a report's figures into docs/PERFORMANCE.md and README.md
  benches/run redraw       the published plots, and README.md, from the published figures

exit code: 0 all is well; 1 a regression, or a server failed; 2 the arguments are wrong;
           3 refused to start; 4 some cells were disturbed and have no figure; 130 ended by Ctrl-C
"""
ROUNDS, SECONDS = 5, 1.0
QUICK_ROUNDS, QUICK_SECONDS = 3, 0.3
GUARD_PAIRS, GUARD_SECONDS = 9, 0.4
GROWTH_ROUNDS, GROWTH_SECONDS = 3, 0.5


def common(parser: argparse.ArgumentParser, rounds: str) -> None:
    add = parser.add_argument
    add(rounds, dest="rounds", type=int, help="fresh runs of each server at each workload")
    add("--seconds", type=float, help="length of the measured phase of a run")
    add("--out", default=str(places.REPORT), metavar="DIR", help="where results go")
    add("--cores", metavar="SERVER,LOAD", help="the two cores (the first two by default)")
    add("--anyway", action="store_true", help="go on although something else is running")
    add("--no-build", action="store_true", help="take the programs as they were built last")


def plots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-plots", dest="plots", action="store_false",
                        help="no drawings")


def run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benches/run", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--servers", metavar="A,B", help="names, or patterns such as c-*; raw is always measured")
    add("--workloads", metavar="X,Y", help="names, or patterns such as echo-*")
    add("--quick", action="store_true",
        help=f"{', '.join(servers.QUICK)}; {QUICK_ROUNDS} rounds of {QUICK_SECONDS} s")
    add("--publish", action="store_true", help="write docs/PERFORMANCE.md and README.md as well")
    add("--list", action="store_true", help="list servers and workloads")
    add("--no-syscalls", dest="syscalls", action="store_false", help="do not count them")
    common(parser, "--rounds")
    plots(parser)
    return parser


def guard_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benches/run guard", description=guard.__doc__)
    parser.add_argument("--accept", action="store_true",
                        help="write what is measured into benches/guard.json as the new bounds")
    parser.add_argument("--workloads", metavar="X,Y", help=f"of {', '.join(guard.WATCHED)}")
    common(parser, "--pairs")
    parser.set_defaults(rounds=GUARD_PAIRS, seconds=GUARD_SECONDS)
    return parser


def growth_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benches/run growth", description=growth.__doc__)
    parser.add_argument("--servers", default="raw,twistor", metavar="A,B")
    parser.add_argument("--axes", metavar="X,Y", help=f"of {', '.join(axes.NAMES)}")
    common(parser, "--rounds")
    plots(parser)
    parser.set_defaults(rounds=GROWTH_ROUNDS, seconds=GROWTH_SECONDS)
    return parser


def publish_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benches/run publish", description=page.__doc__)
    parser.add_argument("folder", nargs="?", default=str(places.REPORT), metavar="DIR")
    parser.add_argument("--anyway", action="store_true", help="publish partial results too")
    return parser


def picked(asked: Optional[str], known: Sequence[str], what: str) -> list[str]:
    """The names that are asked for, in the order of the table."""
    if asked is None:
        return list(known)
    found: set[str] = set()
    for pattern in filter(None, (part.strip() for part in asked.split(","))):
        matching = fnmatch.filter(known, pattern)
        if not matching:
            raise Refused(f"there is no {what} {pattern!r}",
                          to_do=f"use of these: {', '.join(known)}", code=USAGE)
        found.update(matching)
    return [name for name in known if name in found]


def picked_servers(asked: Optional[str]) -> list[Server]:
    names = picked(asked, list(servers.NAMES), "server")
    return [servers.NAMES[name] for name in dict.fromkeys(["raw", *names])]


def listing() -> str:
    lines = ["servers:"]
    lines += [f"  {one.name:16} {one.title}" for one in servers.TABLE]
    lines += ["", "workloads:"]
    lines += [f"  {one.name:16} {one.note}" for one in workloads.TABLE]
    lines += ["", "axes of growth:"]
    lines += [f"  {one.name:16} {one.title}" for one in axes.TABLE]
    return "\n".join(lines)


def checked(arguments: argparse.Namespace) -> None:
    if arguments.rounds < 1 or not 0 < arguments.seconds <= 600:
        raise Refused("rounds must be at least 1, and seconds above 0 and at most 600", code=USAGE)


def run(words: Sequence[str]) -> int:
    arguments = run_parser().parse_args(words)
    if arguments.list:
        print(listing())
        return 0
    names = arguments.servers
    if names is None and arguments.quick:
        names = ",".join(servers.QUICK)
    if arguments.rounds is None:
        arguments.rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    if arguments.seconds is None:
        arguments.seconds = QUICK_SECONDS if arguments.quick else SECONDS
    checked(arguments)
    chosen = picked(arguments.workloads, list(workloads.NAMES), "workload")
    asked: list[Workload] = [workloads.NAMES[name] for name in chosen]
    return comparing.run(arguments, picked_servers(names), asked, words)


def run_guard(words: Sequence[str]) -> int:
    arguments = guard_parser().parse_args(words[1:])
    checked(arguments)
    chosen = picked(arguments.workloads, guard.WATCHED, "workload of the guard")
    return guard.run(arguments, [workloads.NAMES[name] for name in chosen], words)


def run_growth(words: Sequence[str]) -> int:
    arguments = growth_parser().parse_args(words[1:])
    checked(arguments)
    chosen: list[Axis] = [
        axes.NAMES[name] for name in picked(arguments.axes, list(axes.NAMES), "axis")]
    return growth.run(arguments, picked_servers(arguments.servers), chosen, words)


def run_publish(words: Sequence[str]) -> int:
    arguments = publish_parser().parse_args(words[1:])
    for path in page.publish(Path(arguments.folder), arguments.anyway):
        print(f"benches: written: {path}")
    return 0


def run_redraw(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("benches/run redraw", description=redrawing.__doc__)
    parser.add_argument("--no-build", action="store_true", help="make no venv for matplotlib")
    arguments = parser.parse_args(words[1:])
    return redrawing.run(places.PUBLISHED, build=not arguments.no_build)


COMMANDS = {"guard": run_guard, "growth": run_growth, "publish": run_publish,
            "redraw": run_redraw}


def main(words: Sequence[str]) -> int:
    command = COMMANDS.get(words[0], run) if words else run
    try:
        return command(words)
    except Refused as error:
        print(f"benches: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        # Whoever read has read enough. What Python itself has yet to write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except KeyboardInterrupt as error:
        print(f"\nbenches: {ended_by(error)}, before anything was measured", file=sys.stderr)
        return INTERRUPTED
