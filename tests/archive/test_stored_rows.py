"""Rows are put together from tiles of whatever size, also from a source that fills the same memory again and again."""

import numpy as np
import pytest

from processing.archive.shards import stored_rows
from processing.model.image import Tile
from processing.model.product import Encoding

ENCODING = Encoding(title="dn", dtype="uint16", scale=1.0, offset=0.0, nodata=0)
SHAPE = (1300, 700)


@pytest.mark.parametrize("height", [100, 500, 512, 2000])
@pytest.mark.parametrize("tile_px", [90, 125, 512, 1300])
def test_no_tile_loses_what_reaches_into_later_rows(height, tile_px):
    whole = np.random.default_rng(1).integers(1, 9999, (1, *SHAPE)).astype(np.float32)
    flags = np.random.default_rng(2).integers(0, 2, SHAPE).astype(np.uint16) * 4
    memory, beside = np.empty((1, tile_px, tile_px), np.float32), np.empty((tile_px, tile_px), np.uint16)

    def tiles():
        for top in range(0, SHAPE[0], tile_px):
            for left in range(0, SHAPE[1], tile_px):
                rows, cols = slice(top, min(top + tile_px, SHAPE[0])), slice(left, min(left + tile_px, SHAPE[1]))
                values = memory[:, : rows.stop - top, : cols.stop - left]
                bits = beside[: rows.stop - top, : cols.stop - left]
                values[:], bits[:] = whole[:, rows, cols], flags[rows, cols]
                yield Tile(rows, cols, values, bits)
                memory.fill(np.nan)
                beside.fill(0xFFFF)

    found = [(first, *(array.copy() for array in arrays)) for first, arrays in
             stored_rows(SHAPE, {"pan": ENCODING}, tiles(), height)]  # fmt: skip
    assert [first for first, *_ in found] == list(range(0, SHAPE[0], height))
    np.testing.assert_array_equal(np.concatenate([stored for _, stored, _ in found]), whole[0])
    np.testing.assert_array_equal(np.concatenate([bits for *_, bits in found]), flags)
