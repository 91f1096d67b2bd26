"""The counts that are kept, and how those of now compare with them."""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from machine import CannotCount

# The same source gives the same counts, so this is not for noise: it is what a change may cost
# without being asked for its reason.
TOLERANCE = 0.03


@dataclass
class Kept:
    made_with: Dict[str, str]
    counts: Dict[str, float]

    @classmethod
    def read(cls, path: Path) -> "Kept":
        try:
            kept = json.loads(path.read_text())
            return cls(kept["made_with"], kept["counts"])
        except FileNotFoundError:
            return cls({}, {})
        except (ValueError, KeyError, TypeError) as error:
            raise CannotCount(f"{path} is damaged ({error!r}): restore it from git, or delete it "
                              f"and keep new counts with --accept") from None

    def write(self, path: Path) -> None:
        kept = {"made_with": self.made_with, "counts": self.counts}
        path.write_text(json.dumps(kept, indent=2) + "\n")

    def expect_made_with(self, now: Dict[str, str]) -> None:
        """Refuses to compare what cannot be compared."""
        keys = [*self.made_with, *(key for key in now if key not in self.made_with)]
        differences = [f"  {key}: {self.made_with.get(key, 'not known')} then, "
                       f"{now.get(key, 'not known')} now"
                       for key in keys if self.made_with.get(key) != now.get(key)]
        if self.counts and differences:
            raise CannotCount("\n".join([
                "the counts that are kept are not comparable, for they were made with something "
                "else:", *differences,
                "To see what a change costs here, check out what was before it, keep its counts "
                "with --accept, and come back."]))


@dataclass
class Comparison:
    kept: Dict[str, float]
    now: Dict[str, float]
    # All that there are, counted now or not.
    entries: List[str]

    def change(self, entry: str) -> float:
        return self.now[entry] / self.kept[entry] - 1

    def changed(self) -> Dict[str, float]:
        """Entries in both, with their changes."""
        return {entry: self.change(entry) for entry in self.now if entry in self.kept}

    def worse(self) -> List[str]:
        return [entry for entry, change in self.changed().items() if change > TOLERANCE]

    def better(self) -> List[str]:
        return [entry for entry, change in self.changed().items() if change < -TOLERANCE]

    def new(self) -> List[str]:
        return [entry for entry in self.now if entry not in self.kept]

    def gone(self) -> List[str]:
        return [entry for entry in self.kept if entry not in self.entries]

    def is_fine(self) -> bool:
        return not (self.worse() or self.new() or self.gone())

    def accepted(self) -> Dict[str, float]:
        """What is to be kept from now on."""
        return {entry: self.now.get(entry, self.kept.get(entry)) for entry in self.entries
                if entry in self.now or entry in self.kept}

    def table(self) -> str:
        width = max(map(len, self.now))
        lines = [f"{'entry':{width}}  {'kept':>12}  {'now':>12}  {'change':>8}"]
        for entry, count in self.now.items():
            kept = f"{self.kept[entry]:12,.2f}" if entry in self.kept else f"{'-':>12}"
            change = f"{self.change(entry):+8.1%}" if entry in self.kept else f"{'new':>8}"
            lines.append(f"{entry:{width}}  {kept}  {count:12,.2f}  {change}")
        return "\n".join(lines)

    def verdict(self) -> str:
        lines = []
        for entry in self.worse():
            lines.append(f"WORSE: {entry} costs {self.change(entry):.1%} more than what is kept")
        for entry in self.better():
            lines.append(f"better: {entry} costs {-self.change(entry):.1%} less: keep it with "
                         f"--accept, or it can be lost again unnoticed")
        for entry in self.new():
            lines.append(f"NEW: {entry} has no count to compare with: keep one with --accept")
        for entry in self.gone():
            lines.append(f"GONE: {entry} has a count and no test any more: forget it with --accept")
        return "\n".join(lines) or f"no count has changed by more than {TOLERANCE:.0%}"
