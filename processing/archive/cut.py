"""A part of an archived product as images again, lazily: cut out, parts of it taken out, coarser, on another map.

What lies outside the area, or on ground that is taken out, has no value before anything is resampled, and again after
it: no pixel that is delivered was made of it, but for the width of one source pixel along the area's edge. Of ground
that is taken out every pixel goes that it touches.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod, Transformer
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from processing.archive.geozarr import map_crs
from processing.archive.layout import QA
from processing.archive.open import open_product
from processing.archive.window import onto
from processing.model.composite_layers import BESIDE
from processing.model.conventions import SHARD_PX
from processing.model.errors import BadInput
from processing.model.image import Arrays, OrthoImage
from processing.model.product import Encoding, Product, StoredBand
from processing.model.qa import Qa
from processing.model.scene import Band

_DEGREES = "OGC:CRS84"
_GEOD = Geod(ellps="WGS84")
_DENSE_PARTS = 256
"""Into so many pieces the longest side of an area is cut before it leaves the degrees: straight lines are curves."""
_DENSIFY = 21
"""Points on each side of a rectangle that is carried to another map."""
_DEGREE_M = 111_320.0
_LARGEST_PX = 200_000
"""A side longer than this is a mistake in the choice of map or pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What of a product is wanted."""

    area: BaseGeometry | None = None
    """Polygons, degrees of WGS 84, longitude first; None: all of it."""
    taken_out: BaseGeometry | None = None
    """Polygons whose pixels must be absent."""
    floor_m: float | None = None
    """Pixels are at least so large on the ground; None: as they are."""
    crs: str | None = None
    """``EPSG:n``; None: as it is archived."""
    bands: tuple[str, ...] | None = None
    """None: all."""
    without: tuple[str, ...] = ()
    """Bands that must not be there, whatever ``bands`` says."""


def cut_images(store: Path, product: Product, cut: Cut) -> list[OrthoImage]:
    """The part of a product as lazy images, one a measurement group.

    Raises
    ------
    BadInput
        ``window.outside`` if the product does not reach into the area; ``cut.bands`` if no band is left;
        ``cut.too_large`` if the map's pixels would be too many.
    """
    images = []
    for group in product.groups:
        bands = [band for band in product.bands if band.group == group.name and _wanted(band, cut)]
        if bands:
            images.append(_image(store, bands, cut))
    if not any(image.group not in BESIDE for image in images):
        raise BadInput("no band is left to deliver", kind="cut.bands", where=product.id, remedy="Choose other bands.")
    return images


def _wanted(band: StoredBand, cut: Cut) -> bool:
    if band.name in cut.without:
        return False
    return cut.bands is None or band.name in cut.bands


def _image(store: Path, bands: Sequence[StoredBand], cut: Cut) -> OrthoImage:
    group = bands[0].group
    bounds, crs = (None, None) if cut.area is None else (cut.area.bounds, _DEGREES)
    found = open_product(store, group=group, bounds=bounds, crs=crs)
    dataset = found[[*(band.name for band in bands), QA]]
    box = _grid(dataset)
    dataset = _kept(dataset, box, cut, touched=True)
    target, coarser = _target(box, cut)
    if target is not box:
        how = "average" if coarser else "bilinear" if group in BESIDE else "cubic"
        dataset = _within_range(onto(dataset, target, resampling=how), bands)
        dataset = _kept(dataset, target, cut, touched=False)
    elif cut.area is not None:
        dataset = _kept(dataset, box, cut, touched=False)
    return _as_image(group, dataset, target, bands)


def _grid(dataset: xr.Dataset) -> GeoBox:
    rows, columns = dataset[QA].shape
    return GeoBox((rows, columns), Affine(*dataset.attrs["spatial:transform"]), dataset.spatial_ref.attrs["crs_wkt"])


def _target(box: GeoBox, cut: Cut) -> tuple[GeoBox, bool]:
    """The grid that is delivered, and whether its pixels are larger than the floor makes them need to be averaged.

    On another map, pixels are of about the same size as before, in figures that people can say.
    """
    floor = cut.floor_m or 0.0
    other = cut.crs is not None and CRS.from_user_input(cut.crs) != map_crs(box)
    coarser = floor > _ground_m(box) * (1 + 1e-9)
    if not other and not coarser:
        return box, False
    goal = CRS.from_user_input(cut.crs) if other else map_crs(box)
    own = box.boundingbox
    mover = Transformer.from_crs(map_crs(box), goal, always_xy=True, allow_ballpark=False)
    bounds = mover.transform_bounds(own.left, own.bottom, own.right, own.top, densify_pts=_DENSIFY)
    metre = 1 / _DEGREE_M if goal.is_geographic else 1 / float(goal.axis_info[0].unit_conversion_factor)
    size = _round_figure(_ground_m(box) * metre, "degree" if goal.is_geographic else "metre")
    found = GeoBox.from_bbox(bounds, goal.to_wkt(), resolution=size)
    if coarser:
        found = GeoBox.from_bbox(bounds, goal.to_wkt(), resolution=floor * size / _ground_m(found))
    if max(found.shape) > _LARGEST_PX:
        raise BadInput(f"on {goal.name} it would be {found.shape[0]} x {found.shape[1]} pixels", kind="cut.too_large",
                       remedy="Take a map that is made for the area.")  # fmt: skip
    return found, coarser


def _ground_m(box: GeoBox) -> float:
    """The shorter side of a grid's smallest pixel on the ground, m: at its corners and middle, on the ellipsoid."""
    rows, columns = box.shape
    mover = Transformer.from_crs(map_crs(box), _DEGREES, always_xy=True, allow_ballpark=False)
    found = []
    for row, column in ((0, 0), (0, columns), (rows, 0), (rows, columns), (rows / 2, columns / 2)):
        corners = [box.affine @ (column + right, row + down) for right, down in ((0, 0), (1, 0), (0, 1))]
        (lon, lat), *others = (mover.transform(*corner) for corner in corners)
        found += [_GEOD.inv(lon, lat, *other)[2] for other in others]
    return float(min(found))


