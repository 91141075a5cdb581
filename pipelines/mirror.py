"""``qyran mirror``: every revision of every product at the second place too: something to repair from."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from configs.registry import load_registry
from configs.settings import Home
from pipelines.archive_place import archive_place
from pipelines.catalogue import catalogue_product
from pipelines.verify import Report
from processing.archive.objects import Place
from processing.archive.remote import publish_remote
from processing.archive.scrub_documents import read_documents
from processing.archive.scrub_walk import count_units, units
from processing.model.errors import BadInput, Conflict, Defect, QyranError

FAILED = "failed"


class Mirrored(BaseModel):
    """What became of one revision of one product."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    """``collection/id``."""
    revision: str
    outcome: str
    """As :class:`processing.archive.remote.RemoteProduct` has it, or ``failed``."""
    sent: int = 0
    """Objects."""
    message: str = ""


def mirror(home: Home, to: str | Path | None = None, *, report: Report | None = None) -> Iterator[Mirrored]:
    """See to it that the second place has what the archive has.

    Parameters
    ----------
    home
        The installation.
    to
        Folder or ``s3://bucket/prefix``; None: the place that is configured.
    report
        Called with (done, total, what).

    Yields
    ------
    mirrored
        One for each revision of each product. A damaged product is not sent, and stops no other.

    Raises
    ------
    BadInput
        ``place.unset`` if no place is configured; ``place.*``, ``s3.*`` if it does not open.
    Retryable
        ``s3.unavailable`` if it does not answer.
    """
    place = Place.of(to, credentials=home.object_keys) if to is not None else archive_place(home)
    if place is None:
        raise BadInput(
            "no second place is configured",
            kind="place.unset",
            where=str(home.configs / "archive.yaml"),
            remedy="Write 'url: /path/of/a/folder' or 'url: s3://bucket/prefix' there, or name one with --to.",
        )
    registry = load_registry(home.configs)
    total = count_units(home.path)
    for done, unit in enumerate(units(home.path), start=1):
        product = read_documents(unit).product
        revision = product.revision if product is not None else "unknown"
        try:
            if product is None:
                raise _unreadable(unit.item)
            sent = publish_remote(home.path, product, place, latest=unit.latest)
            if to is None and unit.latest and sent.outcome != "present":
                # Its item now names the copies.
                catalogue_product(product, home, registry)
            yield Mirrored(item=unit.item, revision=revision, outcome=sent.outcome, sent=sent.sent)
        except (Defect, Conflict) as error:
            yield Mirrored(item=unit.item, revision=revision, outcome=FAILED, message=str(error))
        if report is not None:
            report(done, max(done, total), unit.item)


def _unreadable(item: str) -> QyranError:
    return Defect(
        f"the record of {item} cannot be read", kind="product.record_missing", remedy="Run: qyran verify --repair"
    )
