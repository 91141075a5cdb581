"""A small real installation for tests that damage it: products of two sizes, one of them in its second revision."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.registry import Registry, load_registry
from configs.settings import Home
from pipelines.catalogue import catalogue_product
from processing.archive.write import publish_product
from processing.model.product import Product
from tests.archive import synthetic

REVISED = "KZ1_20260424T052011_00000000_L1C"
PLAIN = "KZ1_20260424T052011_11111111_L1C"
COLLECTION = "kazeosat-1-l1c"


def fill(home: Home, registry: Registry | None = None) -> dict[str, Product]:
    """Publish and catalogue three revisions of two products; the latest of each by its id."""
    known = registry or load_registry(home.configs)
    drafts = [
        synthetic.draft(item=REVISED),
        synthetic.draft(item=REVISED, lineage=synthetic.lineage(resampling="lanczos")),
        synthetic.draft(item=PLAIN, package="cd"),
    ]
    products = {}
    for seed, draft in enumerate(drafts, start=1):
        product = publish_product(home.path, draft, [synthetic.scene((60, 80), seed=seed)])
        catalogue_product(product, home, known)
        products[product.id] = product
    return products


def objects(home: Home) -> dict[str, Path]:
    """Every file of the archive that is there to stay, by its name relative to HOME."""
    found = itertools.chain.from_iterable((home.path / room).rglob("*") for room in ("archive", "products"))
    return {
        path.relative_to(home.path).as_posix(): path
        for path in sorted(found)
        if path.is_file() and not any(parent.is_symlink() for parent in path.parents)
    }


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file over as a disk does: the time of writing stays what it was."""
    content, state = bytearray(path.read_bytes()), path.stat()
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Whatever happens to a file inside, afterwards it is what it was."""
    content, state = path.read_bytes(), path.stat()
    try:
        yield
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
