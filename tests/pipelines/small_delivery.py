"""The smallest real delivery with terrain under it, and what tests of making it again have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipelines.outcomes import PackageOutcome
from pipelines.requests import SceneRequest
from processing.chain import build_l1c
from processing.model.quality import Outcome
from processing.testing import minimal

WEST, EAST = "elevation_west.tif", "elevation_east.tif"
_HALF_DEG = 0.04
_CELLS = 60
"""On a side of one tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallDelivery:
    """A package of a multispectral and a panchromatic image, and two elevation tiles that meet beneath it."""

    package: Path
    dem: Path


def write_delivery(folder: Path) -> SmallDelivery:
    """A KazEOSat-1 package of 48 x 64 (and 192 x 256) pixels over a slope of some hundred metres."""
    dem = folder / "dem"
    dem.mkdir(parents=True)
    pitch = _HALF_DEG / _CELLS
    rows, columns = np.mgrid[: 2 * _CELLS, : 2 * _CELLS]
    heights = (minimal.HEIGHT + columns - _CELLS + 3 * np.sin(rows / 5)).astype(np.float32)
    for name, first in ((WEST, 0), (EAST, _CELLS)):
        write_tile(dem / name, heights[:, first : first + _CELLS], minimal.LON - _HALF_DEG + first * pitch)
    return SmallDelivery(package=minimal.write_dimap_v2(folder / "in").root, dem=dem)


def write_tile(path: Path, heights: np.ndarray, west: float) -> None:
    """Ellipsoidal heights as a GeoTIFF whose north edge is that of the area."""
    pitch = _HALF_DEG / _CELLS
    transform = rasterio.Affine(pitch, 0, west, 0, -pitch, minimal.LAT + _HALF_DEG)
    facts = {"crs": "EPSG:4979", "transform": transform, "dtype": "float32", "count": 1}
    shape = {"height": heights.shape[0], "width": heights.shape[1]}
    with rasterio.open(path, "w", driver="GTiff", **facts, **shape) as dataset:
        dataset.write(heights, 1)


@contextmanager
def small_lattice() -> Iterator[None]:
    """Products on a lattice of 250 pixels in the place of 2,500: a hundredth of the work, and nothing else differs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.planning.build_l1c", partial(build_l1c, shard_px=250))
        yield


def process(package: Path, home: Path, **more: object) -> PackageOutcome:
    """One run of ``process-scene`` that must publish."""
    from pipelines.process import process_scene

    request = SceneRequest.model_validate({"package": str(package), "home": str(home), **more})
    outcome = PackageOutcome.model_validate(process_scene(request))
    assert outcome.outcome is Outcome.PUBLISHED, outcome
    return outcome


def names(outcome: PackageOutcome) -> list[str]:
    """``COLLECTION/ID`` of what was published."""
    return [f"{item.collection}/{item.id}" for item in outcome.items]
