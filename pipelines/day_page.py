"""The day as a page: one HTML file that needs nothing else, and the same as Markdown for Prefect's artifacts."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from html import escape
from pathlib import Path

from configs.settings import Home
from pipelines.day_facts import TROUBLE, DayFacts, PackageFacts, Spread
from pipelines.passes_book import PassRecord
from processing.archive import durable

_MARKS = {
    "published": "●", "accepted": "●", "held": "◐", "rejected": "○", "quarantined": "✕", "failed": "✕",
    "complete": "●", "waiting": "◐", "planned": "○", "gap": "✕", "cancelled": "–",
}  # fmt: skip
"""Beside every colour a form: what is told by colour alone is not told to all."""
_STYLE = """
:root { color-scheme: light dark; --ink: #16202c; --soft: #5b6876; --paper: #fff; --line: #dbe1e8; --good: #0b7a4b;
  --wait: #8a5a00; --bad: #b3261e; --calm: #35618e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf1; --soft: #9fadbb; --paper: #11171e; --line: #2c3743;
  --good: #4cc38a; --wait: #f0b429; --bad: #ff8a80; --calm: #8ab4e8; } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 76rem; padding: 1.5rem }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
p.note { color: var(--soft); margin: .2rem 0 1.2rem }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; padding: 0; margin: 0; list-style: none }
.tiles li { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; min-width: 8rem }
.tiles b { display: block; font-size: 1.6rem; font-variant-numeric: tabular-nums; line-height: 1.2 }
.tiles span { color: var(--soft) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--soft); font-weight: 600; white-space: nowrap }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right } td.n + td, th.n + th { padding-left: .7rem } td.t { white-space: nowrap }
.published, .accepted, .complete { color: var(--good) } .held, .waiting { color: var(--wait) }
.rejected, .quarantined, .failed, .gap { color: var(--bad) } .planned, .cancelled { color: var(--calm) }
svg { width: 100%; min-width: 44rem; height: auto; display: block } svg text { fill: var(--soft); font-size: 11px }
svg line { stroke: var(--line) } svg rect, svg circle { fill: currentColor }
"""


def write_day_page(home: Home, facts: DayFacts) -> Path:
    """Write ``HOME/logs/day/<date>.html``. Returns its path."""
    path = home.logs / "day" / f"{facts.date.isoformat()}.html"
    durable.write_file(path, day_page(facts).encode())
    return path


def day_page(facts: DayFacts) -> str:
    """The page. Whatever came from outside is escaped; nothing is fetched from anywhere."""
    over = facts.taken.date() > facts.date
    state = "" if over else f", as of {facts.taken:%H:%M}"
    parts = [
        f"<h1>{facts.date:%A, %d %B %Y}</h1>",
        f'<p class="note">Qyran, the day in UTC{state}. Put together {facts.taken:%Y-%m-%d %H:%M} UTC.</p>',
        _tiles(facts),
        "<h2>The day</h2>",
        _timeline(facts),
        "<h2>Failures and stops by reason</h2>",
        _table(
            ("reason", "packages", "what it means", "what to do"),
            [
                (f"<code>{escape(code)}</code>", str(count), escape(means), escape(do))
                for code, count, means, do in facts.reasons
            ],
            "Nothing was held, rejected, quarantined or failed.",
            numbers=(1,),
        ),
        "<h2>Passes</h2>",
        _passes(facts.passes),
        "<h2>Packages</h2>",
        _packages(facts.packages),
        "<h2>How long it took</h2>",
        _times(facts),
        "<h2>Alarms</h2>",
        _table(
            ("time", "kind", ""),
            [(f"{when:%H:%M:%S}", f"<code>{escape(kind)}</code>", escape(said)) for when, kind, said in facts.alarms],
            "None.",
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Qyran, {facts.date.isoformat()}</title><style>{_STYLE}</style></head><body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _tiles(facts: DayFacts) -> str:
    trouble = sum(facts.outcomes.get(outcome, 0) for outcome in TROUBLE)
    gaps = sum(record.state == "gap" for record in facts.passes)
    free = 100.0 * facts.disk_free / facts.disk_total
    tiles = [
        (str(len(facts.packages)), "packages done", ""),
        (str(facts.outcomes.get("published", 0)), "published", "published"),
        (str(trouble), "held, rejected, failed", "failed" if trouble else ""),
        (str(len(facts.passes)), "passes", ""),
        (str(gaps), "passes with a gap", "gap" if gaps else ""),
        (str(facts.delivered), "orders delivered", ""),
        (f"{free:.0f} %", f"disk free ({facts.disk_free / 1e9:.0f} GB)", ""),
    ]
    if facts.landing_to_outcome is not None:
        tiles.append((_span(facts.landing_to_outcome.median_s), "from landing to outcome, median", ""))
    cells = (f'<li><b class="{look}">{figure}</b><span>{text}</span></li>' for figure, text, look in tiles)
    return f'<ul class="tiles">{"".join(cells)}</ul>'


def _timeline(facts: DayFacts) -> str:
    """Twenty-four hours: a row for each satellite's passes, and one for packages."""
    rows = sorted({(each.satellite, each.station) for each in facts.passes})
    left, width, height = 170, 1000, 26
    bottom = (len(rows) + 1) * height + 20
    midnight = datetime.combine(facts.date, time(), tzinfo=UTC)

    def across(when: datetime) -> float:
        share = (when - midnight) / timedelta(days=1)
        return left + (width - left) * min(1.0, max(0.0, share))

    drawn = [
        f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{bottom - 20}"/>'
        f'<text x="{x:.1f}" y="{bottom - 4}" text-anchor="middle">{hour:02d}</text>'
        for hour in range(0, 24, 3)
        for x in [across(midnight + timedelta(hours=hour))]
    ]
    for number, (satellite, station) in enumerate(rows):
        y = number * height
        drawn.append(f'<text x="0" y="{y + 17}">{escape(satellite)}, {escape(station)}</text>')
        for each in facts.passes:
            if (each.satellite, each.station) == (satellite, station):
                begin, end = across(each.aos), across(each.los)
                tall = 4 + 16 * each.max_elevation_deg / 90
                told = f"{each.aos:%H:%M}-{each.los:%H:%M}, {each.max_elevation_deg:.0f} deg, {each.state}"
                drawn.append(
                    f'<rect class="{each.state}" x="{begin:.1f}" y="{y + 22 - tall:.1f}" '
                    f'width="{max(3.0, end - begin):.1f}" height="{tall:.1f}"><title>{escape(told)}</title></rect>'
                )
    y = len(rows) * height
    drawn.append(f'<text x="0" y="{y + 17}">packages</text>')
    drawn += [
        f'<circle class="{each.outcome}" cx="{across(each.done):.1f}" cy="{y + 13}" r="4">'
        f"<title>{each.done:%H:%M} {escape(each.name)}: {each.outcome}</title></circle>"
        for each in facts.packages
    ]
    label = f"{len(facts.passes)} passes and {len(facts.packages)} packages over the day"
    picture = f'<svg viewBox="0 0 {width + 10} {bottom}" role="img" aria-label="{label}">{"".join(drawn)}</svg>'
    return f'<div class="scroll">{picture}</div>'


