"""How far a product lies from the truth: geolocation, reflectance and NDVI errors over clear land.

Nothing of the processing under test is used here: the truth's own field of offsets says where every product pixel's
light comes from once the pointing bias, unknown to the processor, is left in. What remains between the product and the
truth moved by those offsets is the processor's error: geolocation by the shift between patches of both, radiometry by
their difference where the ground is smooth.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from processing.model.errors import BadInput

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_PATCH_PX = 96
_MAX_PATCHES = 400
_UPSAMPLE = 100
_CLEAR_SHARE = 0.8
"""Of a patch that must be clear land."""
_OUTLIER = 4.5
"""Normalised median absolute deviations beyond which a patch's shift is not believed."""
_FARTHEST_PX = 3.0
"""Shifts beyond this are failed matches."""
_EDGE_PX = 3
"""Of clear land that is left out beside anything else: optics and resampling mix what lies there."""
_SMOOTH = 0.04
"""Greatest local deviation over local mean of ground that counts as smooth."""
_SPLINE_PX = 10
"""Margin that a cubic spline needs to forget where its data end."""
_MATCHED = ("pan", "red", "green", "nir", "blue")
"""Bands in order of fitness for matching."""

# scikit-image ships without types.
_correlate: Any = phase_cross_correlation


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Error of one group of a product against the truth, the known pointing bias taken out."""

    group: str
    """Detector group of the truth: ``ms``, ``pan``."""
    band: str
    """Band that was matched."""
    patches: int
    """Patches that were matched and believed."""
    rejected: int
    rmse_px: float
    """Root mean square length of the patches' shifts, px."""
    ce90_px: float
    """Empirical 90th percentile of that length."""
    bias_px: tuple[float, float]
    """Mean shift in columns and rows, product minus truth."""
    toa_median_percent: dict[str, float]
    """Median of (product - truth) / truth over smooth clear land, per band."""
    toa_rmse: dict[str, float]
    """Root mean square reflectance error there, noise included."""
    ndvi_median: float | None
    """Median NDVI error there; None without red and near infrared."""
    ndvi_rmse: float | None
    compared_pixels: int

    @property
    def toa_error_percent(self) -> float:
        """Largest magnitude of any band's median relative error."""
        return max(abs(value) for value in self.toa_median_percent.values())


def measure(
    bands: Mapping[str, npt.ArrayLike], transform: Affine, crs: str, truth: Path, *, group: str | None = None
) -> Accuracy:
    """Compare an orthorectified product with the truth of its package, patch by patch.

    Parameters
    ----------
    bands
        Reflectance (0-1, NaN where absent) by band name, all of one shape (rows, columns).
    transform, crs
        Of the product: a north-up grid on the truth's lattice.
    truth
        Folder of the package's truth.
    group
        Detector group; found by the bands' names where not given.

    Raises
    ------
    BadInput
        ``measure.grid`` if the product is on another lattice, ``measure.overlap`` if too little clear land is common,
        ``measure.bands`` if no group has the bands.
    """
    product = {name: np.asarray(values) for name, values in bands.items()}
    reference = _Reference(truth, tuple(product), group)
    band = next(name for name in (*_MATCHED, *product) if name in product)
    shifts, smooth = [], []
    for patch, origin in _patches(next(iter(product.values())).shape, transform, crs, reference):
        seen = {name: values[patch].astype(np.float32) for name, values in product.items()}
        compared = _compared(seen, reference, origin)
        if compared is not None:
            expected, clear, even = compared
            shifts.append(_shift(seen[band], expected[band], clear))
            smooth.append(_samples(seen, expected, even))
    believed, rejected = _believed(np.array(shifts).reshape(-1, 2))
    values = {name: np.concatenate([sample[name] for sample in smooth], axis=1) for name in (smooth or [{}])[0]}
    compared_pixels = next(iter(values.values())).shape[1] if values else 0
    if len(believed) < 3 or compared_pixels < 100:
        raise BadInput(
            f"product and truth share {len(believed)} patches of clear land and {compared_pixels} smooth pixels",
            kind="measure.overlap",
        )
    lengths = np.hypot(believed[:, 0], believed[:, 1])
    ndvi = values.pop("ndvi", None)
    ndvi_error = None if ndvi is None else ndvi[0] - ndvi[1]
    return Accuracy(
        group=reference.group,
        band=band,
        patches=len(believed),
        rejected=rejected,
        rmse_px=float(np.sqrt(np.mean(lengths**2))),
        ce90_px=float(np.percentile(lengths, 90)),
        bias_px=(float(believed[:, 0].mean()), float(believed[:, 1].mean())),
        toa_median_percent={name: 100.0 * float(np.median(pair[0] / pair[1] - 1.0)) for name, pair in values.items()},
        toa_rmse={name: float(np.sqrt(np.mean((pair[0] - pair[1]) ** 2))) for name, pair in values.items()},
        ndvi_median=None if ndvi_error is None else float(np.median(ndvi_error)),
        ndvi_rmse=None if ndvi_error is None else float(np.sqrt(np.mean(ndvi_error**2))),
        compared_pixels=compared_pixels,
    )


