"""Which order a file came from, by the fingerprint in its pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalogs.delivery.fingerprint_key import WATERMARK, fingerprint_secret
from catalogs.delivery.order import Order, OrderedItem
from catalogs.delivery.order_desk import open_desk
from catalogs.delivery.order_package import Ruling
from configs.settings import Home
from pipelines.deliver_items import ordered_images
from processing.archive.cut import encodings_of
from processing.archive.marked import Suspect, compared, read_suspects
from processing.model.errors import BadInput
from processing.products.fingerprint import Evidence, order_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """An order whose fingerprint a file carries, and by what that shows."""

    order: str
    customer: str
    item: str
    band: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Traced:
    """What comparing a file with orders has come to."""

    traces: tuple[Trace, ...]
    """The strongest evidence for each order that is found, the strongest first."""
    orders: int
    """How many orders with fingerprints the file was compared with: those that cover some of its pixels."""


def trace_file(home: Home, path: Path) -> Traced:
    """Compare a file with what every order with a fingerprint got.

    Raises
    ------
    BadInput
        ``trace.file`` if the file cannot be compared with anything.
    """
    suspects, secret = read_suspects(path), fingerprint_secret(home.path)
    traces, seen = list[Trace](), set[str]()
    for order, ordered, ruling in _fingerprinted(home):
        best: Trace | None = None
        for band, evidence in _compared(home, order, ordered, ruling, suspects, order_key(secret, order.id)):
            seen.add(order.id)
            if evidence.found and (best is None or evidence.log10_p < best.evidence.log10_p):
                best = Trace(order=order.id, customer=order.customer, item=ordered.name, band=band, evidence=evidence)
        traces += [] if best is None else [best]
    return Traced(tuple(sorted(traces, key=lambda found: found.evidence.log10_p)), len(seen))


def _fingerprinted(home: Home) -> Iterator[tuple[Order, OrderedItem, Ruling]]:
    with open_desk(home.path) as desk:
        orders = desk.orders.listed()
    for order in orders:
        rulings = {} if order.package is None else order.package.rulings
        for ordered in order.items:
            ruling = rulings.get(ordered.name)
            if ruling is not None and WATERMARK in ruling.obligations:
                yield order, ordered, ruling


def _compared(
    home: Home, order: Order, ordered: OrderedItem, ruling: Ruling, suspects: Sequence[Suspect], key: bytes
) -> Iterator[tuple[str, Evidence]]:
    """Every band of the file against every band that was delivered. What was taken out has no pixels in the file."""
    try:
        product, images = ordered_images(home, order, ordered, ruling, taken_out=None)
    except BadInput:
        return  # its revision is gone
    encodings = encodings_of(product)
    for image in images:
        for number, band in enumerate(image.bands):
            for suspect in suspects:
                found = compared(suspect, image, number, encodings[band.name], key)
                if found is not None:
                    yield band.name, found
