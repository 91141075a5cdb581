"""Reference rasters: windows are what the file holds there, means are means, and what has no value is not black."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp, Resampling

from processing.model.errors import BadInput
from processing.readers.reference import open_reference, open_references, overlapping

AT = rasterio.Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 4_780_000.0)


def written(path: Path, pixels: npt.NDArray[np.generic], **more: object) -> Path:
    profile = {"crs": "EPSG:32643", "transform": AT, "tiled": True, "blockxsize": 64, "blockysize": 64} | more
    with rasterio.open(
        path, "w", driver="GTiff", count=len(pixels), height=pixels.shape[1], width=pixels.shape[2],
        dtype=pixels.dtype, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    return path


def picture(bands: int, seed: int = 0) -> npt.NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(1, 5000, (bands, 256, 320)).astype(np.uint16)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.integers(0, 20), st.integers(0, 20), st.sampled_from([1, 2, 3, 5, 8]), st.integers(1, 4))
def test_a_window_is_the_mean_of_what_the_file_holds_there(
    tmp_path: Path, row: int, col: int, factor: int, bands: int
) -> None:
    pixels = picture(bands)
    reference = open_reference(written(tmp_path / "a.tif", pixels))
    size = 24 * factor
    found = reference.grey((row, row + size), (col, col + size), factor)
    used = pixels[: 3 if bands >= 3 else 1, row : row + size, col : col + size].astype(float).mean(axis=0)
    assert found == pytest.approx(used.reshape(24, factor, 24, factor).mean(axis=(1, 3)), rel=1e-6)


def test_overviews_serve_only_what_is_far_coarser(tmp_path: Path) -> None:
    """A means-of-16 pixel may come from an overview: by the same mean, to the rounding of its integers."""
    pixels = picture(1)
    path = written(tmp_path / "a.tif", pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.average)
    found = open_reference(path).grey((0, 256), (0, 256), 16)
    truth = pixels[0, :256, :256].astype(float).reshape(16, 16, 16, 16).mean(axis=(1, 3))
    assert np.abs(found - truth).max() <= 1.0


def test_what_has_no_value_is_nan_and_a_dark_colour_is_not(tmp_path: Path) -> None:
    pixels = picture(3)
    pixels[:, :10, :] = 0
    pixels[0, 20, 20] = 0
    declared = open_reference(written(tmp_path / "declared.tif", pixels, nodata=0)).grey((0, 64), (0, 64))
    silent = open_reference(written(tmp_path / "silent.tif", pixels)).grey((0, 64), (0, 64))
    for found in (declared, silent):
        assert np.isnan(found[:10]).all()
        assert np.isfinite(found[10:]).all()
    alpha = np.concatenate([picture(3), np.full((1, 256, 320), 65535, np.uint16)])
    alpha[3, 30:40] = 0
    path = written(tmp_path / "alpha.tif", alpha, photometric="RGB", alpha="unspecified")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    found = open_reference(path).grey((0, 64), (0, 64))
    assert np.isnan(found[30:40]).all()
    assert np.isfinite(found[40:]).all()


def test_only_what_is_on_a_map_and_near_counts(tmp_path: Path) -> None:
    near = written(tmp_path / "near.tif", picture(1))
    written(tmp_path / "far.tif", picture(1), crs="EPSG:32613")
    references = open_references([tmp_path])
    assert [reference.name for reference in references] == ["far.tif", "near.tif"]
    assert [reference.name for reference in overlapping(references, (76.2, 43.1, 76.3, 43.2))] == ["near.tif"]
    assert len(open_reference(near).record.sha256) == 64
    nowhere = written(tmp_path / "nowhere.tif", picture(1), crs=None, transform=rasterio.Affine.identity())
    for path, kind in ((nowhere, "reference.not_on_map"), (tmp_path / "none.tif", "reference.missing")):
        with pytest.raises(BadInput) as refused:
            open_reference(path)
        assert refused.value.kind == kind
    with pytest.raises(BadInput, match="no reference image"):
        open_references([])


def test_a_file_that_changes_underway_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", picture(1))
    reference = open_reference(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BadInput) as refused:
        reference.grey((0, 8), (0, 8))
    assert refused.value.kind == "file.changed"