def measure_ndvi(ndvi: npt.ArrayLike, transform: Affine, crs: str, truth: Path) -> tuple[float, float]:
    """Median and root mean square error of an NDVI product over smooth clear land.

    Parameters
    ----------
    ndvi
        (rows, columns), NaN where absent.
    transform, crs, truth
        As for :func:`measure`.

    Raises
    ------
    BadInput
        As :func:`measure`.
    """
    product = np.asarray(ndvi)
    reference = _Reference(truth, ("red", "nir"), None)
    errors = []
    for patch, origin in _patches(product.shape, transform, crs, reference):
        seen = product[patch].astype(np.float32)
        compared = _compared({"ndvi": seen}, reference, origin)
        if compared is not None:
            expected, _, even = compared
            errors.append((seen - _ndvi(expected))[even])
    error = np.concatenate(errors) if errors else np.empty(0)
    if error.size < 100:
        raise BadInput(f"product and truth share {error.size} smooth pixels", kind="measure.overlap")
    return float(np.median(error)), float(np.sqrt(np.mean(error**2)))


class _Reference:
    """The truth of one group: what a perfect processor would have made of the delivery."""

    def __init__(self, truth: Path, names: tuple[str, ...], group: str | None) -> None:
        record = json.loads((truth / "truth.json").read_text(encoding="utf-8"))
        self.group = group or _group_of(record, names)
        facts = record["groups"][self.group]
        self.crs: str = facts["grid"]["crs"]
        self.transform = Affine(*facts["grid"]["transform"])
        order = [band["name"] for band in facts["bands"]]
        with rasterio.open(truth / facts["files"]["offset"]) as file:
            self._offset, self._step = file.read(), file.transform.a / facts["resolution_m"]
        with rasterio.open(truth / facts["files"]["cover"]) as file:
            cover = file.read(1)
        clear = np.isin(cover, record["clear_land"])
        self._clear = ndimage.binary_erosion(clear, border_value=0).astype(np.float32)
        self.shape: tuple[int, int] = cover.shape
        with rasterio.open(truth / facts["files"]["reflectance"]) as file:
            numbers = [order.index(name) + 1 for name in names]
            self._stored = {name: file.read(number) for name, number in zip(names, numbers, strict=True)}
            self._scale = np.float32(file.scales[0])

    def moved(self, row: int, column: int) -> tuple[dict[str, Image], Mask]:
        """Reflectance by band and clear land of a patch that starts at a pixel of the truth's grid.

        The pointing bias, unknown to the product's maker, is left in: each pixel holds what lies at its offset.
        """
        rows, columns = np.mgrid[row : row + _PATCH_PX, column : column + _PATCH_PX].astype(np.float64)
        nodes = [(rows + 0.5) / self._step - 0.5, (columns + 0.5) / self._step - 0.5]
        east, south = (ndimage.map_coordinates(field, nodes, order=1, mode="nearest") for field in self._offset)
        rows, columns = rows + south, columns + east
        top, left = (max(int(np.floor(axis.min())) - _SPLINE_PX, 0) for axis in (rows, columns))
        crop = (
            slice(top, int(np.ceil(rows.max())) + _SPLINE_PX + 1),
            slice(left, int(np.ceil(columns.max())) + _SPLINE_PX + 1),
        )
        source = [rows - top, columns - left]
        clear = ndimage.map_coordinates(self._clear[crop], source, order=1, mode="constant") > 0.999
        bands = {
            name: ndimage.map_coordinates(
                stored[crop] * self._scale, source, order=3, mode="nearest", output=np.float32
            )
            for name, stored in self._stored.items()
        }
        return bands, clear


