"""Three Pleiades views of one hill: over its surface model they agree, over flat ground they cannot."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from skimage.registration import phase_cross_correlation

from processing.geometry.extent import ground_bounds
from processing.geometry.plan import plan_ortho
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.model.scene import Scene
from processing.readers.dem import open_terrain

pytestmark = pytest.mark.realdata

PATCH, PIXEL_M = 64, 0.5
BOUNDS = (698053.031, 4792556.569, 698485.531, 4792984.069)


def shifts(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Displacements of patches, m, rows and columns: windowed phase correlation."""
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    found = []
    for row in range(0, first.shape[0] - PATCH, PATCH // 2):
        for col in range(0, first.shape[1] - PATCH, PATCH // 2):
            cut = np.s_[row : row + PATCH, col : col + PATCH]
            if max(np.isnan(first[cut]).mean(), np.isnan(second[cut]).mean()) > 0.1:
                continue
            a, b = (np.nan_to_num(image[cut] - np.nanmean(image[cut])) * window for image in (first, second))
            found.append(phase_cross_correlation(a, b, upsample_factor=50, normalization=None)[0])
    return PIXEL_M * np.array(found)


def test_orthos_agree_over_the_surface_and_not_over_flat_ground(
    realdata: Path, scene_in_counts: Callable[[str], Scene]
) -> None:
    scenes = [scene_in_counts(f"s2p-phr-marseille/img_0{number}.tif") for number in (1, 2, 3)]
    first = scenes[0].model
    assert first is not None
    surface = open_terrain(
        realdata / "s2p-phr-marseille" / "dsm_s2p_50cm_ellipsoidal.tif",
        bounds=ground_bounds(first, scenes[0].shape),
        vertical_datum="ellipsoid",
    )
    flat = Terrain(
        heights=np.full_like(surface.heights, np.nanmedian(surface.heights)),
        crs=surface.crs,
        transform=surface.transform,
        datum_note="one height",
    )
    scatter, bias = {}, {}
    for name, terrain in (("surface", surface), ("flat", flat)):
        images = []
        for scene in scenes:
            plan = plan_ortho(scene, terrain, resolution_m=PIXEL_M, crs="EPSG:32631", bounds=BOUNDS, snap="pixel")
            images.append(orthorectify(scene, terrain, plan).pixels.compute().to_numpy()[0])
        pairs = [shifts(a, b) for a, b in combinations(images, 2)]
        assert min(len(pair) for pair in pairs) >= 40
        medians = [np.median(pair, axis=0) for pair in pairs]
        scatter[name] = [float(np.median(np.hypot(*(pair - m).T))) for pair, m in zip(pairs, medians, strict=True)]
        bias[name] = [float(np.hypot(*median)) for median in medians]
    assert max(scatter["surface"]) <= 0.13
    assert max(bias["surface"]) <= 0.6
    assert min(scatter["flat"]) >= 1.5
