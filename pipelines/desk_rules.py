"""What is not processed at all, and what waits for an operator's eyes: the rules of ``HOME/configs/desk.yaml``."""

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from configs.desk import load_desk
from configs.schema.desk import DeskConfig, ReviewLimits
from configs.settings import Home
from pipelines.outcomes import Stop
from pipelines.refinement import NOT_REFINED
from processing.geometry.terrain import Terrain
from processing.model.composite_layers import BESIDE
from processing.model.product import Product, StoredBand
from processing.model.quality import Outcome
from processing.model.scene import Delivery

_MOSTLY = 50.0
"""Percent of pixels: where more were not tested for cloud, what the test found says little."""
_WATER_M = 0.02
"""Elevation models lay water flat; a geoid's slope is smooth beneath it. Bare ground is nowhere as smooth."""


class Finding(BaseModel):
    """One reason why a product waits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    """``review.*``"""
    text: str
    """What was found, and what the limit is."""


def screened(delivery: Delivery, home: Home) -> Stop | None:
    """Why nothing is made of a delivery, although nothing is wrong with it; None where something is."""
    rules = load_desk(home.configs)
    zeniths = [zenith for scene in delivery.scenes if (zenith := scene.angles.sun_zenith_deg) is not None]
    if zeniths and 90.0 - max(zeniths) < rules.low_sun_deg:
        return _left_out(delivery, "scene.low_sun", f"the sun stood at {90.0 - max(zeniths):.1f} degrees")
    stated = [
        cloud for scene in delivery.scenes if (cloud := scene.platform_facts.get("cloud_cover_percent")) is not None
    ]
    cloud = min((float(each) for each in stated), default=None)
    if rules.all_cloud_percent is not None and cloud is not None and cloud >= rules.all_cloud_percent:
        return _left_out(delivery, "scene.all_cloud", f"the delivery states {cloud:g} % of cloud")
    return None


def over_water(delivery: Delivery, terrain: Terrain, home: Home) -> Stop | None:
    """Whether a delivery is left out because the ground beneath it is water; see ``sea_only``."""
    if not load_desk(home.configs).sea_only or not is_water(terrain):
        return None
    return _left_out(delivery, "scene.sea_only", "the elevation model shows nothing but water")


def is_water(terrain: Terrain) -> bool:
    """Whether heights are as smooth as only water is in an elevation model."""
    bends = (np.abs(np.diff(terrain.heights, n=2, axis=axis)) for axis in (0, 1) if terrain.heights.shape[axis] > 2)
    largest = [float(np.nanmax(bend)) for bend in bends if np.isfinite(bend).any()]
    return bool(largest) and max(largest) < _WATER_M


def _left_out(delivery: Delivery, code: str, found: str) -> Stop:
    return Stop(
        outcome=Outcome.REJECTED,
        reason=code,
        message=f"{found}: nothing is made of {delivery.delivery_id}",
        where=delivery.delivery_id,
        remedy="To process such scenes all the same, change HOME/configs/desk.yaml.",
    )


def findings(product: Product, rules: DeskConfig) -> tuple[Finding, ...]:
    """Why a product waits for an operator; nothing where it need not."""
    return tuple(_found(product, rules.limits(product.mission, product.recipe)))


def _found(product: Product, limits: ReviewLimits) -> Iterator[Finding]:
    yield from _accuracy(product, limits)
    offset = product.quality.get("registration", {}).get("largest_offset_px")
    if limits.band_offset_px is not None and offset is not None and offset > limits.band_offset_px:
        yield _finding("registration", f"a band lies {offset:.2f} px off, more than {limits.band_offset_px:g}")
    worst = emptiest_band(product)
    if limits.valid_percent is not None and worst.valid_percent < limits.valid_percent:
        text = f"{worst.valid_percent:.1f} % of the footprint hold values in band {worst.name}"
        yield _finding("nodata", f"{text}, less than {limits.valid_percent:g} %")
    cloud = cloud_percent(product)
    if limits.cloud_percent is not None and cloud is not None and cloud > limits.cloud_percent:
        yield _finding("cloud", f"{cloud:.1f} % of cloud, more than {limits.cloud_percent:g} %")
    warnings: Sequence[str] = product.quality.get("warnings", ())
    for warning in warnings:
        if limits.unrefined and warning.startswith(NOT_REFINED):
            yield _finding("unrefined", warning)
        elif limits.warnings and warning.startswith(limits.warnings):
            yield _finding("warned", warning)


def _accuracy(product: Product, limits: ReviewLimits) -> Iterator[Finding]:
    measured = product.accuracy.get("ce90_m")
    for limit in (limits.ce90_m, limits.ce90_gsd and limits.ce90_gsd * product.gsd_m):
        if limit is not None and measured is not None and measured > limit:
            yield _finding("accuracy", f"CE90 is {measured:.2f} m, more than {limit:g} m")
            return


def emptiest_band(product: Product) -> StoredBand:
    """The band of the image that holds the fewest values; angles are no image."""
    images = [band for band in product.bands if band.group not in BESIDE]
    return min(images or product.bands, key=lambda band: band.valid_percent)


def cloud_percent(product: Product) -> float | None:
    """Cloud in a product, percent: as tested, else as its delivery stated; None where nobody looked."""
    for flags in product.quality.get("flags_percent", {}).values():
        if "cloud" in flags and flags.get("cloud_not_tested", 0.0) < _MOSTLY:
            return float(flags["cloud"])
    stated = product.facts.get("cloud_cover_percent")
    return None if stated is None else float(stated)


def _finding(code: str, text: str) -> Finding:
    return Finding(code=f"review.{code}", text=text)
