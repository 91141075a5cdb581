"""Sensor-level pixel files."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC
from rasterio.windows import Window

from processing.geometry.rpc import Rpc
from processing.model.sensor_model import PixelConvention

Counts = npt.NDArray[np.uint16]

_BLOCK = 256


def write_counts(path: Path, counts: Counts, rpc: Rpc | None = None) -> None:
    """A TIFF of counts, (bands, lines, samples), without georeference, as sensor-level images have none.

    Parameters
    ----------
    path
        Where to.
    counts
        The pixels; 0 is declared nodata.
    rpc
        Written as TIFF tag 50844 in its convention: (0, 0) is the centre of the first pixel.
    """
    bands, lines, samples = counts.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            dtype="uint16",
            count=bands,
            height=lines,
            width=samples,
            nodata=0,
            interleave="pixel",
            tiled=True,
            blockxsize=_BLOCK,
            blockysize=_BLOCK,
            compress="deflate",
            zlevel=1,
            predictor=2,
        ) as image:
            if rpc is not None:
                image.rpcs = rpc_tag(rpc)
            for top in range(0, lines, _BLOCK):
                rows = counts[:, top : top + _BLOCK]
                image.write(rows, window=Window(0, top, samples, rows.shape[1]))


def rpc_tag(rpc: Rpc) -> RPC:
    """An RPC as GDAL takes it: (0, 0) is the centre of the first pixel."""
    shift = PixelConvention.CENTRE_ZERO.value
    return RPC(
        err_bias=rpc.err_bias,
        err_rand=rpc.err_rand,
        line_off=rpc.line_off - shift,
        samp_off=rpc.sample_off - shift,
        lat_off=rpc.lat_off,
        long_off=rpc.lon_off,
        height_off=rpc.height_off,
        line_scale=rpc.line_scale,
        samp_scale=rpc.sample_scale,
        lat_scale=rpc.lat_scale,
        long_scale=rpc.lon_scale,
        height_scale=rpc.height_scale,
        line_num_coeff=list(rpc.line_num),
        line_den_coeff=list(rpc.line_den),
        samp_num_coeff=list(rpc.sample_num),
        samp_den_coeff=list(rpc.sample_den),
    )
