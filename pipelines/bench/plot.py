"""A picture of a benchmark: speed against error, both on logarithmic axes, as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 56, 62
_LINE = 15.0
"""Least distance of labels, px."""
OURS, THEIRS = "#c2410c", "#1e3a5f"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2937}.title{font-size:16px;font-weight:600}"
    ".small{font-size:11px;fill:#6b7280}.grid{stroke:#e5e7eb}.axis{stroke:#6b7280}"
    ".range{stroke-width:2;opacity:.55}.lead{stroke:#9ca3af;stroke-width:.8}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One tool."""

    label: str
    error_px: float
    speed: float
    slowest: float
    fastest: float
    ours: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis from whole decade to whole decade, between two places in the picture."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> "Axis":
        """Decades that hold all of some positive values."""
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1), start, end)

    def at(self, value: float) -> float:
        """Where a value stands."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def decades(self) -> list[float]:
        """The values at whole decades."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def speed_and_error(dots: Sequence[Dot], *, title: str, bound_px: float) -> str:
    """The picture.

    Parameters
    ----------
    dots
        Tools with positive errors and speeds.
    title
        Above the picture.
    bound_px
        Error that Qyran states it stays within, drawn as a line.
    """
    across = Axis.around([bound_px, *(dot.error_px for dot in dots)], _LEFT, _WIDTH - _RIGHT)
    up = Axis.around([end for dot in dots for end in (dot.slowest, dot.fastest)], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text class="title" x="{_LEFT}" y="26">{escape(title)}</text>',
        f'<text class="small" x="{_LEFT}" y="44">up and to the left is better</text>',
        *_grid(across, up),
        *_bound(across.at(bound_px), bound_px),
        *_dots(dots, across, up),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(across: Axis, up: Axis) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in across.decades:
        x = across.at(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{value:g}</text>')
    for value in (step * decade for decade in up.decades for step in (1, 2, 5)):
        y = up.at(value)
        if _TOP - 1 <= y <= bottom + 1:
            parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    middle = (_TOP + bottom) / 2
    return [
        *parts,
        f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class="axis" x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{bottom}"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 16}" text-anchor="middle">largest error of position, px</text>',
        (
            f'<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle">'
            "million output pixels x bands a second</text>"
        ),
    ]


def _bound(x: float, bound_px: float) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    return [
        f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{OURS}" stroke-dasharray="5 4"/>',
        f'<text class="small" x="{x + 5:.1f}" y="{bottom - 8}">bound {bound_px:g} px</text>',
    ]


def _dots(dots: Sequence[Dot], across: Axis, up: Axis) -> list[str]:
    """Dots with the range of their runs, and labels that keep clear of each other."""
    parts = []
    placed: list[tuple[float, float, float]] = []
    for dot in sorted(dots, key=lambda dot: up.at(dot.speed)):
        x, y = across.at(dot.error_px), up.at(dot.speed)
        width = 7.2 * len(dot.label) + 16
        leftward = x + width > _WIDTH - _RIGHT
        start = x - width if leftward else x
        height = y
        while any(
            abs(height - other) < _LINE and start < end and start + width > begin for begin, end, other in placed
        ):
            height += 1.0
        placed.append((start, start + width, height))
        colour = OURS if dot.ours else THEIRS
        anchor, shift = ("end", -11) if leftward else ("start", 11)
        parts += [
            (
                f'<line class="range" x1="{x:.1f}" y1="{up.at(dot.slowest):.1f}" x2="{x:.1f}" '
                f'y2="{up.at(dot.fastest):.1f}" stroke="{colour}"/>'
            ),
            f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{x + shift:.1f}" y2="{height:.1f}"/>',
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="{colour}"/>',
            (
                f'<text x="{x + shift:.1f}" y="{height + 4:.1f}" text-anchor="{anchor}" '
                f'style="fill:{colour}">{escape(dot.label)}</text>'
            ),
        ]
    return parts
