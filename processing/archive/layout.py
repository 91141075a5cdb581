"""Where things lie: under HOME, and inside a store. Names and sizes only; nothing is opened."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from processing.model.conventions import CHUNK_PX, SHARD_PX
from processing.model.errors import Defect
from processing.model.product import Product, ProductDraft

MANIFEST = "manifest.json"
"""Inside a store: SHA-256 and size of every other object in it; written last."""
PRODUCT_RECORD = "product.json"
QUALITY_REPORT = "quality.json"
ITEM = "item.json"
ISO = "iso19139.xml"
"""Beside an item, written before it: the same in the words of ISO 19115."""
COLLECTION = "collection.json"
"""In the folder of a collection's products: what its items link to."""
CHECKSUMS = "manifest.sha256"
"""Beside the files of a product: what ``sha256sum -c`` reads."""
CUBE_RECORD = "cube.json"
"""In the folder of a cube: what it holds; written last."""
THUMBNAIL = "thumbnail.webp"
VISUAL = "visual.tif"
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
ZARR_TYPE = "application/vnd.zarr; version=3"
"""Media types, as STAC clients know them."""
MEASUREMENTS = "measurements"
QA = "qa"
GRID_MAPPING = "spatial_ref"
COORDINATES = ("x", "y", GRID_MAPPING)

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductPaths:
    """Every place that belongs to one revision of one product."""

    home: Path
    collection: str
    item_id: str
    revision: str
    acquired: datetime

    @classmethod
    def of(cls, home: Path, product: Product | ProductDraft) -> "ProductPaths":
        """The places of a product, or of a draft that is to become one.

        Raises
        ------
        Defect
            ``layout.name`` if an id or collection is not a plain file name.
        """
        for name in (product.collection, product.id):
            if name in ("", ".", "..") or not _PLAIN_NAME.fullmatch(name):
                raise Defect(f"'{name}' cannot name a folder of the archive", kind="layout.name")
        revision = product.revision if isinstance(product, Product) else revision_of(product)
        return cls(
            home=home,
            collection=product.collection,
            item_id=product.id,
            revision=revision,
            acquired=product.acquired.astimezone(UTC),
        )

    @property
    def revisions(self) -> Path:
        """Folder of all revisions of the product's store."""
        return self.home / "archive" / self.collection / f"{self.acquired:%Y/%m/%d}" / self.item_id

    @property
    def store(self) -> Path:
        """The immutable Zarr store."""
        return self.revisions / f"{self.revision}.zarr"

    @property
    def link(self) -> Path:
        """The short path: a relative symbolic link to the latest revision's store."""
        return self.home / "archive" / self.collection / f"{self.item_id}.zarr"

    @property
    def files(self) -> Path:
        """Folder of the files for people and desktop tools: COGs, thumbnail, reports, item."""
        return self.home / "products" / self.collection / self.item_id

    @property
    def staging(self) -> Path:
        """Where a publication is prepared. One product has one such place: whoever holds the lock owns it."""
        return self.home / "staging" / f"{self.collection}--{self.item_id}"

    @property
    def lock(self) -> Path:
        """Lock file of the publication."""
        return self.home / "staging" / f"{self.collection}--{self.item_id}.lock"

    def superseded_files(self, revision: str) -> Path:
        """Where the files of an earlier revision go when a newer one takes their place."""
        return self.revisions / f"{revision}.files"


@dataclass(frozen=True, slots=True)
class BandPlace:
    """Where a band, or the flags, of a group lie: in which store, at all its levels."""

    store: Path
    """Folder of the store itself, no link to it."""
    manifest_sha256: str
    """Of the store's manifest, as the catalogue states it, hex; empty if it states none."""
    group: str
    name: str


def revision_of(draft: ProductDraft) -> str:
    """First 16 hex digits of the lineage's digest: same inputs, parameters and software, same revision."""
    return draft.lineage.digest[:16]


def level_name(resolution: float, unit: str = "m") -> str:
    """Name of a resolution level: ``r4m``, ``r0.5m``."""
    return f"r{resolution:.12g}{unit}"


def chunk_and_shard(length: int, *, chunk: int = CHUNK_PX, shard: int = SHARD_PX) -> tuple[int, int]:
    """Chunk and shard lengths along one axis.

    Full-sized arrays get ``(500, 2500)``. A short axis gets no more chunks in its one shard than it needs, so
    that small arrays and coarse levels do not carry padding; a shard is always a whole number of chunks.
    """
    if length <= chunk:
        return length, length
    return chunk, min(shard, math.ceil(length / chunk) * chunk)


def level_shapes(shape: tuple[int, int], *, stop_px: int = CHUNK_PX) -> tuple[tuple[int, int], ...]:
    """Shapes of all resolution levels, finest first: halved (rounding up) until one chunk holds a level."""
    shapes = [shape]
    while max(shapes[-1]) > stop_px:
        rows, columns = shapes[-1]
        shapes.append(((rows + 1) // 2, (columns + 1) // 2))
    return tuple(shapes)


def shard_keys(array_path: str, shape: tuple[int, int]) -> tuple[str, ...]:
    """Store keys that a two-dimensional array of this shape must have, metadata excluded."""
    counts = [math.ceil(length / chunk_and_shard(length)[1]) for length in shape]
    return tuple(f"{array_path}/c/{row}/{column}" for row in range(counts[0]) for column in range(counts[1]))


def relative_href(path: Path, home: Path) -> str:
    """``path`` relative to HOME, with forward slashes."""
    return str(PurePosixPath(path.relative_to(home)))
