"""What people see of a run: a progress bar where they watch, artifacts where they look later."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from processing.model.product import Product

type Report = Callable[[int, int, str], None]

MAX_PICTURE_BYTES = 72_000
"""A picture travels inside the artifact as base64, which adds a third: this keeps it under 100 kB in the database."""

_report: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def reporting_to(report: Report | None) -> Iterator[None]:
    """Send the progress of flows that run in this process to ``report``."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def report_progress(done: int, total: int, label: str) -> None:
    """Tell how far work is, if someone watches."""
    report = _report.get()
    if report is not None:
        report(done, total, label)


def create_artifacts(product: Product, home: Path, item_href: str) -> None:
    """Attach to the current run: the quality table, a quicklook, and where the product lies."""
    from prefect.artifacts import create_image_artifact, create_link_artifact, create_markdown_artifact

    key = product.id.lower().replace("_", "-")
    create_markdown_artifact(
        key=f"quality-{key}", markdown=quality_table(product), description=f"Quality of {product.id}"
    )
    picture = _quicklook(product, home)
    if picture is not None:
        create_image_artifact(key=f"quicklook-{key}", image_url=picture, description=f"Quicklook of {product.id}")
    create_link_artifact(
        key=f"item-{key}", link=Path(item_href).as_uri(), link_text=f"{product.collection}/{product.id}"
    )


def quality_table(product: Product) -> str:
    """Markdown: bands with their statistics, and the quality record."""
    rows = [
        f"| {band.title} | {band.group} | {band.valid_percent:.2f} | {_figure(band.minimum)} | {_figure(band.mean)} "
        f"| {_figure(band.maximum)} |"
        for band in product.bands
    ]
    facts = [f"| {name} | {value} |" for name, value in sorted(_flat(product.quality))]
    return "\n".join(
        [
            f"## {product.id}",
            "| band | group | valid % | min | mean | max |",
            "|---|---|---:|---:|---:|---:|",
            *rows,
            "",
            "| quality | |",
            "|---|---|",
            *facts,
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
            yield f"{prefix}{name}", str(value).replace("|", "/").replace("\n", " ")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _quicklook(product: Product, home: Path) -> str | None:
    """The thumbnail as a data URI, or None where it is too large to keep in Prefect's database."""
    thumbnail = next((file for file in product.files if "thumbnail" in file.roles), None)
    if thumbnail is None or thumbnail.size > MAX_PICTURE_BYTES:
        return None
    encoded = base64.b64encode((home / thumbnail.href).read_bytes()).decode("ascii")
    return f"data:{thumbnail.media_type};base64,{encoded}"
