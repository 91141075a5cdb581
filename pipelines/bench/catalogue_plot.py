"""A picture of ``qyran bench catalogue``: how long questions take in each store as the catalogue grows, as SVG."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from pipelines.bench.catalogue_results import EMBEDDED, LABELS, P95_GOAL_S, CatalogueBench, percentile
from pipelines.bench.plot import OURS, STYLE, THEIRS, Axis

_WIDTH, _HEIGHT = 860, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 20, 74, 64
_GAP = 14
"""Between the panels, px."""
_APART = 11
"""Between the stores of one number of items, px."""


def time_of_questions(result: CatalogueBench) -> str:
    """The picture: a panel for each kind of question, a dot at p50, a line to p95, ms at the server."""
    kinds = list(result.stages[0].searched[EMBEDDED].server_s)
    every = [
        1e3 * percentile(seconds, share)
        for stage in result.stages for found in stage.searched.values() for seconds in found.server_s.values()
        for share in (50, 95)
    ]  # fmt: skip
    up = Axis.around([*every, 1e3 * P95_GOAL_S], _HEIGHT - _BOTTOM, _TOP)
    title = "Time of a question at the server, p50 to p95"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text class="title" x="{_LEFT}" y="26">{escape(title)}</text>',
        *_legend(result),
        *_grid(up),
    ]
    width = (_WIDTH - _LEFT - _RIGHT - _GAP * (len(kinds) - 1)) / len(kinds)
    for number, kind in enumerate(kinds):
        parts += _panel(result, kind, up, (_LEFT + number * (width + _GAP), width))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(result: CatalogueBench) -> Iterator[str]:
    x = float(_LEFT)
    for name in dict.fromkeys(name for stage in result.stages for name in stage.searched):
        colour = OURS if name == EMBEDDED else THEIRS
        yield f'<circle cx="{x + 5:.1f}" cy="43" r="4.5" fill="{colour}"/>'
        yield f'<text class="small" x="{x + 15:.1f}" y="47">{escape(LABELS[name])}</text>'
        x += 40 + 6.2 * len(LABELS[name])
    yield f'<text class="small" x="{x:.1f}" y="47">dashed: {1e3 * P95_GOAL_S:g} ms, asked of p95</text>'


def _grid(up: Axis) -> Iterator[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value in (step * decade for decade in up.decades for step in (1, 2, 5)):
        y = up.at(value)
        if _TOP - 1 <= y <= bottom + 1:
            yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    y, middle = up.at(1e3 * P95_GOAL_S), (_TOP + bottom) / 2
    yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{OURS}" stroke-dasharray="5 4"/>'
    yield f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">ms</text>'
    yield f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">items in the catalogue</text>'


def _panel(result: CatalogueBench, kind: str, up: Axis, place: tuple[float, float]) -> Iterator[str]:
    left, width = place
    bottom, step = _HEIGHT - _BOTTOM, width / len(result.stages)
    yield f'<line class="axis" x1="{left:.1f}" y1="{bottom}" x2="{left + width:.1f}" y2="{bottom}"/>'
    yield f'<text class="small" x="{left + width / 2:.1f}" y="{_TOP - 8}" text-anchor="middle">{escape(kind)}</text>'
    for number, stage in enumerate(result.stages):
        middle = left + (number + 0.5) * step
        yield f'<text x="{middle:.1f}" y="{bottom + 20}" text-anchor="middle">{_short(stage.items)}</text>'
        for which, (name, found) in enumerate(stage.searched.items()):
            x = middle + (which - (len(stage.searched) - 1) / 2) * _APART
            colour = OURS if name == EMBEDDED else THEIRS
            half, most = (up.at(1e3 * percentile(found.server_s[kind], share)) for share in (50, 95))
            yield f'<line class="range" x1="{x:.1f}" y1="{half:.1f}" x2="{x:.1f}" y2="{most:.1f}" stroke="{colour}"/>'
            yield f'<circle cx="{x:.1f}" cy="{half:.1f}" r="4.5" fill="{colour}"/>'


def _short(items: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if items >= size:
            return f"{items / size:.3g}{letter}"
    return str(items)
