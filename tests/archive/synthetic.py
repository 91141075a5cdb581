"""Orthoimages that no camera took: smooth reflectance with noise inside a tilted outline, the same on every machine."""

from datetime import UTC, datetime

import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from processing.model.image import Arrays, OrthoImage
from processing.model.levels import Quantity
from processing.model.lineage import InputRecord, Lineage
from processing.model.product import Encoding, ProductDraft
from processing.model.qa import Qa
from processing.model.scene import Band

ACQUIRED = datetime(2026, 4, 24, 5, 20, 11, tzinfo=UTC)
NAMES = {"blue": 485.0, "green": 560.0, "red": 665.0, "nir": 820.0, "pan": 600.0, "ndvi": None}
REFLECTANCE = Encoding(title="reflectance", dtype="uint16", scale=1e-4, offset=-0.1, nodata=0)


def geobox(shape=(700, 900), resolution=4.0, crs="EPSG:32643", origin=(650_000.0, 4_800_000.0)) -> GeoBox:
    """A grid with its upper left corner at ``origin``, near Almaty."""
    return GeoBox(shape, Affine(resolution, 0, origin[0], 0, -resolution, origin[1]), crs)


def values(shape, bands, seed=1) -> np.ndarray:
    """Float32 ``(band, y, x)``: NaN outside a tilted rectangle that leaves the corners empty."""
    rows, columns = shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    smooth = 0.15 + 0.1 * np.sin(y / 50) * np.cos(x / 70)
    noise = np.random.default_rng(seed).normal(0, 0.01, (bands, rows, columns))
    u, v = (x / columns - 0.5) + 0.2 * (y / rows - 0.5), (y / rows - 0.5) - 0.2 * (x / columns - 0.5)
    inside = (abs(u) < 0.42) & (abs(v) < 0.42)
    return np.where(inside, smooth + noise + 0.02 * np.arange(bands)[:, None, None], np.nan).astype(np.float32)


def image(pixels, box, names, *, group="reflectance", chunks=(2500, 2500), quantity=Quantity.TOA_REFLECTANCE, qa=None):
    """A lazy orthoimage of given pixels."""
    if qa is None:
        qa = np.where(np.isnan(pixels).any(axis=0), int(Qa.NODATA | Qa.CLOUD_NOT_TESTED), int(Qa.CLOUD_NOT_TESTED))
    return OrthoImage(
        group=group,
        geobox=box,
        bands=tuple(
            Band(
                name=name,
                label=name.upper(),
                common_name=name if NAMES[name] else None,
                centre_nm=NAMES[name],
                fwhm_nm=60.0,
            )
            for name in names
        ),
        arrays=Arrays(
            pixels=xr.DataArray(da.from_array(pixels, chunks=(len(names), *chunks)), dims=("band", "y", "x")),
            qa=xr.DataArray(da.from_array(qa.astype(np.uint16), chunks=chunks), dims=("y", "x")),
        ),
        quantity=quantity,
    )


def draft(names=("blue", "green", "red", "nir"), *, package="ab", item="KZ1_20260424T052011_00000000_L1C", **changes):
    """What is known beforehand of a product with these bands."""
    facts = {
        "id": item,
        "collection": "kazeosat-1-l1c",
        "mission": "kazeosat-1",
        "sensor": "kazeosat-1-naomi",
        "recipe": "l1c",
        "level": "l1c",
        "acquired": ACQUIRED,
        "encodings": dict.fromkeys(names, REFLECTANCE),
        "angles": {
            "sun_zenith_deg": 40.0,
            "sun_azimuth_deg": 150.0,
            "view_zenith_deg": 10.0,
            "view_azimuth_deg": 281.5,
            "off_nadir_deg": 9.0,
        },
        "facts": {"absolute_orbit": 64001, "orbit_state": "descending"},
        "gsd_m": 4.0,
        "accuracy": {"ce90_m": 8.1, "rmse_m": 5.2},
        "visual": ("red", "green", "blue"),
        "lineage": lineage(package),
    }
    return ProductDraft(**(facts | changes))


def lineage(package="ab", **parameters) -> Lineage:
    """Lineage of a product of a package whose SHA-256 repeats two digits."""
    return Lineage(
        recipe="l1c",
        recipe_version="0.1.0",
        inputs=(InputRecord(role="package", name="DS_TEST", sha256=package * 32),),
        parameters={"resampling": "cubic"} | parameters,
        software={"qyran": "0.1.0"},
    )


def scene(shape=(700, 900), *, seed=1, chunks=(2500, 2500)):
    """The four-band image of most tests."""
    names = ("blue", "green", "red", "nir")
    return image(values(shape, 4, seed), geobox(shape), names, chunks=chunks)
