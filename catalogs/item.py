"""A product as a STAC 1.1 Item."""

import copy
import hashlib
import os
import posixpath
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pystac import Asset, Item, Link, RelType

from catalogs import bands, extensions, grids, texts
from catalogs.composed import composed_properties, span_of
from catalogs.iso19139 import ISO_KEY, ISO_ROLES, ISO_TITLE, MEDIA_TYPE, iso_document
from catalogs.render import renders
from configs.schema import MissionConfig, RecipeConfig, SensorConfig
from processing.archive.layout import COLLECTION, ISO, ITEM, MANIFEST
from processing.model.composite_layers import BESIDE
from processing.model.product import Product, StoredBand, StoredFile, StoredGroup
from processing.model.timeliness import Timeliness, timeliness_of

_SHA256_MULTIHASH = "1220"
"""Multihash prefix: SHA2-256, 32 bytes."""
_ORBIT_STATES = ("ascending", "descending", "geostationary", "crossing")


def to_item(product: Product, mission: MissionConfig, sensor: SensorConfig, recipe: RecipeConfig) -> dict[str, Any]:
    """A product as a STAC Item.

    Addresses are relative to the item's file, ``products/<collection>/<id>/item.json``, so that HOME can be moved
    or copied; :func:`with_absolute_hrefs` makes them absolute.

    Parameters
    ----------
    product
        What is archived. Everything that changes from item to item comes from here.
    mission, sensor, recipe
        What its items share.

    Returns
    -------
    item
        JSON-ready, valid by :func:`catalogs.validate.validate_item`.
    """
    properties, assets = _properties(product, mission, sensor, recipe), _assets(product, sensor)
    assets[ISO_KEY] = iso_asset(iso_document(product, mission, sensor, recipe))
    item = Item(
        id=product.id,
        geometry=copy.deepcopy(product.geometry),
        bbox=list(product.bbox),
        datetime=span_of(product)[1],
        properties=properties,
        stac_extensions=extensions.used_in(properties, assets),
        collection=product.collection,
        assets={key: Asset.from_dict(asset) for key, asset in assets.items()},
    )
    item.add_link(Link(RelType.COLLECTION, f"../{COLLECTION}", "application/json"))
    for parent in product.parents:
        item.add_link(Link(RelType.DERIVED_FROM, f"../../{parent}/{ITEM}", "application/geo+json"))
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def with_absolute_hrefs(item: Mapping[str, Any], home: Path, *, folder: Path | None = None) -> dict[str, Any]:
    """A copy of an item whose addresses are absolute paths on this machine, fit for any reader's ``open``.

    ``folder`` is where its file lies, for an earlier revision; None: where that of the latest does.
    """
    folder = folder or home.resolve() / "products" / str(item["collection"]) / str(item["id"])
    absolute = copy.deepcopy(dict(item))
    for entry in (*absolute["assets"].values(), *absolute["links"]):
        if "://" not in entry["href"] and not entry["href"].startswith("/"):
            entry["href"] = os.path.normpath(folder / entry["href"])
    return absolute


def _properties(product: Product, mission: MissionConfig, sensor: SensorConfig, recipe: RecipeConfig) -> dict[str, Any]:
    software = {name: str(version) for name, version in product.lineage.software.items()}
    properties: dict[str, Any] = {
        **texts.spoken(texts.titles(mission, recipe), texts.descriptions(mission, recipe)),
        "created": _rfc3339(product.created),
        "published": _rfc3339(product.created),  # its revision: what is made is published within the same run
        "platform": mission.platform,
        "constellation": mission.constellation,
        "mission": mission.id,
        "instruments": [sensor.instrument],
        "gsd": product.gsd_m,
        "license": mission.licence,
        "providers": [provider.model_dump(mode="json", exclude_none=True) for provider in mission.providers],
        "processing:level": product.level.upper() if product.level != "derived" else "L3",
        "processing:datetime": _rfc3339(product.created),
        "processing:version": product.lineage.recipe_version,
        "processing:software": software,
        "processing:lineage": " ".join(recipe.description.split()),
        "product:type": recipe.id,
        "product:acquisition_type": "nominal",
        "version": product.revision,
        **_place(product.groups[0]),
        "renders": renders(recipe, {band.name: (band.scale, band.offset) for band in product.bands}),
        **_expression(product),
        **_view(product.angles),
        **_orbit(product, mission),
        **_accuracy(product.accuracy),
        **composed_properties(product),
        **_cover(product),
        **_timeliness(product, mission),
        "qyran:recipe": product.recipe,
        "qyran:sensor": product.sensor,
        "qyran:spectral": bands.spectral_kind(sensor),
        "qyran:band_count": len(sensor.bands),
        "qyran:lineage_sha256": product.lineage.digest,
        "qyran:warnings": list(product.quality.get("warnings", ())),
        "qyran:band_misregistration_px": product.quality.get("registration", {}).get("largest_offset_px"),
    }
    return {key: value for key, value in properties.items() if value not in (None, [], {})}


def _place(group: StoredGroup) -> dict[str, Any]:
    lon, lat = grids.centre(group)
    return {
        "proj:code": group.crs,
        "proj:bbox": grids.bounds(group),
        "proj:centroid": {"lat": lat, "lon": lon},
        "grid:code": grids.grid_code(lon, lat),
    }


def _expression(product: Product) -> dict[str, Any]:
    expressions = product.lineage.parameters.get("expressions")
    return {"processing:expression": {"format": "qyran", "expression": expressions}} if expressions else {}


