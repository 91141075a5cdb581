"""Lazy pixels: windows, chunks, names, and agreement with what metadata declares."""

import pickle
import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from processing.model.errors import BadInput
from processing.model.lazy import CHUNK_PIXELS, chunk_shape, counts_array
from processing.readers.pixels import PixelTile, open_source


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("pixels") / "image.tif"
    counts = np.random.default_rng(11).integers(0, 60_000, (3, 61, 83), dtype="uint16")
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=3,
        height=61,
        width=83,
        dtype="uint16",
        tiled=True,
        blockxsize=16,
        blockysize=32,
    ) as dataset:
        dataset.write(counts)
    return path, counts


@given(data=st.data())
def test_any_window_is_numpys(image: tuple[Path, np.ndarray], data: st.DataObject) -> None:
    path, counts = image
    index = tuple(data.draw(st.one_of(st.slices(size), st.integers(-size, size - 1))) for size in counts.shape)
    lazy = counts_array(open_source([PixelTile(path=path)])).data
    np.testing.assert_array_equal(lazy[index].compute(scheduler="synchronous"), counts[index])


@given(
    block=st.tuples(st.integers(1, 5000), st.integers(1, 60_000)),
    shape=st.tuples(st.integers(1, 60_000), st.integers(1, 60_000)),
)
def test_chunks_are_whole_blocks(block: tuple[int, int], shape: tuple[int, int]) -> None:
    lines, samples = chunk_shape(block, shape)
    for chunk, stored, whole in zip((lines, samples), block, shape, strict=True):
        assert 1 <= chunk <= whole
        assert chunk == whole or chunk % stored == 0
    # Larger than asked for only where a single stored block, or one line of blocks, is.
    assert lines * samples <= max(CHUNK_PIXELS, min(block[0], shape[0]) * min(max(block[1], 2048), shape[1]))


def test_graph_is_named_alike_in_every_process(image: tuple[Path, np.ndarray]) -> None:
    path, _ = image
    code = (
        "import sys; from pathlib import Path; from processing.readers.pixels import PixelTile, open_source;"
        "from processing.model.lazy import counts_array;"
        "print(counts_array(open_source([PixelTile(path=Path(sys.argv[1]))])).data.name)"
    )
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == counts_array(open_source([PixelTile(path=path)])).data.name


def test_a_task_is_small(image: tuple[Path, np.ndarray]) -> None:
    lazy = counts_array(open_source([PixelTile(path=image[0])])).data
    assert isinstance(lazy, da.Array)
    assert len(pickle.dumps(lazy)) < 5000


def test_declared_figures_must_be_the_files(image: tuple[Path, np.ndarray]) -> None:
    tile = [PixelTile(path=image[0])]
    assert open_source(tile, shape=(61, 83), bands=3, bits=12).shape == (3, 61, 83)
    for declared, kind in (({"shape": (61, 84)}, "raster.shape"), ({"bands": 4}, "bands"), ({"bits": 17}, "dtype")):
        with pytest.raises(BadInput) as refusal:
            open_source(tile, **declared)  # type: ignore[arg-type]
        assert refusal.value.kind == kind


def test_tiles_must_fit(tmp_path: Path, image: tuple[Path, np.ndarray]) -> None:
    odd = tmp_path / "odd.tif"
    with rasterio.open(odd, "w", driver="GTiff", count=3, height=60, width=83, dtype="uint16") as dataset:
        dataset.write(np.ones((3, 60, 83), dtype="uint16"))
    tiles = [PixelTile(path=image[0], row=1, column=1), PixelTile(path=odd, row=1, column=2)]
    with pytest.raises(BadInput) as refusal:
        open_source(tiles)
    assert refusal.value.kind == "raster.tiles"
    # One above the other they do fit: only their common width matters then.
    stacked = [PixelTile(path=image[0], row=1, column=1), PixelTile(path=odd, row=2, column=1)]
    assert open_source(stacked).shape == (3, 121, 83)
