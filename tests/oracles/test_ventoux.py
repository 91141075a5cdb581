"""RPC projection against the direct-location grids of the vendor's physical model: no half pixel is lost."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from processing.model.sensor_model import PixelConvention
from processing.readers.rpc_files import read_rpc

pytestmark = pytest.mark.realdata

NAME = "PHR1B_P_201308051042194_SEN_690908101-001"


@pytest.mark.parametrize("suffix", ["", "_LARGE"])
def test_projection_meets_the_grid_nodes(realdata: Path, suffix: str) -> None:
    folder = realdata / "shareloc-phr-ventoux"
    rpc = read_rpc(folder / f"RPC_{NAME}.XML")
    with rasterio.open(folder / f"GRID_{NAME}{suffix}.tif") as dataset:
        values, step, first = dataset.read(), dataset.transform.a, dataset.transform.f
        facts = {key: value for space in dataset.tag_namespaces() for key, value in dataset.tags(ns=space).items()}
    line, sample = np.mgrid[0 : values.shape[1], 0 : values.shape[2]] * step + first
    for layer in range(values.shape[0] // 2):
        lon, lat = values[2 * layer], values[2 * layer + 1]
        height = float(facts[f"LG_ALTITUDE_B{2 * layer}"])
        seen_line, seen_sample = rpc.ground_to_image(lon, lat, height)
        # As the file counts: the grid has 0.5 at the first pixel's centre, the RPC has 1.
        for miss in (seen_line - line, seen_sample - sample):
            delivered = miss - PixelConvention.CENTRE_ONE.value
            assert abs(delivered.mean() - 0.5) <= 0.001
            assert delivered.std() <= 0.0005
            assert np.abs(delivered - 0.5).max() <= 0.0015
        back_lon, back_lat = rpc.image_to_ground(line, sample, height)
        metres = 111_320 * np.hypot((back_lon - lon) * np.cos(np.radians(44.2)), back_lat - lat)
        assert metres.max() < 0.001