def _group_of(record: dict[str, Any], names: tuple[str, ...]) -> str:
    for group, facts in record["groups"].items():
        if set(names) <= {band["name"] for band in facts["bands"]}:
            return str(group)
    raise BadInput(f"the truth has no group with the bands {sorted(names)}", kind="measure.bands")


def _patches(
    shape: tuple[int, ...], transform: Affine, crs: str, reference: _Reference
) -> Iterator[tuple[tuple[slice, slice], tuple[int, int]]]:
    """Patches of the product that the truth covers, evenly spread: slices of the product, place in the truth's grid."""
    offset = ~reference.transform @ Affine(*transform[:6])
    column, row = round(offset.c), round(offset.f)
    aligned = np.allclose(
        [offset.a, offset.b, offset.c - column, offset.d, offset.e, offset.f - row], [1, 0, 0, 0, 1, 0], atol=1e-6
    )
    if crs.upper() != reference.crs or not aligned:
        raise BadInput(
            f"the product's grid ({crs}, {transform[:6]}) is not on the truth's "
            f"({reference.crs}, {reference.transform[:6]})",
            kind="measure.grid",
        )
    top, bottom = max(row, 0), min(row + shape[0], reference.shape[0])
    left, right = max(column, 0), min(column + shape[1], reference.shape[1])
    stride = max(2 * _PATCH_PX // 3, int(np.sqrt(max((bottom - top) * (right - left), 0) / _MAX_PATCHES)))
    for y in range(top, bottom - _PATCH_PX + 1, stride):
        for x in range(left, right - _PATCH_PX + 1, stride):
            yield (
                (slice(y - row, y - row + _PATCH_PX), slice(x - column, x - column + _PATCH_PX)),
                (y, x),
            )


def _compared(
    seen: Mapping[str, Image], reference: _Reference, origin: tuple[int, int]
) -> tuple[dict[str, Image], Mask, Mask] | None:
    """What a patch should hold, where it is clear land, and where that is smooth; None for too little clear land."""
    finite = np.all([np.isfinite(values) for values in seen.values()], axis=0)
    if finite.mean() < _CLEAR_SHARE:
        return None
    expected, clear = reference.moved(*origin)
    clear &= finite
    if clear.mean() < _CLEAR_SHARE:
        return None
    even = ndimage.binary_erosion(clear, iterations=_EDGE_PX, border_value=0)
    for values in expected.values():
        mean = ndimage.uniform_filter(values, 5)
        deviation = np.sqrt(np.maximum(ndimage.uniform_filter(values**2, 5) - mean**2, 0.0))
        even &= deviation < _SMOOTH * mean
    return expected, clear, even


def _samples(seen: Mapping[str, Image], expected: Mapping[str, Image], even: Mask) -> dict[str, Image]:
    """Product and truth, shape (2, n), over the smooth pixels of a patch, by band; NDVI where it can be had."""
    samples = {name: np.stack([seen[name][even], expected[name][even]]) for name in seen}
    if {"red", "nir"} <= seen.keys():
        samples["ndvi"] = np.stack([_ndvi(seen)[even], _ndvi(expected)[even]])
    return samples


def _shift(seen: Image, expected: Image, clear: Mask) -> tuple[float, float]:
    """Columns and rows by which a patch is displaced from what it should hold.

    Same band and same light: plain cross-correlation errs less here than with a whitened spectrum.
    """
    window = np.hanning(_PATCH_PX + 2)[1:-1]
    taper = np.outer(window, window)
    pair = [np.where(clear, image - image[clear].mean(), 0.0) * taper for image in (expected, seen)]
    row, column = _correlate(*pair, upsample_factor=_UPSAMPLE, normalization=None)[0]
    return -float(column), -float(row)


def _believed(shifts: Array) -> tuple[Array, int]:
    """The shifts that are no failed matches, and how many were."""
    near: Mask = np.hypot(shifts[:, 0], shifts[:, 1]) < _FARTHEST_PX
    if near.any():
        middle = np.median(shifts[near], axis=0)
        spread = 1.4826 * np.median(np.abs(shifts[near] - middle), axis=0) + 0.01
        near &= np.all(np.abs(shifts - middle) < _OUTLIER * spread, axis=1)
    return shifts[near], int((~near).sum())


def _ndvi(bands: Mapping[str, Image]) -> Image:
    total = bands["nir"] + bands["red"]
    with np.errstate(invalid="ignore", divide="ignore"):
        ndvi: Image = np.where(total > 0, (bands["nir"] - bands["red"]) / total, np.float32(np.nan))
    return ndvi