def _view(angles: Mapping[str, float]) -> dict[str, float]:
    view = {
        "view:off_nadir": angles.get("off_nadir_deg"),
        "view:incidence_angle": angles.get("view_zenith_deg"),
        "view:azimuth": angles.get("view_azimuth_deg"),
        "view:sun_azimuth": angles.get("sun_azimuth_deg"),
    }
    if "sun_zenith_deg" in angles:
        view["view:sun_elevation"] = 90.0 - angles["sun_zenith_deg"]
    rounded = {name: round(value, 6) for name, value in view.items() if value is not None}
    return {name: value % 360.0 if name.endswith("azimuth") else value for name, value in rounded.items()}


def _orbit(product: Product, mission: MissionConfig) -> dict[str, Any]:
    orbit: dict[str, Any] = {}
    if mission.cospar_id:
        orbit["sat:platform_international_designator"] = mission.cospar_id
    state = str(product.facts.get("orbit_state", "")).lower()
    if state in _ORBIT_STATES:
        orbit["sat:orbit_state"] = state
    for name in ("absolute_orbit", "relative_orbit"):
        number = product.facts.get(name)
        if isinstance(number, int) and number >= 1:
            orbit[f"sat:{name}"] = number
    return orbit


def _accuracy(accuracy: Mapping[str, float]) -> dict[str, float]:
    names = {
        "rmse_m": "accuracy:geometric_rmse",
        "bias_x_m": "accuracy:geometric_x_bias",
        "bias_y_m": "accuracy:geometric_y_bias",
        "stddev_x_m": "accuracy:geometric_x_stddev",
        "stddev_y_m": "accuracy:geometric_y_stddev",
    }
    # What the extension has no word for keeps ours: qyran:ce90_m.
    return {names.get(name, f"qyran:{name}"): value for name, value in accuracy.items()}


def _cover(product: Product) -> dict[str, float]:
    """Cloud and snow as far as they were looked for: an untested scene states none rather than zero."""
    flags: Mapping[str, float] = next(iter(product.quality.get("flags_percent", {}).values()), {})
    cover = {}
    for name, flag in (("eo:cloud_cover", "cloud"), ("eo:snow_cover", "snow")):
        if flag in flags and flags.get(f"{flag}_not_tested") == 0:
            cover[name] = flags[flag]
    return cover


def _timeliness(product: Product, mission: MissionConfig) -> dict[str, str]:
    """Whether it is near-real-time or final, where its delivery says enough to tell."""
    category = timeliness_of(product.facts)
    if category is None:
        return {}
    aims = {Timeliness.NEAR_REAL_TIME: mission.near_real_time_within, Timeliness.FINAL: mission.final_within}
    return {"product:timeliness": aims[category], "product:timeliness_category": str(category)}


def _assets(product: Product, sensor: SensorConfig) -> dict[str, dict[str, Any]]:
    by_name = {band.name: band for band in product.bands}
    assets = {}
    for file in product.files:
        asset = _file_asset(product, file)
        if file.key in by_name:
            asset |= _band_fields(product, by_name[file.key], sensor)
        elif file.key.partition("_")[0] == "qa":
            group = file.key.removeprefix("qa").removeprefix("_") or product.groups[0].name
            asset |= {"data_type": "uint16", "classification:bitfields": bands.bitfields(), **_grid(product, group)}
        elif file.key == "visual":
            asset |= {"data_type": "uint8", "bands": [{"name": name} for name in ("red", "green", "blue")]}
        elif file.key == "zarr":
            asset["bands"] = [bands.stored_band(band) for band in product.bands]
        assets[file.key] = asset
    assets["manifest"] = {
        "href": _relative(f"{product.archive_href}/{MANIFEST}", product),
        "type": "application/json",
        "title": "SHA-256 and size of every object of the Zarr store",
        "roles": ["metadata"],
        "file:size": product.manifest_size,
        "file:checksum": f"{_SHA256_MULTIHASH}{product.manifest_sha256}",
    }
    return assets


def iso_asset(document: bytes) -> dict[str, Any]:
    """The asset of a product's ISO 19139 document, which lies beside its item."""
    return {
        "href": ISO,
        "type": MEDIA_TYPE,
        "title": ISO_TITLE,
        "roles": list(ISO_ROLES),
        "file:size": len(document),
        "file:checksum": f"{_SHA256_MULTIHASH}{hashlib.sha256(document).hexdigest()}",
    }


def _file_asset(product: Product, file: StoredFile) -> dict[str, Any]:
    asset: dict[str, Any] = {
        "href": _relative(file.href, product),
        "type": file.media_type,
        "title": file.title,
        "roles": list(file.roles),
        "file:size": file.size,
    }
    if file.key != "zarr":  # a folder has no checksum of its own: its manifest's stands for it
        asset["file:checksum"] = f"{_SHA256_MULTIHASH}{file.sha256}"
    return asset


def _band_fields(product: Product, band: StoredBand, sensor: SensorConfig) -> dict[str, Any]:
    resolution = next(group.resolution_m for group in product.groups if group.name == band.group)
    otherwise = resolution if band.group in BESIDE else product.gsd_m
    gsd = next((group.gsd_m for group in sensor.groups.values() if band.name in group.bands), otherwise)
    stored = bands.storage(dtype=band.dtype, nodata=band.nodata, units=band.units, scale=band.scale, offset=band.offset)
    return {
        "gsd": gsd,
        "bands": [bands.stored_band(band)],
        "statistics": bands.statistics(band),
        "raster:spatial_resolution": resolution,
        "raster:sampling": "area",
        **stored,
        **_grid(product, band.group),
    }


def _grid(product: Product, name: str) -> dict[str, Any]:
    group = next(group for group in product.groups if group.name == name)
    return {"proj:shape": list(group.shape), "proj:transform": list(group.transform)}


def _relative(href: str, product: Product) -> str:
    """An address relative to HOME as one relative to the item's file."""
    return posixpath.relpath(href, f"products/{product.collection}/{product.id}")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