def _round_figure(resolution: float, unit: str) -> float:
    """Two significant digits in metres, three in degrees: pixel sizes that people can say."""
    digits = 2 if unit.startswith("m") else 3
    step = 10.0 ** (math.floor(math.log10(resolution)) - digits + 1)
    return float(f"{math.ceil(resolution / step - 1e-9) * step:.12g}")


def _within_range(dataset: xr.Dataset, bands: Sequence[StoredBand]) -> xr.Dataset:
    """Cubic weights overshoot at edges: values stay between the lowest and the highest of the band."""
    kept = {}
    for band in bands:
        values = dataset[band.name]
        if band.minimum is not None and band.maximum is not None:
            values = values.clip(np.float32(band.minimum), np.float32(band.maximum))
        kept[band.name] = values
    return dataset.assign(kept)


def inside_of(box: GeoBox, area: BaseGeometry, *, touched: bool) -> Callable[[Any, Any], npt.NDArray[np.bool_]]:
    """A function that says which pixels of a window of a grid lie in an area, by the window's rows and columns.

    Parameters
    ----------
    area
        Degrees of WGS 84.
    touched
        True: every pixel that the area touches; False: those whose centre lies in it.
    """
    mover = Transformer.from_crs(_DEGREES, map_crs(box), always_xy=True, allow_ballpark=False)
    west, south, east, north = area.bounds
    dense = area.segmentize(max(east - west, north - south, 1e-9) / _DENSE_PARTS)
    drawn = shapely.transform(dense, lambda at: np.column_stack(mover.transform(at[:, 0], at[:, 1])))

    def window(rows: slice, columns: slice) -> npt.NDArray[np.bool_]:
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        place = box.affine @ Affine.translation(columns.start, rows.start)
        found: npt.NDArray[np.bool_] = geometry_mask(
            [drawn], out_shape=shape, transform=place, all_touched=touched, invert=True
        )
        return found

    return window


def _kept(dataset: xr.Dataset, box: GeoBox, cut: Cut, *, touched: bool) -> xr.Dataset:
    """Values inside the area and not on ground that is taken out; elsewhere nothing, and no flag but NODATA."""
    inside = None if cut.area is None else inside_of(box, cut.area, touched=touched)
    outside = None if cut.taken_out is None else inside_of(box, cut.taken_out, touched=True)
    if inside is None and outside is None:
        return dataset

    def kept(block: npt.NDArray[Any], block_info: Any = None) -> npt.NDArray[Any]:
        if not block.size or not block_info:
            return block
        place = [slice(first, last) for first, last in block_info[0]["array-location"]]
        there = np.ones(block.shape, np.bool_) if inside is None else inside(*place)
        if outside is not None:
            there &= ~outside(*place)
        absent = np.asarray(int(Qa.NODATA) if block.dtype.kind == "u" else np.nan, block.dtype)
        return np.where(there, block, absent)

    parts = {
        str(name): (("y", "x"), da.map_blocks(kept, variable.data, dtype=variable.dtype), variable.attrs)
        for name, variable in dataset.data_vars.items()
    }
    return xr.Dataset(parts, dataset.coords, dataset.attrs)


def _as_image(group: str, dataset: xr.Dataset, box: GeoBox, bands: Sequence[StoredBand]) -> OrthoImage:
    pixels = da.stack([dataset[band.name].data for band in bands]).rechunk((-1, SHARD_PX, SHARD_PX))
    flags = dataset[QA].data.rechunk((SHARD_PX, SHARD_PX))
    nothing = da.isnan(pixels).any(axis=0)
    flags = da.where(nothing, flags | np.uint16(Qa.NODATA), flags)
    return OrthoImage(
        group=group,
        geobox=box,
        bands=bands_of(bands),
        arrays=Arrays(pixels=xr.DataArray(pixels, dims=("band", "y", "x")), qa=xr.DataArray(flags, dims=("y", "x"))),
        quantity=str(next(iter(dataset.data_vars.values())).attrs.get("quantity", group)),
    )


def bands_of(stored: Iterable[StoredBand]) -> tuple[Band, ...]:
    """Bands of an image whose pixels are those of stored ones."""
    return tuple(
        Band(name=band.name, label=band.title, common_name=band.common_name, centre_nm=band.centre_nm,
             fwhm_nm=band.fwhm_nm)
        for band in stored
    )  # fmt: skip


def encodings_of(product: Product) -> dict[str, Encoding]:
    """How each band of a product is stored."""
    return {band.name: band.encoding for band in product.bands}
