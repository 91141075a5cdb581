"""After a crash: what interrupted publications left behind is finished or cleared away, and told of.

Whoever publishes or catalogues a product holds its lock, a file in ``HOME/staging`` that stays there if its holder is
killed. So the folder of staging names every product that needs a look, however large the archive is.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from processing.archive import durable
from processing.archive.disk_faults import disk_faults
from processing.archive.layout import COLLECTION, MANIFEST, PRODUCT_RECORD, ProductPaths
from processing.archive.leftover import Leftover
from processing.archive.manifest import check_product, fingerprint
from processing.archive.write import FILES, published, put_files, settle
from processing.model.product import Product

COLLECTION_LOCK = "collection"
"""``<collection>--collection``: held by whoever writes the file that describes a collection."""
_LOCK = ".lock"


def interrupted(home: Path) -> tuple[str, ...]:
    """Names in ``staging`` of work that nobody does any more: ``<collection>--<id>``. Nothing is changed."""
    staging = home / "staging"
    names = {path.name.removesuffix(_LOCK) for path in staging.iterdir()} if staging.is_dir() else set()
    return tuple(sorted(name for name in names if "--" in name and not durable.is_held(staging / f"{name}{_LOCK}")))


def recover_archive(home: Path) -> tuple[Leftover, ...]:
    """Finish or clear away what killed processes left. What somebody works on at this moment is left alone.

    Parameters
    ----------
    home
        HOME.

    Returns
    -------
    leftovers
        One for each thing found. A second call at once finds nothing.

    Raises
    ------
    Retryable
        ``disk.*`` if the disk does not let it.
    """
    home = home.resolve()
    found: list[Leftover] = []
    for name in interrupted(home):
        lock = home / "staging" / f"{name}{_LOCK}"
        stale = lock.exists()
        try:
            with disk_faults(lock), durable.exclusive(lock, wait=False):
                here = list(_settle(home, name))
        except BlockingIOError:
            continue
        if stale and not here:
            here = [Leftover(what="lock of a run that was killed", where=f"staging/{lock.name}", done="cleared")]
        found += here
    return tuple(found)


def products_of(home: Path, name: str) -> Iterator[Product]:
    """The published products that a name in ``staging`` may stand for: identifiers may themselves hold ``--``."""
    parts = name.split("--")
    for count in range(1, len(parts)):
        product = published(home, "--".join(parts[:count]), "--".join(parts[count:]))
        if product is not None:
            yield product


def _settle(home: Path, name: str) -> Iterator[Leftover]:
    staging = home / "staging" / name
    if staging.is_dir():
        where = staging.relative_to(home).as_posix()
        if (product := _unpublished(home, staging / FILES)) is not None:
            put_files(staging / FILES, ProductPaths.of(home, product))
            yield Leftover(what=f"product {name}, whole but not yet published", where=where, done="finished")
        elif any(staging.iterdir()):
            yield Leftover(what=f"unfinished work on {name}", where=where, done="cleared")
        shutil.rmtree(staging)
    for product in products_of(home, name):
        yield from _settle_product(home, name, product)
    collection, _, rest = name.partition("--")
    if rest == COLLECTION_LOCK:
        yield from _cleared(home, home / "products" / collection, COLLECTION)


def _settle_product(home: Path, name: str, product: Product) -> Iterator[Leftover]:
    """Look after a product that can be seen: what waits to replace it, its link, what lies about it."""
    paths = ProductPaths.of(home, product)
    shelf = paths.superseded_files(product.revision)
    if shelf.is_dir() and _revision_in(shelf) != product.revision:
        where = shelf.relative_to(home).as_posix()
        newer = _unpublished(home, shelf)
        if newer is not None:
            durable.exchange(shelf, paths.files)
            paths = ProductPaths.of(home, newer)
            yield Leftover(what=f"new revision of {name}, whole but not yet published", where=where, done="finished")
        else:
            shutil.rmtree(shelf)
            yield Leftover(what=f"unfinished new revision of {name}", where=where, done="cleared")
    if not paths.link.exists() or paths.link.resolve() != paths.store:
        where = paths.link.relative_to(home).as_posix()
        yield Leftover(what=f"link to the latest revision of {name}", where=where, done="finished")
    yield from _cleared(home, paths.link.parent, paths.link.name)
    for folder in (paths.files, paths.revisions, *paths.revisions.glob("*.files")):
        yield from _cleared(home, folder)
    settle(paths)


def _revision_in(folder: Path) -> str | None:
    try:
        return Product.model_validate_json((folder / PRODUCT_RECORD).read_bytes()).revision
    except (FileNotFoundError, ValueError):
        return None


def _cleared(home: Path, folder: Path, name: str = "*") -> Iterator[Leftover]:
    for temporary in durable.remove_temporaries(folder, name):
        yield Leftover(what="half a file", where=temporary.relative_to(home).as_posix(), done="cleared")


def _unpublished(home: Path, files: Path) -> Product | None:
    """The product whose store has its name already, and whose files wait in this folder, if both are whole."""
    try:
        product = Product.model_validate_json((files / PRODUCT_RECORD).read_bytes())
    except (FileNotFoundError, ValueError):
        return None  # never written, or cut off while it was
    paths = ProductPaths.of(home, product)
    whole = paths.store.is_dir() and not check_product(paths.store)
    if not whole or fingerprint(paths.store / MANIFEST) != product.manifest_sha256:
        return None
    for file in product.files:
        waiting = files / Path(file.href).name
        if (home / file.href).parent == paths.files and (not waiting.is_file() or fingerprint(waiting) != file.sha256):
            return None
    durable.sync_tree(files)
    return product
