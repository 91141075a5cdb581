"""Programs that open a product, each by its own means: what they find of it, to be held against what was put in.

``python -m tests.oracles.readers FILE.md`` makes a product, asks every reader, and writes the table for the README.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from processing.archive.encode import decode
from processing.archive.write import publish_product
from processing.model.product import Product
from tests.archive import synthetic

BAND, GROUP, LEVEL = "red", "reflectance", "r4m"
EPSG, LEFT, TOP, SIZE = 32643, 650_000.0, 4_800_000.0, 4.0
NODE = Path(__file__).parent / "node"
BY_ITSELF, BY_HAND = "yes", "from attributes"


class NotHere(Exception):
    """A reader that is not installed on this machine; how to install it."""


@dataclass(frozen=True)
class Made:
    """A product, and the values that it was made of."""

    home: Path
    product: Product
    values: np.ndarray
    """Physical, float32, NaN where nodata; what the encoding leaves of them."""

    @property
    def store(self) -> Path:
        return self.home / self.product.archive_href

    @property
    def level(self) -> Path:
        return self.store / "measurements" / GROUP / LEVEL

    def file(self, name: str) -> Path:
        return self.home / "products" / self.product.collection / self.product.id / name


@dataclass(frozen=True)
class Found:
    """What one reader says."""

    epsg: int
    centre: tuple[float, float]
    """Of the first pixel."""
    pixel: float
    values: np.ndarray
    """Physical, NaN where nodata."""
    how: tuple[str, str, str, str]
    """CRS, coordinates, scale, nodata: found by the reader itself, or taken from the attributes by whoever uses it."""
    remark: str = ""


@dataclass(frozen=True)
class Reader:
    """A reader, by name."""

    name: str
    of: str
    """``Zarr`` or ``COG``."""
    version: Callable[[], str]
    read: Callable[[Made], Found]


def make(home: Path) -> Made:
    """Four bands and pan, as small as can be with more than one chunk and level."""
    names = ("blue", "green", "red", "nir")
    values = synthetic.values((700, 900), 4)
    image = synthetic.image(values, synthetic.geobox(), names)
    product = publish_product(home, synthetic.draft(names), [image])
    stored = np.where(np.isnan(values[2]), 0, np.clip(np.rint((values[2].astype(float) + 0.1) / 1e-4), 1, 65535))
    return Made(home, product, decode(stored.astype(np.uint16), synthetic.REFLECTANCE))


def _epsg(wkt: str) -> int:
    from pyproj import CRS

    return int(CRS.from_wkt(wkt).to_epsg() or 0)


def _physical(stored: np.ndarray, attributes: dict[str, Any]) -> np.ndarray:
    values = stored * attributes["scale_factor"] + attributes["add_offset"]
    return np.where(stored == attributes["_FillValue"], np.nan, values)


def _zarr(made: Made) -> Found:
    import zarr

    level = zarr.open_group(made.store, mode="r")[f"measurements/{GROUP}/{LEVEL}"]
    array = level[BAND]
    return Found(
        _epsg(level["spatial_ref"].attrs["crs_wkt"]), (level["x"][0], level["y"][0]), level["x"][1] - level["x"][0],
        _physical(array[:], dict(array.attrs)), (BY_HAND,) * 4,
    )  # fmt: skip


def _xarray(made: Made) -> Found:
    import xarray as xr

    found = xr.open_zarr(made.store, group=f"measurements/{GROUP}/{LEVEL}")
    x = found.x.values
    return Found(
        _epsg(found.spatial_ref.attrs["crs_wkt"]), (x[0], found.y.values[0]), x[1] - x[0], found[BAND].values,
        (BY_HAND, BY_ITSELF, BY_ITSELF, BY_ITSELF), "a missing shard reads as nodata",
    )  # fmt: skip


def _rioxarray(made: Made) -> Found:
    import rioxarray  # noqa: F401 - registers the accessor
    import xarray as xr

    found = xr.open_dataset(made.store, engine="zarr", group=f"measurements/{GROUP}/{LEVEL}", decode_coords="all")
    place = found[BAND].rio.transform()
    assert found[BAND].rio.encoded_nodata == 0
    return Found(
        found.rio.crs.to_epsg(), (place.c + place.a / 2, place.f + place.e / 2), place.a, found[BAND].values,
        (BY_ITSELF,) * 4,
    )  # fmt: skip


def _odc(made: Made) -> Found:
    import odc.geo.xr  # noqa: F401 - registers the accessor
    import xarray as xr

    found = xr.open_zarr(made.store, group=f"measurements/{GROUP}/{LEVEL}")[BAND]
    box = found.odc.geobox
    return Found(
        box.crs.epsg, (box.affine.c + box.affine.a / 2, box.affine.f + box.affine.e / 2), box.affine.a, found.values,
        (BY_ITSELF,) * 4, "scale and nodata by xarray",
    )  # fmt: skip


def _qyran(made: Made) -> Found:
    from processing.archive.open import open_product

    found = open_product(made.store)
    box = found.odc.geobox
    return Found(
        box.crs.epsg, (found.x.values[0], found.y.values[0]), box.affine.a, found[BAND].values, (BY_ITSELF,) * 4,
        "a missing or damaged chunk raises",
    )  # fmt: skip


def _rio_tiler(made: Made) -> Found:
    import zarr
    from rio_tiler.experimental.zarr import GroupReader

    group = zarr.open_group(made.store, mode="r", path=f"measurements/{GROUP}")
    with GroupReader(group) as source:
        image = source.preview(variables=[BAND], max_size=None)
        coarse = source.part(source.bounds, bounds_crs=source.crs, dst_crs=source.crs, variables=[BAND], max_size=400)
    assert max(coarse.array.shape) == 400
    stored, how = image.array[0], dict(group[f"{LEVEL}/{BAND}"].attrs)
    values = np.where(np.ma.getmaskarray(stored), np.nan, stored.data * how["scale_factor"] + how["add_offset"])
    return Found(
        image.crs.to_epsg(), (image.bounds[0] + SIZE / 2, image.bounds[3] - SIZE / 2),
        (image.bounds[2] - image.bounds[0]) / image.width, values, (BY_ITSELF, BY_ITSELF, BY_HAND, BY_ITSELF),
        "picks the level; `part` on the product's own grid does not mask nodata",
    )  # fmt: skip


def _zarrita(made: Made) -> Found:
    import hashlib

    node = shutil.which("node", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if node is None or not (NODE / "node_modules" / "zarrita").is_dir():
        raise NotHere("npm ci --prefix tests/oracles/node")
    run = subprocess.run([node, NODE / "read.mjs", made.level, BAND], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    how = found["attributes"]
    assert (found["dtype"], found["shape"]) == ("uint16", list(made.values.shape))
    values = np.rint((made.values.astype(float) - how["add_offset"]) / how["scale_factor"])
    stored = np.where(np.isnan(values), how["_FillValue"], values).astype("<u2")
    same = hashlib.sha256(stored.tobytes()).hexdigest() == found["sha256"]
    return Found(
        _epsg(found["crs_wkt"]), (found["x"], found["y"]), how["spatial:transform"][0],
        made.values if same else np.zeros_like(made.values), (BY_HAND,) * 4, "JavaScript, in Node; digest compared",
    )  # fmt: skip


def _rasterio(made: Made) -> Found:
    import rasterio

    with rasterio.open(made.file(f"{BAND}.tif")) as source:
        place, stored = source.transform, source.read(1, masked=True)
        values = np.where(np.ma.getmaskarray(stored), np.nan, stored.data * source.scales[0] + source.offsets[0])
        assert source.nodata == 0
        assert source.overviews(1)
        assert "STATISTICS_MEAN" in source.tags(1)
        return Found(
            source.crs.to_epsg(), (place.c + place.a / 2, place.f + place.e / 2), place.a, values,
            (BY_ITSELF, BY_ITSELF, "`scales`, `offsets`", BY_ITSELF), "overviews, statistics",
        )  # fmt: skip


def _gdal(made: Made) -> Found:
    program, translate = shutil.which("gdalinfo"), shutil.which("gdal_translate")
    if program is None or translate is None:
        raise NotHere("apt-get install gdal-bin")
    path = made.file(f"{BAND}.tif")
    told = json.loads(subprocess.run([program, "-json", path], capture_output=True, text=True, check=True).stdout)
    band = told["bands"][0]
    assert told["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert band["overviews"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "values.bin"
        subprocess.run([translate, "-q", "-of", "ENVI", path, out], check=True, capture_output=True)
        stored = np.fromfile(out, "<u2").reshape(made.values.shape)
    values = np.where(stored == band["noDataValue"], np.nan, stored * band["scale"] + band["offset"])
    assert float(band["metadata"][""]["STATISTICS_MAXIMUM"]) == stored.max()
    x, pixel, _, y, _, _ = told["geoTransform"]
    return Found(
        _epsg(told["coordinateSystem"]["wkt"]), (x + pixel / 2, y - pixel / 2), pixel, values,
        (BY_ITSELF, BY_ITSELF, "`scale`, `offset`", BY_ITSELF), "`gdalinfo`, `gdal_translate`; overviews, statistics",
    )  # fmt: skip


def _rio_tiler_cog(made: Made) -> Found:
    from rio_tiler.io import Reader as CogReader

    with CogReader(str(made.file(f"{BAND}.tif"))) as source:
        image = source.read(unscale=True)
    values = np.where(np.ma.getmaskarray(image.array[0]), np.nan, image.array[0].data)
    box = image.bounds
    return Found(
        image.crs.to_epsg(), (box[0] + SIZE / 2, box[3] - SIZE / 2), (box[2] - box[0]) / image.width, values,
        (BY_ITSELF,) * 4, "unscale=True",
    )  # fmt: skip


def _odc_stac(made: Made) -> Found:
    import odc.stac
    import pystac

    group, band = made.product.groups[0], BAND
    item = pystac.Item(made.product.id, made.product.geometry, list(made.product.bbox), made.product.acquired, {})
    item.stac_extensions = ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"]
    item.properties |= {"proj:code": group.crs}
    for name in ("red", "nir"):
        asset = pystac.Asset(str(made.file(f"{name}.tif")), media_type=pystac.MediaType.COG, roles=["data"])
        asset.extra_fields = {"proj:shape": list(group.shape), "proj:transform": list(group.transform)}
        item.add_asset(name, asset)
    found = odc.stac.load([item], bands=[band], chunks={})
    stored = found[band].isel(time=0)
    box = stored.odc.geobox
    record = next(each for each in made.product.bands if each.name == band)
    values = np.where(stored.values == stored.odc.nodata, np.nan, stored.values * record.scale + record.offset)
    return Found(
        box.crs.epsg, (box.affine.c + box.affine.a / 2, box.affine.f + box.affine.e / 2), box.affine.a,
        values.astype(np.float32), (BY_ITSELF, BY_ITSELF, BY_HAND, BY_ITSELF), "from the item, asset key = band",
    )  # fmt: skip


def _gdal_version() -> str:
    program = shutil.which("gdalinfo")
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout if program else ""
    return text.split(",")[0].removeprefix("GDAL ") or "-"


def _rasterio_version() -> str:
    import rasterio

    return f"{rasterio.__version__} (GDAL {rasterio.__gdal_version__})"


def _npm_version() -> str:
    return str(json.loads((NODE / "package-lock.json").read_text())["packages"]["node_modules/zarrita"]["version"])


READERS = (
    Reader("Qyran `open_product`", "Zarr", lambda: version("qyran"), _qyran),
    Reader("zarr-python", "Zarr", lambda: version("zarr"), _zarr),
    Reader("xarray", "Zarr", lambda: version("xarray"), _xarray),
    Reader("rioxarray", "Zarr", lambda: version("rioxarray"), _rioxarray),
    Reader("odc-geo", "Zarr", lambda: version("odc-geo"), _odc),
    Reader("rio-tiler `GroupReader`", "Zarr", lambda: version("rio-tiler"), _rio_tiler),
    Reader("zarrita", "Zarr", _npm_version, _zarrita),
    Reader("GDAL's programs", "COG", _gdal_version, _gdal),
    Reader("rasterio", "COG", _rasterio_version, _rasterio),
    Reader("rio-tiler", "COG", lambda: version("rio-tiler"), _rio_tiler_cog),
    Reader("odc-stac", "COG", lambda: version("odc-stac"), _odc_stac),
)


def faults(found: Found, made: Made) -> list[str]:
    """What a reader has wrong."""
    wrong = []
    if found.epsg != EPSG:
        wrong.append(f"CRS {found.epsg}")
    if found.centre != (LEFT + SIZE / 2, TOP - SIZE / 2) or found.pixel != SIZE:
        wrong.append(f"first pixel at {found.centre}, {found.pixel} m")
    if found.values.shape != made.values.shape:
        return [*wrong, f"shape {found.values.shape}"]
    if not np.array_equal(np.isnan(found.values), np.isnan(made.values)):
        wrong.append("nodata elsewhere")
    elif not np.nanmax(np.abs(found.values - made.values)) < 1e-6:
        wrong.append("other values")
    return wrong


def table(made: Made) -> str:
    """Markdown of what every reader here finds."""
    lines = [
        "| reader | version | of | CRS | coordinates | scale | nodata | remark |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for reader in READERS:
        try:
            found = reader.read(made)
            wrong = faults(found, made)
            cells = [*found.how, "; ".join(wrong) or found.remark]
        except NotHere as error:
            cells = ["-"] * 4 + [f"not installed: `{error}`"]
        lines.append(f"| {reader.name} | {reader.version()} | {reader.of} | " + " | ".join(cells) + " |")
    lines += ["", '"yes": the reader finds it by itself; "from attributes": it hands over what its user applies.', ""]
    return "\n".join(lines)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as home:
        Path(sys.argv[1]).write_text(table(make(Path(home))))
