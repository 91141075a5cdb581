"""Pixels are the same however source and output are cut, whoever computes them, in whatever order."""

import dask
import numpy as np
import numpy.typing as npt
import pytest

from processing.geometry.lattice import lattice_nodes
from processing.geometry.layered import map_window
from processing.geometry.plan import plan_ortho
from processing.geometry.resample import Resampling, resample_reference
from processing.geometry.stage import orthorectify
from processing.model.image import OrthoImage
from processing.model.qa import Qa
from processing.testing.small_scenes import hills, scene_of_pixels, tilted_rpc

SHAPE = (400, 300)
MODEL = tilted_rpc(SHAPE)
TERRAIN = hills()


def textured() -> npt.NDArray[np.float32]:
    random = np.random.default_rng(1)
    pixels = random.normal(0.2, 0.05, (5, *SHAPE)).astype(np.float32)
    pixels[:, 100:110, 50:90] = np.nan
    pixels[1, random.random(SHAPE) < 0.01] = np.nan
    pixels[2, random.random(SHAPE) < 0.002] = 2.0
    return pixels


def image(*, shard_px: int = 256, resampling: str = "cubic", resolution_m: float = 10.0) -> OrthoImage:
    scene = scene_of_pixels(textured(), MODEL, saturated=2)
    plan = plan_ortho(scene, TERRAIN, resolution_m=resolution_m, snap="pixel", shard_px=shard_px)
    return orthorectify(scene, TERRAIN, plan, resampling=resampling)


def computed(ortho: OrthoImage, **options: object) -> tuple[bytes, bytes]:
    pixels, qa = dask.compute(ortho.pixels.data, ortho.qa.data, **options)
    return pixels.tobytes(), qa.tobytes()


@pytest.fixture(scope="module")
def expected() -> tuple[bytes, bytes]:
    return computed(image(), scheduler="sync")


@pytest.mark.parametrize("shard_px", [61, 97, 300, 5000])
def test_cutting_changes_nothing(expected: tuple[bytes, bytes], shard_px: int) -> None:
    assert computed(image(shard_px=shard_px), scheduler="sync") == expected


@pytest.mark.parametrize("resampling", Resampling)
def test_cutting_changes_nothing_where_the_output_is_coarser(resampling: Resampling) -> None:
    whole, cut = (image(shard_px=shard, resampling=resampling, resolution_m=27.0) for shard in (1000, 31))
    assert computed(whole, scheduler="sync") == computed(cut, scheduler="sync")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_change_nothing(expected: tuple[bytes, bytes], workers: int) -> None:
    assert computed(image(shard_px=100), scheduler="threads", num_workers=workers) == expected


def test_processes_change_nothing(expected: tuple[bytes, bytes]) -> None:
    assert computed(image(), scheduler="processes", num_workers=2) == expected


def test_the_same_graph_every_time_and_another_for_other_inputs(no_compute: None) -> None:
    assert image().pixels.data.name == image().pixels.data.name
    assert image().qa.data.name == image().qa.data.name
    assert image().pixels.data.name != image(resampling="bilinear").pixels.data.name
    assert image().pixels.data.name != image(shard_px=100).pixels.data.name
    keys = {str(key) for key in dict(image().pixels.data.dask)}
    assert keys == {str(key) for key in dict(image().pixels.data.dask)}


@pytest.mark.parametrize("resampling", Resampling)
def test_the_stage_is_mapping_then_formula(resampling: Resampling) -> None:
    """The whole output at once, every pixel mapped, no window, no cell skipped: what the plan may not change."""
    ortho = image(resampling=resampling.value)
    pixels = textured()
    scene = scene_of_pixels(pixels, MODEL)
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel")
    rows, cols = ortho.geobox.shape
    nodes = lattice_nodes(plan.lattice, plan.geobox, (0, rows, 0, cols), MODEL, TERRAIN)
    mapping = map_window(nodes, plan.lattice, plan.geobox, (0, rows), (0, cols), MODEL, TERRAIN, SHAPE)
    plain = resample_reference(pixels, mapping.line.ravel(), mapping.sample.ravel(), resampling)
    got, qa = dask.compute(ortho.pixels.data, ortho.qa.data, scheduler="sync")
    np.testing.assert_allclose(got, plain.reshape(got.shape), rtol=2e-5, atol=1e-6)
    assert np.isfinite(got).mean() > 0.2
    np.testing.assert_array_equal((qa & Qa.NODATA) != 0, np.isnan(got).any(axis=0))
    assert not (qa & Qa.NO_TERRAIN).any()


def test_the_plan_reads_no_more_than_it_says_and_misses_nothing() -> None:
    """Values at the very edge of each window are poison outside it: a tap beyond the plan would show."""
    pixels = textured()
    scene = scene_of_pixels(np.nan_to_num(pixels), MODEL)
    plan = plan_ortho(scene, TERRAIN, resolution_m=10.0, snap="pixel", shard_px=64)
    whole = orthorectify(scene, TERRAIN, plan, resampling="lanczos")
    reached = 0
    for block in plan.blocks:
        if block.source is None:
            continue
        reached += 1
        window = block.source
        assert 0 <= window.row0 < window.row1 <= SHAPE[0]
        poisoned = np.full_like(pixels, 1e30)
        inside = (slice(None), slice(window.row0, window.row1), slice(window.col0, window.col1))
        poisoned[inside] = np.nan_to_num(pixels)[inside]
        alone = orthorectify(scene_of_pixels(poisoned, MODEL), TERRAIN, plan, resampling="lanczos")
        row, col = block.window.row0, block.window.col0
        cut = np.s_[:, row : block.window.row1, col : block.window.col1]
        if reached % 7 == 1:
            a, b = dask.compute(alone.pixels.data[cut], whole.pixels.data[cut], scheduler="sync")
            assert a.tobytes() == b.tobytes()
    assert 4 < reached < len(plan.blocks)