def _passes(passes: Sequence[PassRecord]) -> str:
    rows = [
        (
            f"{each.aos:%H:%M:%S}",
            f"{each.los:%H:%M:%S}",
            escape(each.satellite),
            str(each.orbit),
            escape(each.station),
            f"{each.max_elevation_deg:.0f}°",
            _state(each.state),
            f"{len(each.deliveries)}" + ("" if each.expected is None else f" of {each.expected}"),
            str(sum(delivered.late for delivered in each.deliveries) or ""),
            str(each.provisional or ""),
            escape(", ".join(each.targets)),
        )
        for each in passes
    ]
    titles = ("AOS", "LOS", "satellite", "orbit", "station", "max el", "state", "came", "late", "NRT", "targets")
    return _table(titles, rows, "No pass is written down for this day.", numbers=(3, 5, 7, 8, 9))


def _packages(packages: Sequence[PackageFacts]) -> str:
    rows = [
        (
            f"{each.done:%H:%M:%S}",
            escape(each.name),
            _state(each.outcome),
            escape(", ".join(each.reasons)),
            escape(each.mission or ""),
            escape((each.acquired or "")[:19].replace("T", " ")),
            "" if each.seconds is None else _span(each.seconds),
            "" if each.waited_s is None else _span(each.waited_s),
            "<br>".join(escape(item) for item in each.items),
        )
        for each in packages
    ]
    titles = ("done", "package", "outcome", "reasons", "mission", "acquired", "run", "since landing", "items")
    return _table(titles, rows, "No package was done on this day.", numbers=(6, 7))


def _times(facts: DayFacts) -> str:
    spreads: list[tuple[str, Spread]] = list(facts.stages.items())
    if facts.landing_to_outcome is not None:
        spreads.append(("landing to outcome", facts.landing_to_outcome))
    rows = [
        (escape(name), str(each.count), _span(each.median_s), _span(each.p95_s), _span(each.longest_s))
        for name, each in spreads
    ]
    return _table(("stage", "packages", "median", "95 %", "longest"), rows, "Nothing to measure.", numbers=(1, 2, 3, 4))


def _state(state: str) -> str:
    return f'<span class="{state}">{_MARKS.get(state, "")} {state}</span>'


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], empty: str, numbers: Sequence[int] = ()) -> str:
    """Cells are HTML already."""
    lines = [
        "<tr>" + "".join(f'<td class="{"n" if at in numbers else "t" if at == 0 else ""}">{cell}</td>'
                         for at, cell in enumerate(row)) + "</tr>"
        for row in rows
    ]  # fmt: skip
    if not lines:
        return f'<p class="note">{escape(empty)}</p>'
    head = "".join(f'<th scope="col" class="{"n" if at in numbers else ""}">{t}</th>' for at, t in enumerate(titles))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _span(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = seconds / 60.0
    return f"{minutes:.0f} min" if minutes < 99.5 else f"{minutes / 60.0:.1f} h"


def day_markdown(facts: DayFacts) -> str:
    """The day in short, for an artifact."""
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(facts.outcomes.items())) or "none"
    states = [f"{record.state}" for record in facts.passes]
    passes = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none"
    lines = [
        f"## {facts.date.isoformat()} (UTC)",
        "| | |",
        "|---|---|",
        f"| packages | {outcomes} |",
        f"| passes | {passes} |",
        f"| orders delivered | {facts.delivered} |",
        f"| disk free | {facts.disk_free / 1e9:.0f} GB of {facts.disk_total / 1e9:.0f} GB |",
        f"| alarms | {len(facts.alarms)} |",
    ]
    if facts.landing_to_outcome is not None:
        spread = facts.landing_to_outcome
        lines.append(f"| landing to outcome | median {_span(spread.median_s)}, 95 % within {_span(spread.p95_s)} |")
    if facts.reasons:
        lines += ["", "| reason | packages | what to do |", "|---|---:|---|"]
        lines += [f"| {_plain(code)} | {count} | {_plain(do)} |" for code, count, _, do in facts.reasons]
    return "\n".join(lines)


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
