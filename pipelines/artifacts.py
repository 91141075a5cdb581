"""What people find on a run's page: a bar that moves, the quality table, pictures, and where the product is."""

import base64
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from configs.settings import Home
from pipelines.desk import waiting
from pipelines.observe import current_report, quality_table, reporting_to
from pipelines.reasons import reason
from processing.archive.held import held_products
from processing.archive.layout import QUALITY_REPORT, THUMBNAIL, revision_of
from processing.model.product import Product, ProductDraft

ADDRESS = "QYRAN_URL"
"""In the environment of what ``qyran up`` starts: where the catalogue answers."""
MAX_PICTURE_BYTES = 72_000
"""A picture travels inside the artifact as base64, which adds a third: this keeps it under 100 kB in the database."""
_EVERY_S = 2.0
"""Progress is told no more often: each time is a request to the server."""
_NOT_KEY = re.compile(r"[^a-z0-9-]+")


@contextmanager
def progress_shown(name: str) -> Iterator[None]:
    """A progress artifact of the present run that follows what is reported inside; none outside of a run."""
    from prefect.artifacts import create_progress_artifact, update_progress_artifact
    from prefect.context import FlowRunContext, TaskRunContext

    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        yield
        return
    outer = current_report()
    # Outside an event loop this returns the id itself, not a coroutine; its annotation allows both.
    artifact = UUID(str(create_progress_artifact(0.0, key=f"progress-{_key(name)}", description=f"{name}: begins")))
    told = time.monotonic()

    def report(done: int, total: int, label: str) -> None:
        nonlocal told
        if outer is not None:
            outer(done, total, label)
        if total > 0 and (time.monotonic() - told > _EVERY_S or done >= total):
            told = time.monotonic()
            with suppress(Exception):  # a bar that stands still is no reason for the work to stop
                update_progress_artifact(artifact, progress=100.0 * done / total, description=f"{name}: {label}")

    with reporting_to(report):
        yield
    with suppress(Exception):
        update_progress_artifact(artifact, progress=100.0, description=f"{name}: done")


def create_artifacts(product: Product, home: Path, item_href: str) -> None:
    """Attach to the current run: the quality table, a quicklook, and links to item and report."""
    from prefect.artifacts import create_link_artifact

    key = _key(product.id)
    files = Path(item_href).parent
    _table_and_picture(product, files, key)
    create_link_artifact(
        key=f"item-{key}",
        link=item_address(product, item_href),
        link_text=f"{product.collection}/{product.id}",
        description=f"Its page. Its STAC item as a file: HOME/{Path(item_href).relative_to(home)}",
    )
    create_link_artifact(
        key=f"report-{key}",
        link=report_address(product, files),
        link_text=f"Quality report of {product.id}",
        description="All figures, in JSON",
    )


def item_address(product: Product, item_href: str) -> str:
    """Where a browser finds an item: at the catalogue that runs, else its file."""
    served = os.environ.get(ADDRESS)
    if served:
        return f"{served.rstrip('/')}/item/{product.collection}/{product.id}"
    return Path(item_href).as_uri()


def report_address(product: Product, files: Path) -> str:
    """Where a browser finds a quality report."""
    served = os.environ.get(ADDRESS)
    if served:
        return f"{served.rstrip('/')}/download/{product.collection}/{product.id}/quality/{QUALITY_REPORT}"
    return (files / QUALITY_REPORT).as_uri()


def show_held(home: Home, draft: ProductDraft) -> None:
    """Attach to the current run what an operator decides by: why it waits, figures, picture, how to decide."""
    from prefect.artifacts import create_markdown_artifact
    from prefect.context import FlowRunContext, TaskRunContext

    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        return
    name, revision = f"{draft.collection}/{draft.id}", revision_of(draft)
    for held in held_products(home.path):
        if (f"{held.product.collection}/{held.product.id}", held.product.revision) == (name, revision):
            _table_and_picture(held.product, held.files, _key(draft.id))
    why = [
        f"- **{finding.text}** (`{finding.code}`). {known.do if (known := reason(finding.code)) else ''}"
        for each in waiting(home)
        if (each.item, each.revision) == (name, revision)
        for finding in each.findings
    ]
    words = [
        f"## {name} waits for your decision",
        "",
        *why,
        "",
        "Run the deployment **decide-held** with this item, or on the command line:",
        "",
        f"    qyran desk show {draft.id}",
        f"    qyran desk accept {draft.id} --reason WHY",
        f"    qyran desk reject {draft.id} --reason WHY",
    ]
    create_markdown_artifact(key=f"desk-{_key(draft.id)}", markdown="\n".join(words), description="Why it waits")


def _table_and_picture(product: Product, files: Path, key: str) -> None:
    from prefect.artifacts import create_image_artifact, create_markdown_artifact

    create_markdown_artifact(
        key=f"quality-{key}", markdown=quality_table(product), description=f"Quality of {product.id}"
    )
    picture = _quicklook(files / THUMBNAIL)
    if picture is not None:
        create_image_artifact(key=f"quicklook-{key}", image_url=picture, description=f"Quicklook of {product.id}")


def _quicklook(thumbnail: Path) -> str | None:
    """The thumbnail as a data URI, or None where it is too large to keep in Prefect's database."""
    if not thumbnail.is_file() or thumbnail.stat().st_size > MAX_PICTURE_BYTES:
        return None
    return f"data:image/webp;base64,{base64.b64encode(thumbnail.read_bytes()).decode('ascii')}"


def _key(name: str) -> str:
    """A name as artifacts take it: small letters, digits and dashes."""
    return _NOT_KEY.sub("-", name.lower()).strip("-")
