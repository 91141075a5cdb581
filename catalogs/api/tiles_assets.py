"""What of an item's files can be looked at: its COGs, and whatever of its Zarr store has none.

A band that lies in the store alone is as good to look at as one with a COG: both hold the same numbers, and coarser
levels are the COG's overviews.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalogs.api.places import is_lost, place_of
from catalogs.bands import bitfields, names_in_store
from catalogs.store.protocol import Item
from processing.archive.layout import COG_TYPE, QA, BandPlace
from processing.model.errors import Defect

ZARR, MANIFEST = "zarr", "manifest"
_SHA256_MULTIHASH = "1220"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Viewable:
    """Assets by their keys, and where those lie that have no file of their own."""

    assets: Mapping[str, Mapping[str, Any]]
    stored: Mapping[str, BandPlace]


def viewable(home: Path, item: Item, *, earlier: bool) -> Viewable:
    """All of an item that can be looked at; its store is opened only where a COG is not there.

    Raises
    ------
    Defect
        ``archive.corrupt``, ``archive.missing`` if there is but the store, and it is not what was published.
    """
    assets: Mapping[str, Mapping[str, Any]] = item.get("assets", {})
    cogs = {key: asset for key, asset in assets.items() if str(asset.get("type", "")) == COG_TYPE}
    lost = {key for key, asset in cogs.items() if is_lost(home, item, str(asset["href"]), earlier=earlier)}
    whole = {key: asset for key, asset in cogs.items() if key not in lost}
    names = names_in_store(item)
    if not names or not (lost or names - cogs.keys()):
        return Viewable(whole, {})
    place = place_of(home, item, str(assets[ZARR]["href"]), earlier=earlier)
    if place is None or not place.is_dir():
        return Viewable(whole, {})
    try:
        found = _in(place.resolve(), item)
    except Defect as error:
        if not whole:
            raise
        # What has a COG is shown all the same.
        log.warning("%s/%s: %s", item["collection"], item["id"], error)
        return Viewable(whole, {})
    there = {key: cogs.get(key, asset) for key, (asset, _) in found.items() if key not in whole}
    return Viewable(_ordered(cogs, whole | there), {key: found[key][1] for key in there})


def _ordered(first: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """In the item's own order, then that of the store."""
    return {key: found[key] for key in (*(key for key in first if key in found), *found)}


def _in(store: Path, item: Item) -> dict[str, tuple[dict[str, Any], BandPlace]]:
    """Bands and flags of a store as assets, by the keys that their COGs have."""
    # Imported with the first: it loads GDAL and zarr.
    from processing.archive.open_levels import groups_of

    assets = item["assets"]
    digest = str(assets.get(MANIFEST, {}).get("file:checksum", "")).removeprefix(_SHA256_MULTIHASH)
    order = {str(band.get("name")): place for place, band in enumerate(assets[ZARR]["bands"])}
    groups = sorted(
        groups_of(store, digest), key=lambda group: min(order.get(name, len(order)) for name in group.bands)
    )
    bands, flags = {}, {}
    for number, group in enumerate(groups):
        for name, band in group.bands.items():
            facts: dict[str, Any] = {"raster:spatial_resolution": abs(band.transforms[0].a)}
            place = BandPlace(store, digest, group.name, name)
            if name == QA:
                key = f"{QA}_{group.name}" if number else QA
                facts |= {"title": f"Quality flags of {group.name}", "classification:bitfields": bitfields()}
                flags[key] = facts, place
            else:
                kept = band.arrays[0].kept_as
                facts |= {"title": kept.title or name, "unit": kept.units}
                bands[name] = facts | {"raster:scale": kept.scale, "raster:offset": kept.offset}, place
    return bands | flags
