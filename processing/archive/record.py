"""What a finished store amounts to: the product record, its statistics and its quality report."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from shapely import Polygon

from processing.archive.footprint import on_the_ground
from processing.archive.geozarr import crs_code, map_crs
from processing.archive.layout import ProductPaths, relative_href, revision_of
from processing.archive.manifest import ObjectRecord
from processing.archive.shards import GroupTally, Tally
from processing.archive.store import Group
from processing.model.image import OrthoImage
from processing.model.product import Encoding, Product, ProductDraft, StoredBand, StoredFile, StoredGroup
from processing.model.quality import MISREGISTERED

_DIGITS = 10
"""Significant digits of a statistic in the record."""


def stored_bands(
    groups: Sequence[Group], images: Sequence[OrthoImage], tallies: Mapping[str, GroupTally]
) -> tuple[StoredBand, ...]:
    """One record a band, statistics in physical units."""
    bands = []
    for group, image in zip(groups, images, strict=True):
        for band in image.bands:
            encoding, tally = group.encodings[band.name], tallies[group.name].bands[band.name]
            bands.append(
                StoredBand(
                    name=band.name,
                    title=encoding.title,
                    group=group.name,
                    common_name=band.common_name,
                    centre_nm=band.centre_nm,
                    fwhm_nm=band.fwhm_nm,
                    esun=band.calibration.esun if band.calibration else None,
                    dtype=encoding.dtype,
                    scale=encoding.scale,
                    offset=encoding.offset,
                    nodata=encoding.nodata,
                    units=encoding.units,
                    valid_percent=_percent(tally.inside, tallies[group.name].footprint),
                    **_statistics(tally, encoding),
                )
            )
    return tuple(bands)


def _percent(part: int, whole: int) -> float:
    return round(100.0 * part / whole, 4) if whole else 0.0


def _statistics(tally: Tally, encoding: Encoding) -> dict[str, float]:
    """Exact sums to physical statistics; the population's standard deviation."""
    if not tally.count or tally.lowest is None or tally.highest is None:
        return {}
    mean = tally.total / tally.count
    # n * sum(s^2) - sum(s)^2 in integers: no cancellation.
    variance = (tally.count * tally.squares - tally.total**2) / tally.count**2
    values = {
        "minimum": tally.lowest * encoding.scale + encoding.offset,
        "maximum": tally.highest * encoding.scale + encoding.offset,
        "mean": mean * encoding.scale + encoding.offset,
        "stddev": math.sqrt(variance) * encoding.scale,
    }
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in values.items()}


def gdal_statistics(band: StoredBand) -> dict[str, str]:
    """Statistics of a band as GDAL's programs look for them in a file: of the numbers as stored."""
    if band.mean is None or band.stddev is None or band.minimum is None or band.maximum is None:
        return {}
    whole = np.dtype(band.dtype).kind != "f"
    lowest, highest, mean = ((value - band.offset) / band.scale for value in (band.minimum, band.maximum, band.mean))
    return {
        "STATISTICS_MINIMUM": f"{round(lowest) if whole else lowest:.10g}",
        "STATISTICS_MAXIMUM": f"{round(highest) if whole else highest:.10g}",
        "STATISTICS_MEAN": f"{mean:.10g}",
        "STATISTICS_STDDEV": f"{band.stddev / band.scale:.10g}",
    }


def stored_groups(groups: Sequence[Group]) -> tuple[StoredGroup, ...]:
    """One record a measurement group."""
    records = []
    for group in groups:
        base = group.levels[0]
        affine = base.geobox.affine
        records.append(
            StoredGroup(
                name=group.name,
                path=base.path,
                resolution_m=abs(affine.a),
                crs=crs_code(map_crs(base.geobox)) or map_crs(base.geobox).to_wkt(),
                transform=(affine.a, affine.b, affine.c, affine.d, affine.e, affine.f),
                shape=base.shape,
                levels=tuple(level.name for level in group.levels),
            )
        )
    return tuple(records)


def quality(draft: ProductDraft, tallies: Mapping[str, GroupTally], registration: Mapping[str, Any]) -> dict[str, Any]:
    """Percentages of the footprint's pixels by flag, how bands lie on each other, and what a reader should know."""
    worst, limit = registration.get("largest_offset_px"), draft.registration_limit_px
    warnings = list(draft.warnings)
    if worst is not None and limit is not None and worst > limit:
        warnings.append(f"{MISREGISTERED}: bands lie {worst:.2f} px apart, more than {limit:g}")
    stated = {"registration": {**draft.registration, **registration}} if draft.registration or registration else {}
    return {
        "flags_percent": {
            name: {flag: _percent(count, tally.footprint) for flag, count in tally.flags.items()}
            for name, tally in tallies.items()
        },
        "warnings": warnings,
        **({"refinement": draft.refinement} if draft.refinement else {}),
        **({"composition": draft.composition} if draft.composition else {}),
        **stated,
    }


def product_record(
    draft: ProductDraft,
    paths: ProductPaths,
    groups: Sequence[Group],
    images: Sequence[OrthoImage],
    *,
    ring: Polygon,
    tallies: Mapping[str, GroupTally],
    registration: Mapping[str, Any],
    manifest: ObjectRecord,
) -> Product:
    """The product as it is known once its store is whole; its files are still to come."""
    geometry, bbox = on_the_ground(ring, map_crs(groups[0].levels[0].geobox))
    return Product(
        id=draft.id,
        collection=draft.collection,
        mission=draft.mission,
        sensor=draft.sensor,
        recipe=draft.recipe,
        level=draft.level,
        acquired=draft.acquired,
        created=draft.created or datetime.now(UTC).replace(microsecond=0),
        revision=revision_of(draft),
        geometry=geometry,
        bbox=bbox,
        groups=stored_groups(groups),
        bands=stored_bands(groups, images, tallies),
        files=(),
        archive_href=relative_href(paths.store, paths.home),
        manifest_sha256=manifest.sha256,
        manifest_size=manifest.size,
        angles=draft.angles,
        facts=draft.facts,
        gsd_m=draft.gsd_m,
        accuracy=draft.accuracy,
        quality=quality(draft, tallies, registration),
        parents=draft.parents,
        lineage=draft.lineage,
    )


def quality_report(product: Product) -> dict[str, Any]:
    """What ``quality.json`` says: for people and machines that look at one product."""
    return {
        "id": product.id,
        "collection": product.collection,
        "revision": product.revision,
        "acquired": product.acquired.isoformat(),
        "angles": product.angles,
        "accuracy": product.accuracy,
        "bands": {
            band.name: band.model_dump(include={"units", "valid_percent", "minimum", "maximum", "mean", "stddev"})
            for band in product.bands
        },
        **product.quality,
    }


def stored_file(
    path: Path, record: ObjectRecord, *, key: str, media_type: str, roles: tuple[str, ...], title: str, home: Path
) -> StoredFile:
    """Record of one file; ``path`` is where it will lie when published."""
    return StoredFile(
        key=key,
        href=relative_href(path, home),
        media_type=media_type,
        roles=roles,
        title=title,
        size=record.size,
        sha256=record.sha256,
    )
