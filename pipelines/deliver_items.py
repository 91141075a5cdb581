"""One ordered item made: what may be given of it, cut, degraded, in its files, with an item of its own."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from catalogs.collection import to_collection
from catalogs.delivery.fingerprint_key import WATERMARK, fingerprint_secret
from catalogs.delivery.order import Format, Order, OrderedItem
from catalogs.delivery.order_area import clip_geometry
from catalogs.delivery.order_package import Ruling
from catalogs.delivery.order_standing import ground_digest
from catalogs.extensions import ORDER, used_in
from catalogs.item import to_item
from catalogs.policy.decide import mask_shape
from catalogs.policy.rules import Policy
from catalogs.policy.terms import Decision, ProductFacts
from catalogs.validate import validate_collection, validate_item
from configs.registry import Registry
from configs.schema import RecipeConfig
from configs.settings import Home
from pipelines.observe import report_progress
from pipelines.revisions import recorded_version
from processing.archive.cut import Cut, cut_images, encodings_of
from processing.archive.layout import COLLECTION, ITEM, QUALITY_REPORT
from processing.archive.marked import marked
from processing.archive.package import Wanted, write_item_files
from processing.archive.picture import Style
from processing.model.errors import BadInput
from processing.model.image import OrthoImage
from processing.model.product import Product
from processing.products.fingerprint import LARGEST_CHANGE, SCHEME, SHARE, order_key

FINGERPRINT = {"scheme": SCHEME, "largest_change_counts": LARGEST_CHANGE, "share": SHARE}
"""What is told of a fingerprint: that it is there, and how little it changes."""
_NOT_DELIVERED = ("iso19139", "manifest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What may be given of an item."""

    decision: Decision
    facts: ProductFacts
    policy: Policy

    @property
    def taken_out(self) -> BaseGeometry | None:
        """Ground whose pixels must be absent."""
        return mask_shape(self.decision, self.facts, self.policy)

    @property
    def fingerprinted(self) -> bool:
        """Whether pixels carry the order's fingerprint."""
        return WATERMARK in self.decision.obligations

    @property
    def digest(self) -> str:
        """Of the ground that is taken out."""
        return ground_digest(self.taken_out)


def make_item(data: Path, order: Order, ordered: OrderedItem, given: Given, *, home: Home, registry: Registry) -> None:
    """Write everything of one ordered item below ``data``. The same order gives the same bytes.

    Raises
    ------
    BadInput
        ``order.gone`` if the ordered revision is not in the archive any more; ``product.empty`` if nothing is left of
        it; and what :func:`~processing.archive.cut.cut_images` raises.
    """
    request, decision = order.request, given.decision
    product, images = ordered_images(home, order, ordered, decision, taken_out=given.taken_out)
    if given.fingerprinted:
        key = order_key(fingerprint_secret(home.path), order.id)
        images = [marked(image, encodings_of(product), key) for image in images]
    recipe = registry.recipes[product.recipe]
    wanted = Wanted(
        form="cog" if request.format is Format.COG else "zarr",
        style=style_of(recipe, [band.name for image in images for band in image.bands]),
        tags={"QYRAN_ITEM": ordered.name, "QYRAN_ORDER": order.id, "QYRAN_LICENCE": decision.licence or "none"},
        gsd_m=max(product.gsd_m, decision.gsd_m or 0.0),
    )
    delivered = write_item_files(
        data, product, images, encodings_of(product), wanted, lambda what: report_progress(0, 0, what)
    )
    _describe(data, order, delivered, given, registry)


def ordered_images(
    home: Home, order: Order, ordered: OrderedItem, limits: Decision | Ruling, *, taken_out: BaseGeometry | None
) -> tuple[Product, list[OrthoImage]]:
    """The archived product that was ordered, and what of it is delivered: lazy, and without any fingerprint.

    Raises
    ------
    BadInput
        As :func:`make_item`.
    """
    version, request = recorded_version(home, f"{ordered.name}@{ordered.version}"), order.request
    if version is None:
        raise BadInput("the ordered revision is not in the archive any more", kind="order.gone", where=ordered.name,
                       remedy="Order the latest one.")  # fmt: skip
    cut = Cut(
        area=None if request.clip is None else clip_geometry(request.clip), crs=request.crs, bands=request.bands,
        without=limits.drop_bands, taken_out=taken_out, floor_m=limits.gsd_m,
    )  # fmt: skip
    return version.product, cut_images(version.places.store, version.product, cut)


def style_of(recipe: RecipeConfig, bands: Sequence[str]) -> Style:
    """How a person looks at what is delivered: the recipe's first picture whose bands are all there, else one band."""
    for preset in recipe.renders.values():
        if all(band in bands for band in preset.bands):
            return Style(bands=preset.bands, value_range=preset.rescale, palette=preset.palette)
    return Style(bands=(bands[0],), value_range=(0.0, 0.3))


def _describe(data: Path, order: Order, product: Product, given: Given, registry: Registry) -> None:
    """The item of what is delivered, valid by every schema it declares, beside its files."""
    mission, sensor = registry.missions[product.mission], registry.sensors[product.sensor]
    recipe = registry.recipes[product.recipe]
    item = to_item(product, mission, sensor, recipe)
    for key in _NOT_DELIVERED if order.request.format is Format.COG else _NOT_DELIVERED[:1]:
        item["assets"].pop(key, None)
    item["links"] = [link for link in item["links"] if link["rel"] == "collection"]
    item["properties"] |= {
        "order:id": order.id, "order:status": "succeeded", "order:date": _stamp(order.created),
        "created": _stamp(order.created), "updated": _stamp(order.created),
    }  # fmt: skip
    item["properties"].pop("published", None)
    if given.fingerprinted:
        item["properties"]["qyran:fingerprint"] = FINGERPRINT
    if given.decision.licence is not None:
        item["properties"]["license"] = "other"
        item["links"].append({"rel": "license", "href": "../../LICENCE.txt", "type": "text/plain"})
    item["stac_extensions"] = sorted({*used_in(item["properties"], item["assets"]), ORDER})
    validate_item(item)
    folder = data / product.collection / product.id
    (folder / ITEM).write_bytes(_json(item))
    collection = to_collection(mission, sensor, recipe)
    validate_collection(collection)
    (folder.parent / COLLECTION).write_bytes(_json(collection))


def item_bytes(folder: Path, name: str) -> int:
    """Bytes of the files of an item, its descriptions apart."""
    return sum(
        path.stat().st_size for path in (folder / name).rglob("*")
        if path.is_file() and path.name not in (ITEM, QUALITY_REPORT)
    )  # fmt: skip


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
