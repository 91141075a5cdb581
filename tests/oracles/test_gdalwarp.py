"""Where we look and where GDAL looks: a coordinate image orthorectified by both."""

from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.rpc import RPC
from rasterio.warp import Resampling, reproject

from processing.geometry.plan import plan_ortho
from processing.geometry.rpc import Rpc
from processing.geometry.stage import orthorectify
from processing.testing.small_scenes import coordinate_pixels, hills, scene_of_pixels, tilted_rpc

SHAPE = (400, 300)


def as_gdal(rpc: Rpc) -> RPC:
    """GDAL counts from the first pixel's centre."""
    return RPC(
        height_off=rpc.height_off,
        height_scale=rpc.height_scale,
        lat_off=rpc.lat_off,
        lat_scale=rpc.lat_scale,
        long_off=rpc.lon_off,
        long_scale=rpc.lon_scale,
        line_off=rpc.line_off - 0.5,
        line_scale=rpc.line_scale,
        samp_off=rpc.sample_off - 0.5,
        samp_scale=rpc.sample_scale,
        line_num_coeff=list(rpc.line_num),
        line_den_coeff=list(rpc.line_den),
        samp_num_coeff=list(rpc.sample_num),
        samp_den_coeff=list(rpc.sample_den),
        err_bias=0.0,
        err_rand=0.0,
    )


@pytest.mark.parametrize("resampling", ["bilinear", "cubic"])
def test_we_look_where_gdal_looks(tmp_path: Path, resampling: str) -> None:
    model, terrain = tilted_rpc(SHAPE), hills()
    pixels = coordinate_pixels(SHAPE)
    scene = scene_of_pixels(pixels, model)
    plan = plan_ortho(scene, terrain, resolution_m=10.0, snap="pixel")
    ours = orthorectify(scene, terrain, plan, resampling=resampling)
    positions = dask.compute(ours.pixels.data, scheduler="sync")[0]
    dem = tmp_path / "dem.tif"
    rows, cols = terrain.heights.shape
    with rasterio.open(
        dem,
        "w",
        driver="GTiff",
        height=rows,
        width=cols,
        count=1,
        dtype="float32",
        crs=terrain.crs,
        transform=Affine(*tuple(terrain.transform)[:6]),
    ) as dataset:
        dataset.write(terrain.heights, 1)
    theirs = np.full(positions.shape, np.nan, dtype=np.float32)
    reproject(
        pixels,
        theirs,
        rpcs=as_gdal(model),
        src_crs="EPSG:4326",
        dst_transform=plan.geobox.affine,
        dst_crs=str(plan.geobox.crs),
        src_nodata=np.nan,
        dst_nodata=np.nan,
        init_dest_nodata=True,
        resampling=Resampling[resampling],
        tolerance=0.0,
        # GDAL softens rotated scenes unless told not to.
        XSCALE=1,
        YSCALE=1,
        RPC_DEM=str(dem),
        RPC_DEMINTERPOLATION="bilinear",
        RPC_DEM_APPLY_VDATUM_SHIFT="FALSE",
    )
    both = np.isfinite(positions).all(axis=0) & np.isfinite(theirs).all(axis=0)
    inner = both & (positions > 4).all(axis=0) & (positions[0] < SHAPE[0] - 4) & (positions[1] < SHAPE[1] - 4)
    assert inner.sum() > 50_000
    assert np.hypot(*(positions - theirs)[:, inner]).max() <= 0.01
    # Both leave the same pixels empty, but for the outermost row of source pixels.
    assert (np.isfinite(positions).all(axis=0) ^ np.isfinite(theirs).all(axis=0)).mean() < 0.01
