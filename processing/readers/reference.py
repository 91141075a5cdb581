"""Reference images on disk: any georeferenced raster, read by windows, never whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window
from shapely.geometry import Polygon, box

from processing.model.errors import BadInput
from processing.model.lineage import InputRecord
from processing.readers.inventory import file_sha256
from processing.readers.raster_open import hardened_env, hardened_open, raster_facts

Grey = npt.NDArray[np.float32]
Bounds = tuple[float, float, float, float]

_EXACT = 8
"""Means over up to this many pixels a side are taken of full-resolution pixels. Overviews, whose pixels may lie up
to half a pixel off, only serve what is an eighth of their resolution or coarser."""
_BORDER_POINTS = 17
SUFFIXES = {".tif", ".tiff", ".jp2"}
"""Of files that a folder of references is searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRaster:
    """One georeferenced file, as :class:`processing.registration.predict.ReferenceImage` asks for it."""

    path: Path
    driver: str
    crs: str
    transform: Affine
    """Pixel (column, row) corners to map."""
    shape: tuple[int, int]
    """Rows, columns."""
    bands: tuple[int, ...]
    """Files' numbers of the bands whose mean is the grey value."""
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    @property
    def record(self) -> InputRecord:
        """The file in a product's lineage. Reads it once to hash it."""
        return InputRecord(role="reference", name=self.name, sha256=_hashed(self.path, self.size, self.mtime_ns))

    def grey(self, rows: tuple[int, int], cols: tuple[int, int], factor: int = 1) -> Grey:
        """Grey values of a window, means over ``factor`` by ``factor`` pixels.

        Parameters
        ----------
        rows, cols
            First and last (excluded), inside the raster; their number a multiple of ``factor``.
        factor
            1, or how much coarser than the file.

        Returns
        -------
        ndarray
            float32 ``(rows / factor, cols / factor)``, units of the file; NaN where any pixel has no value.

        Raises
        ------
        BadInput
            ``raster.unreadable`` when the file is damaged, ``file.changed`` when it is not what it was.
        """
        step = factor if factor > _EXACT and factor % _EXACT == 0 else 1
        step = step // _EXACT if step > 1 else 1
        window = Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
        state = self.path.stat()
        if (state.st_size, state.st_mtime_ns) != (self.size, self.mtime_ns):
            raise BadInput(f"'{self.name}' changed while it was in use", kind="file.changed", where=self.name)
        out = (len(self.bands), (rows[1] - rows[0]) // step, (cols[1] - cols[0]) // step)
        with hardened_env():
            try:
                with rasterio.open(self.path, driver=self.driver) as dataset:
                    values = dataset.read(list(self.bands), window=window, out_shape=out, resampling=Resampling.average)
                    known = _known(dataset, self.bands, window, out)
            except RasterioError as error:
                raise BadInput(
                    f"'{self.name}' is damaged: {error}", kind="raster.unreadable", where=self.name
                ) from error
        grey = np.where(known, values.astype(np.float64).mean(axis=0), np.nan)
        left = factor // step
        if left > 1:
            grey = grey.reshape(out[1] // left, left, out[2] // left, left).mean(axis=(1, 3))
        return grey.astype(np.float32)


def open_reference(path: Path) -> ReferenceRaster:
    """One reference raster; reads no pixels.

    Parameters
    ----------
    path
        GeoTIFF or JPEG 2000 with a coordinate system inside. Of three bands and more the first three that are not
        alpha count, as their mean.

    Raises
    ------
    BadInput
        ``reference.missing``, ``reference.not_on_map``, and as
        :func:`processing.readers.raster_open.hardened_open`.
    """
    if not path.is_file():
        raise BadInput(f"there is no reference image '{path}'", kind="reference.missing", where=str(path))
    resolved = path.resolve()
    facts = raster_facts(resolved)
    if facts.crs is None or facts.transform is None or facts.transform.is_degenerate:
        raise BadInput(
            f"'{path.name}' is not on a map, so nothing can be matched against it",
            kind="reference.not_on_map",
            where=path.name,
            remedy="Give an orthoimage or mosaic with its coordinate system and transform inside the file.",
        )
    with hardened_open(resolved) as dataset:
        colours = [number for number, kind in enumerate(dataset.colorinterp, 1) if kind != ColorInterp.alpha]
    state = resolved.stat()
    return ReferenceRaster(
        path=resolved,
        driver=facts.header.driver,
        crs=facts.crs,
        transform=facts.transform,
        shape=(facts.header.lines, facts.header.samples),
        bands=tuple(colours[:3] if len(colours) >= 3 else colours[:1]),
        size=state.st_size,
        mtime_ns=state.st_mtime_ns,
    )


def open_references(paths: Sequence[Path]) -> tuple[ReferenceRaster, ...]:
    """Reference rasters named, or found in folders named, sorted by name.

    Raises
    ------
    BadInput
        As :func:`open_reference`; ``reference.missing`` when there is none at all.
    """
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found.update(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)
        else:
            found.add(path)
    if not found:
        raise BadInput("no reference image was found", kind="reference.missing", where=", ".join(map(str, paths)))
    return tuple(open_reference(file) for file in sorted(found, key=lambda file: (file.name, str(file))))


def overlapping(references: Sequence[ReferenceRaster], bounds: Bounds) -> tuple[ReferenceRaster, ...]:
    """Those whose extent meets west, south, east, north (degrees WGS 84)."""
    return tuple(reference for reference in references if _extent(reference).intersects(box(*bounds)))


def _extent(reference: ReferenceRaster) -> Polygon:
    """Outline in degrees, its sides bent as the projection bends them; empty where it cannot be placed."""
    side = np.linspace(0.0, 1.0, _BORDER_POINTS)
    zero, one = np.zeros_like(side), np.ones_like(side)
    col = np.concatenate([side, one, side[::-1], zero]) * reference.shape[1]
    row = np.concatenate([zero, side, one, side[::-1]]) * reference.shape[0]
    affine = reference.transform
    x, y = affine.c + affine.a * col + affine.b * row, affine.f + affine.d * col + affine.e * row
    try:
        to_lonlat = Transformer.from_crs(reference.crs, "EPSG:4326", always_xy=True, allow_ballpark=False)
        lon, lat = to_lonlat.transform(x, y)
    except ProjError:
        return Polygon()
    known = np.isfinite(lon) & np.isfinite(lat)
    return Polygon(np.column_stack([lon, lat])[known]).buffer(0) if known.sum() > 3 else Polygon()


def _known(dataset: Any, bands: tuple[int, ...], window: Window, out: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Where a value stands: whole under the file's mask, and not black in all bands at once.

    A colour of 0 in one band is a dark surface, in all of them it is the unflown rim, declared or not. Of several
    bands GDAL's nodata mask speaks band by band, which would punch holes into dark water.
    """
    flags = dataset.mask_flag_enums[bands[0] - 1]
    if MaskFlags.per_dataset in flags or MaskFlags.alpha in flags:
        mask = dataset.read_masks(bands[0], window=window, out_shape=out[1:], resampling=Resampling.average)
        return np.asarray(mask == 255)
    masks = dataset.read_masks(list(bands), window=window, out_shape=out, resampling=Resampling.average)
    if MaskFlags.nodata in flags:
        return np.asarray((masks == 255).any(axis=0))
    values = dataset.read(list(bands), window=window, out_shape=out, resampling=Resampling.nearest)
    return np.asarray((values != 0).any(axis=0))


@lru_cache(maxsize=64)
def _hashed(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - the file's state is part of the key
    return file_sha256(path)
