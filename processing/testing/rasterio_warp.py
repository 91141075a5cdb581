"""The same work by rasterio alone: a script, run as a process of its own, that imports nothing of Qyran's.

Arguments as JSON: ``image, dem, out, crs, transform (a-f), shape, resampling, nodata, threads, creation``.
"""

import json
import sys

import rasterio
from affine import Affine
from rasterio.warp import Resampling, reproject


def main() -> None:
    """Warp all bands of an image with an RPC over a DEM, exactly (``tolerance=0``)."""
    job = json.loads(sys.argv[1])
    with rasterio.open(job["image"]) as source:
        profile = {
            "driver": "GTiff",
            "count": source.count,
            "dtype": source.dtypes[0],
            "height": job["shape"][0],
            "width": job["shape"][1],
            "crs": job["crs"],
            "transform": Affine(*job["transform"]),
            "nodata": float(job["nodata"]),
            **job["creation"],
        }
        with rasterio.open(job["out"], "w", **profile) as target:
            reproject(
                rasterio.band(source, list(source.indexes)),
                rasterio.band(target, list(target.indexes)),
                rpcs=source.rpcs,
                src_crs="EPSG:4326",
                dst_nodata=float(job["nodata"]),
                resampling=Resampling[job["resampling"]],
                tolerance=0.0,
                num_threads=job["threads"],
                warp_mem_limit=2000,
                RPC_DEM=job["dem"],
            )


if __name__ == "__main__":
    main()
