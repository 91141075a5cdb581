"""What is told of a run while it goes on and when it ends: progress, the name of its end, events, tables."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from configs.settings import Home
from pipelines.journal import record_event
from pipelines.outcomes import PackageOutcome
from pipelines.reasons import reason
from processing.model.product import Product

type Report = Callable[[int, int, str], None]

_TOLD_APART = ("flags_percent", "warnings", "composition")
"""Of a quality record: what has a table or lines of its own."""

_report: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def reporting_to(report: Report | None) -> Iterator[None]:
    """Send the progress of flows that run in this process to ``report``."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def current_report() -> Report | None:
    """Whoever watches now."""
    return _report.get()


def report_progress(done: int, total: int, label: str) -> None:
    """Tell how far work is, if someone watches."""
    report = _report.get()
    if report is not None:
        report(done, total, label)


def state_name(outcome: PackageOutcome) -> str:
    """What Prefect's pages call the state of a run with this outcome: results have names of their own."""
    named = (known.state for code in outcome.reasons if (known := reason(code)) is not None and known.state)
    return next(named, outcome.outcome.capitalize())


def tell_of_package(home: Home, outcome: PackageOutcome) -> None:
    """Record the event that says what became of a package."""
    scene = outcome.items[0].id if outcome.items else Path(outcome.package).name
    facts: dict[str, object] = {"package": Path(outcome.package).name, "message": outcome.message}
    facts["reasons"] = list(outcome.reasons)
    items = [f"{item.collection}/{item.id}" for item in outcome.items]
    facts |= {"mission": outcome.mission, "acquired": outcome.acquired and outcome.acquired.isoformat()}
    facts |= {"items": items, "seconds": outcome.seconds, "stages": outcome.stages, "timeliness": outcome.timeliness}
    record_event(home, f"scene.{outcome.outcome}", scene, **facts)


def quality_table(product: Product) -> str:
    """Markdown: bands with their statistics, flags by group, and the rest of the quality record."""
    rows = [
        f"| {band.name} | {band.group} | {band.valid_percent:.2f} | {_figure(band.minimum)} | {_figure(band.mean)} "
        f"| {_figure(band.maximum)} |"
        for band in product.bands
    ]
    flags: dict[str, dict[str, float]] = product.quality.get("flags_percent", {})
    found = sorted({flag for group in flags.values() for flag, percent in group.items() if percent})
    bands = registration_line(product)
    rest = {name: value for name, value in product.quality.items() if name not in _TOLD_APART}
    return "\n".join(
        [
            f"## {product.id}",
            *(f"- {_cell(warning)}" for warning in product.quality.get("warnings", ())),
            "",
            "| band | group | valid % | min | mean | max |",
            "|---|---|---:|---:|---:|---:|",
            *rows,
            "",
            f"| flag, % of the footprint | {' | '.join(flags)} |",
            f"|---|{'---:|' * len(flags)}",
            *(f"| {flag} | {' | '.join(f'{group.get(flag, 0):.2f}' for group in flags.values())} |" for flag in found),
            "",
            "| quality | |",
            "|---|---|",
            *(f"| {name} | {value:.4g} |" for name, value in sorted(product.accuracy.items())),
            *([f"| bands lie | {_cell(bands)} |"] if bands else []),
            *(f"| {name} | {value} |" for name, value in sorted(_flat(rest)) if not name.endswith(".pairs")),
        ]
    )


def registration_line(product: Product) -> str | None:
    """How the bands of a product lie on each other, in one line; None where it has none to compare."""
    pairs = product.quality.get("registration", {}).get("pairs")
    if not pairs:
        return None
    found = [
        f"{pair['band']} {pair['offset_px']:.2f}" if "offset_px" in pair else f"{pair['band']} not measurable"
        for pair in pairs
    ]
    return f"px from {pairs[0]['reference']}: {', '.join(found)}"


def _flat(record: dict[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield f"{prefix}{name}", f"{value:.4g}"
        else:
            yield f"{prefix}{name}", _cell(str(value))


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
