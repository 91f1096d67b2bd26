"""Says how far a run is, and how much time it will take."""

from __future__ import annotations

import sys
import time


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class Progress:
    """Steps with an expected duration each; the time left is theirs, scaled by how long those that
    are done took."""

    def __init__(self, expected: float) -> None:
        self.expected, self.done = expected, 0.0
        self.start = time.monotonic()
        self.live = sys.stderr.isatty()
        self.shown = 0

    def left(self) -> float:
        rest = max(0.0, self.expected - self.done)
        if self.done < 1:
            return rest
        return rest * (time.monotonic() - self.start) / self.done

    def show(self, what: str) -> None:
        """What is going on now; replaced by the next, and left out where no terminal is."""
        if not self.live:
            return
        share = min(1.0, self.done / self.expected) if self.expected else 1.0
        line = f"{share:4.0%}  {what}, {duration(self.left())} left"[:100]
        sys.stderr.write("\r" + line.ljust(self.shown))
        sys.stderr.flush()
        self.shown = len(line)

    def step(self, expected: float) -> None:
        self.done += expected

    def drop(self, expected: float) -> None:
        """Steps that will not be made."""
        self.expected -= expected

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.live and self.shown:
            sys.stderr.write("\r" + " " * self.shown + "\r")
            sys.stderr.flush()
            self.shown = 0
        print(line, flush=True)

    def done_with(self, line: str) -> None:
        """A line that stays, with the time left where nothing else shows it."""
        self.say(line if self.live else f"{line}   ({duration(self.left())} left)")
