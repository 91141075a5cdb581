"""After a crash: archive, catalogue and work folders brought back to a state in which nothing is half done."""

import logging
from collections.abc import Iterator
from pathlib import Path

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product, is_catalogued
from pipelines.packages import clear_workspaces
from processing.archive.disk_faults import disk_faults
from processing.archive.layout import ITEM, MANIFEST, PRODUCT_RECORD
from processing.archive.leftover import Leftover
from processing.archive.recover import interrupted, products_of, recover_archive
from processing.archive.write import published
from processing.model.errors import QyranError
from processing.model.product import Product

log = logging.getLogger(__name__)


def recover_home(home: Home, registry: Registry, *, thorough: bool = False) -> tuple[Leftover, ...]:
    """Finish or clear away what runs left that were killed, and say which. What is being worked on is left alone.

    Parameters
    ----------
    home, registry
        The installation.
    thorough
        Also compare every published product with its row, and look for stores that no record names. Without, only
        what interrupted runs point at is looked at, which takes no time however large the archive is.

    Returns
    -------
    leftovers
        One for each thing found.

    Raises
    ------
    Retryable
        ``disk.*``, ``catalogue.busy``.
    """
    with disk_faults(home.path):
        return tuple(_recovered(home, registry, thorough=thorough))


def _recovered(home: Home, registry: Registry, *, thorough: bool) -> list[Leftover]:
    names = interrupted(home.path)
    found = [*clear_workspaces(home), *recover_archive(home.path)]
    pending = {(product.collection, product.id): product for name in names for product in products_of(home.path, name)}
    pending |= {(product.collection, product.id): product for product in _never_described(home)}
    if thorough:
        pending |= {(product.collection, product.id): product for product in all_products(home)}
    for product in pending.values():
        if not is_catalogued(home, product):
            catalogue_product(product, home, registry)
            name = f"{product.collection}/{product.id}"
            found.append(Leftover(what=f"{name} was not in the catalogue", where=f"products/{name}", done="finished"))
    return [*found, *(_nameless_stores(home) if thorough else ())]


def recover_at_start(home: Home) -> tuple[Leftover, ...]:
    """What every start of Qyran does first: recover, and tell the log what was found. It keeps no work from starting.

    Returns
    -------
    leftovers
        As :func:`recover_home`; none where recovery itself failed, which the log tells of.
    """
    try:
        found = recover_home(home, load_registry(home.configs))
    except (QyranError, OSError) as error:
        log.warning("leftovers of an interrupted run could not be settled: %s", error)
        return ()
    for leftover in found:
        log.warning("left by an interrupted run, now %s", leftover)
    return found


def left_behind(home: Home) -> tuple[str, ...]:
    """What a restart would finish or clear away, by name. Changes nothing."""
    products = (f"{product.collection}/{product.id}" for product in _never_described(home))
    return (*interrupted(home.path), *products)


def _never_described(home: Home) -> Iterator[Product]:
    """Products whose item was never written: published, and then something stopped."""
    for record in home.products.glob(f"*/*/{PRODUCT_RECORD}"):
        if not record.with_name(ITEM).exists():
            yield from _product_at(home, record)


def all_products(home: Home) -> Iterator[Product]:
    """Every published product in its latest revision, by collection and id."""
    for record in sorted(home.products.glob(f"*/*/{PRODUCT_RECORD}")):
        yield from _product_at(home, record)


def _product_at(home: Home, record: Path) -> Iterator[Product]:
    product = published(home.path, record.parent.parent.name, record.parent.name)
    if product is not None:
        yield product


def _nameless_stores(home: Home) -> Iterator[Leftover]:
    """Whole stores without files: their run was stopped between two names, and its staging is gone."""
    for manifest in sorted(home.archive.glob(f"*/*/*/*/*/*.zarr/{MANIFEST}")):
        store = manifest.parent
        product = published(home.path, store.relative_to(home.archive).parts[0], store.parent.name)
        named = product is not None and home.path / product.archive_href == store
        if not named and not store.with_suffix(".files").is_dir():
            where = store.relative_to(home.path).as_posix()
            yield Leftover(
                what="store without a record: taken over when its package comes again", where=where, done="kept"
            )
