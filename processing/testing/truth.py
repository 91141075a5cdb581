"""Keeps the truth of a package beside it: rasters, exact pairs of ground and image points, and the camera.

``truth.json`` states, under ``groups`` by detector group: ``shape`` (lines, samples), ``resolution_m``, ``grid`` (crs,
transform a-f, shape), ``bands`` (name, label, counts_per_radiance, esun; in the order of the rasters), ``bias_px``
(where the nominal camera puts a ground point minus where the image has it: mean, and spread over the image, of line
and sample), ``jitter_px`` (RMS), ``rpc_fit_px`` (of the delivered RPC against the nominal camera), ``relief_m``,
``cover_percent`` by class, ``camera`` (the nominal one) and ``files``. At the top: ``sensor``, ``mission``,
``package``, ``tle``, ``acquisition`` (time, orbit, roll, pitch, sun, pointing errors, seed), ``classes`` (name to
code) and ``clear_land`` (the codes that are).

``files`` of a group, all GeoTIFF in EPSG:32643: ``reflectance`` (uint16 times the file's scale, 0 where not seen),
``cover`` (class codes, 0 where not seen) and ``offset`` (columns and rows, in pixels of the grid, from a product's
pixel to the place whose light it holds, because the constant pointing error is not known to the product's maker).
"""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine

from processing.testing.acquisition import Acquisition
from processing.testing.exposure import Exposure
from processing.testing.map_truth import CRS, MapTruth
from processing.testing.materials import Cover
from processing.testing.relief import Posts
from processing.testing.surface import seen_on_surface

SCALE = 5e-5
"""Of the stored reflectances: rounding them errs by 2.5e-5 at most."""
CLEAR_LAND = (Cover.FIELD, Cover.GRASS, Cover.FOREST, Cover.ROCK, Cover.BUILT)
_PAIRS = 21
"""Exact pairs per axis of the image."""

_PAIR_FIELDS = (
    "group",
    "line",
    "sample",
    "lon",
    "lat",
    "height",
    "nominal_line",
    "nominal_sample",
    "nominal_lon",
    "nominal_lat",
    "nominal_height",
)
"""``line, sample`` (corner-zero) sees ``lon, lat, height``; the nominal camera would see that point at ``nominal_line,
nominal_sample``, and takes ``line, sample`` for ``nominal_lon, nominal_lat, nominal_height``."""


def write_map_truth(folder: Path, group: str, truth: MapTruth) -> dict[str, str]:
    """Write the rasters of a group; file names by role."""
    names = {role: f"{role}_{group}.tif" for role in ("reflectance", "cover", "offset")}
    stored = np.clip(np.nan_to_num(truth.reflectance / SCALE, nan=0.0), 0, 65535)
    np.rint(stored, out=stored)
    _write(folder / names["reflectance"], stored.astype(np.uint16), truth.grid.transform, scale=SCALE)
    _write(folder / names["cover"], truth.cover[None], truth.grid.transform)
    _write(folder / names["offset"], truth.offset, truth.offset_transform)
    return names


def _write(path: Path, values: npt.NDArray[Any], transform: Affine, scale: float | None = None) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=values.dtype,
        count=values.shape[0],
        height=values.shape[1],
        width=values.shape[2],
        crs=CRS,
        transform=transform,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        zlevel=1,
        predictor=3 if values.dtype == np.float32 else 2,
        nodata=None if values.dtype == np.float32 else 0,
    ) as raster:
        if scale is not None:
            raster.scales = (scale,) * values.shape[0]
        raster.write(values)


def exact_pairs(acquisition: Acquisition, group: str, posts: Posts) -> list[dict[str, Any]]:
    """Rows of ``pairs.csv`` for a group: a regular net over the image, on the surface."""
    nominal, true = acquisition.nominal[group], acquisition.true(group)
    lines, samples = nominal.shape
    line, sample = np.meshgrid(np.linspace(0, lines, _PAIRS), np.linspace(0, samples, _PAIRS), indexing="ij")
    lon, lat, height = seen_on_surface(true, posts, line, sample)
    nominal_line, nominal_sample = nominal.ground_to_image(lon, lat, height)
    nominal_place = seen_on_surface(nominal, posts, line, sample)
    columns = (line, sample, lon, lat, height, nominal_line, nominal_sample, *nominal_place)
    return [
        {"group": group} | dict(zip(_PAIR_FIELDS[1:], row, strict=True))
        for row in zip(*(column.ravel().tolist() for column in columns), strict=True)
    ]


def write_pairs(path: Path, pairs: list[dict[str, Any]]) -> None:
    """Write exact pairs, numbers in full precision."""
    with path.open("w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, _PAIR_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(pairs)


def describe_group(
    exposure: Exposure, truth: MapTruth, files: dict[str, str], pairs: list[dict[str, Any]]
) -> dict[str, Any]:
    """What ``truth.json`` says of a detector group."""
    acquisition, group = exposure.acquisition, exposure.array.group
    miss = np.array([(p["nominal_line"] - p["line"], p["nominal_sample"] - p["sample"]) for p in pairs])
    ground = [np.array([p[name] for p in pairs]) for name in ("lon", "lat", "height")]
    still = np.stack(acquisition.biased(group).ground_to_image(*ground), axis=1)
    seen = np.array([(p["line"], p["sample"]) for p in pairs])
    counts = np.bincount(truth.cover.ravel(), minlength=len(Cover))
    imaged = max(int(counts[1:].sum()), 1)
    return {
        "shape": list(exposure.shape),
        "resolution_m": truth.grid.resolution_m,
        "grid": {"crs": CRS, "transform": list(truth.grid.transform)[:6], "shape": list(truth.grid.shape)},
        "bands": [
            {
                "name": band.name,
                "label": band.label,
                "counts_per_radiance": band.counts_per_radiance,
                "esun": band.esun,
            }
            for band in exposure.array.bands
        ],
        "bias_px": {
            "line": float(miss[:, 0].mean()),
            "sample": float(miss[:, 1].mean()),
            "line_spread": float(np.ptp(miss[:, 0])),
            "sample_spread": float(np.ptp(miss[:, 1])),
        },
        "jitter_px": float(np.sqrt(np.mean(np.sum((still - seen) ** 2, axis=1)))),
        "rpc_fit_px": {"rmse": exposure.rpc_fit.rmse_px, "max": exposure.rpc_fit.max_px},
        "relief_m": [float(np.min(ground[2])), float(np.max(ground[2]))],
        "cover_percent": {cover.name.lower(): 100.0 * int(counts[cover]) / imaged for cover in Cover if cover},
        "camera": json.loads(json.dumps(asdict(acquisition.nominal[group]), default=str)),
        "files": files,
    }


def describe_acquisition(acquisition: Acquisition, seed: int) -> dict[str, Any]:
    """What ``truth.json`` says of the acquisition."""
    lon, lat = next(iter(acquisition.nominal.values())).image_to_ground(0.0, 0.0, 0.0)
    zenith, azimuth = acquisition.sun_angles(float(lon), float(lat))
    return {
        "number": acquisition.number,
        "seed": seed,
        "time": acquisition.moment(acquisition.seconds).isoformat(),
        "orbit": acquisition.orbit,
        "roll_deg": acquisition.roll_deg,
        "pitch_deg": acquisition.pitch_deg,
        "sun_zenith_deg": zenith,
        "sun_azimuth_deg": azimuth,
        "sun_distance_au": acquisition.sun_distance_au,
        "pointing": asdict(acquisition.pointing),
    }
