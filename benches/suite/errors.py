"""What ends a command early, with what it tells its user."""

from __future__ import annotations

REGRESSED = 1  # also: a server failed
USAGE = 2
REFUSED = 3
DISTURBED = 4
INTERRUPTED = 130


class Refused(Exception):
    """A command cannot go on: what is the case, why that matters, what to do about it."""

    def __init__(self, what: str, why: str = "", to_do: str = "", code: int = REFUSED) -> None:
        super().__init__(what)
        self.what, self.why, self.to_do, self.code = what, why, to_do, code

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  do:  {self.to_do}"] if self.to_do else []
        return "\n".join(lines)


class Interrupted(KeyboardInterrupt):
    """Ended by a signal, treated as Ctrl-C is."""


def ended_by(error: KeyboardInterrupt) -> str:
    return f"ended by {error}" if isinstance(error, Interrupted) else "ended by Ctrl-C"
