"""Writes SVG by hand: a small file, whose text is text, and which brings its own background.

Colours are classes, so that a page on a dark background shows the dark ones, where the reader's
system asks for them; the background is drawn too, so that any page may lie behind.
"""

from __future__ import annotations

from html import escape

# Contrast with the background is at least 4.5 for text, in both. `o` is ours, `b` are all others.
LIGHT = {"bg": "#ffffff", "t": "#1f2328", "m": "#59636e", "g": "#d1d9e0", "o": "#e3742a",
         "b": "#8fb2d6"}
DARK = {"bg": "#0d1117", "t": "#f0f6fc", "m": "#9198a1", "g": "#30363d", "o": "#e3742a",
        "b": "#41638a"}
STROKES = (("g", 1, ""), ("w", 1, "t"), ("r", 1, "t"))


def colours(of: dict[str, str]) -> str:
    fills = [f".{name}{{fill:{of[name]}}}" for name in ("bg", "t", "m", "o", "b")]
    strokes = [f".{name}{{stroke:{of[other or name]};stroke-width:{width};fill:none}}"
               for name, width, other in STROKES]
    return "".join([*fills, *strokes, f".n{{stroke:{of['bg']};stroke-width:3}}"])


def short(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


class Drawing:
    def __init__(self, width: float, height: float, title: str, size: int) -> None:
        self.width, self.height = short(width), short(height)
        self.title, self.size = title, size
        self.parts: list[str] = []

    def text(self, x: float, y: float, words: str, kind: str = "t", more: str = "") -> None:
        """`more`: `e` ends at x, `c` has its middle there, `h` is bold, `s` is small, and `n`
        has a rim of background, where lines may run behind."""
        names = " ".join([kind, *more])
        self.parts.append(f'<text class="{names}" x="{short(x)}" y="{short(y)}">'
                          f"{escape(words, quote=False)}</text>")

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        self.parts.append(f'<rect class="{kind}" x="{short(x)}" y="{short(y)}" '
                          f'width="{short(width)}" height="{short(height)}"/>')

    def path(self, steps: str, kind: str) -> None:
        self.parts.append(f'<path class="{kind}" d="{steps}"/>')

    def spread(self, low: float, high: float, y: float, half: float, cut: bool) -> None:
        """A line from low to high with a stroke at its ends, but for one that is cut off."""
        closed = (low,) if cut else (low, high)
        ends = "".join(f"M{short(x)} {short(y - half)}v{short(2 * half)}" for x in closed)
        self.path(f"M{short(low)} {short(y)}H{short(high)}{ends}", "w")

    def finished(self) -> str:
        style = (f"text{{font:{self.size}px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,"
                 "sans-serif}"
                 f"{colours(LIGHT)}.r{{stroke-dasharray:3 2}}"
                 ".e{text-anchor:end}.c{text-anchor:middle}.n{paint-order:stroke}"
                 f"text.h{{font-weight:600}}text.s{{font-size:{self.size - 1}px}}"
                 f"@media(prefers-color-scheme:dark){{{colours(DARK)}}}")
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img">')
        return "\n".join([
            head, f"<title>{escape(self.title, quote=False)}</title>", f"<style>{style}</style>",
            f'<rect class="bg" width="{self.width}" height="{self.height}"/>',
            *self.parts, "</svg>\n"])
