"""Where an orthorectified coordinate image was really looked up, against the truth by a road of its own.

Nothing of Qyran's geometry is used: pyproj for the map, the DEM interpolated between its posts in float64, and the RPC
read from ``_RPC.TXT`` and evaluated as the standard prints it (NIMA STDI-0002, appendix E, RPC00B).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import zarr
from pyproj import Transformer

from processing.model.errors import BadInput
from processing.testing.bench_scene import BenchScene

Array = npt.NDArray[np.float64]
Values = npt.NDArray[np.generic]

_CANDIDATES = 400_000
_RANDOM = 15_000
_STEEP = 15_000
"""Points at the steepest of the candidates: where interpolating anything that is not smooth shows."""
_EDGE_PX = 5.0
"""Nearer to the image's edge than this, kernels differ in what they make of missing neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A north-up output grid."""

    crs: str
    left: float
    top: float
    pitch: float
    shape: tuple[int, int]
    """Rows, columns."""

    @classmethod
    def within(cls, crs: str, bounds: tuple[float, float, float, float], pitch: float) -> "Grid":
        """The grid of pixels that fill bounds (xmin, ymin, xmax, ymax)."""
        left, bottom, right, top = bounds
        return cls(
            crs=crs,
            left=left,
            top=top,
            pitch=pitch,
            shape=(round((top - bottom) / pitch), round((right - left) / pitch)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How far the positions a tool used lie from the truth, px of the source."""

    points: int
    steep_points: int
    missing_share: float
    """Of points well inside the image, those the tool left without a value."""
    max_px: float | None = None
    rmse_px: float | None = None
    p99_px: float | None = None
    mean_px: tuple[float, float] | None = None
    """Mean error of column and row: what is not noise but a shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthPoints:
    """Output pixels, drawn at random and where the terrain is steepest, and where their centres are in the image."""

    row: npt.NDArray[np.int64]
    col: npt.NDArray[np.int64]
    image_col: Array
    """0 = centre of the first pixel."""
    image_row: Array
    anywhere: npt.NDArray[np.bool_]
    """Those drawn without regard to the terrain: shares are taken of these."""
    steep: npt.NDArray[np.bool_]


def truth_points(scene: BenchScene, grid: Grid, *, seed: int = 0) -> TruthPoints:
    """Points well inside the image: half of them anywhere, half where the terrain is steepest.

    Parameters
    ----------
    scene
        Whose RPC and DEM are read from its files.
    grid
        On which the output lies.
    seed
        Of the draw.
    """
    random = np.random.default_rng(seed)
    row, col = (random.integers(0, length, _CANDIDATES) for length in grid.shape)
    x, y = grid.left + (col + 0.5) * grid.pitch, grid.top - (row + 0.5) * grid.pitch
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True, allow_ballpark=False).transform(x, y)
    height, slope = _terrain(scene.dem, lon, lat)
    image_col, image_row = evaluate_rpc(read_rpc_text(scene.image.with_name("scene_RPC.TXT")), lon, lat, height)
    inside = (np.abs(image_col - (scene.size - 1) / 2) < scene.size / 2 - _EDGE_PX) & (
        np.abs(image_row - (scene.size - 1) / 2) < scene.size / 2 - _EDGE_PX
    )
    found = np.flatnonzero(inside & np.isfinite(height))
    steepest = found[np.argsort(slope[found])[::-1][:_STEEP]]
    chosen = np.unique(np.concatenate([found[:_RANDOM], steepest]))
    return TruthPoints(
        row=row[chosen],
        col=col[chosen],
        image_col=image_col[chosen],
        image_row=image_row[chosen],
        anywhere=np.isin(chosen, found[:_RANDOM]),
        steep=np.isin(chosen, steepest),
    )


def sample_output(path: Path, grid: Grid, truth: TruthPoints) -> Array:
    """Values ``(band, point)`` that a tool's output holds at the truth's pixels; NaN outside its grid.

    Parameters
    ----------
    path
        A GeoTIFF, or a Zarr store of Qyran's, of whose first measurement group the finest level is read.
    grid
        The common grid. The output may begin and end elsewhere, but must lie on its lattice.
    truth
        The pixels.

    Raises
    ------
    BadInput
        ``bench.output`` when there is no output, or it lies on another lattice.
    """
    if not path.exists():
        raise BadInput("no output was written", kind="bench.output", where=path.name)
    sampled = []
    for band, (pitch, left, top) in _bands(path):
        row, col = (top - grid.top) / -grid.pitch, (left - grid.left) / grid.pitch
        if abs(pitch / grid.pitch - 1) > 1e-9 or max(abs(row - round(row)), abs(col - round(col))) > 1e-3:
            raise BadInput(
                f"the output's grid ({left}, {top}, {pitch}) is not on the lattice asked for",
                kind="bench.output",
                where=path.name,
            )
        at_row, at_col = truth.row - round(row), truth.col - round(col)
        there = (at_row >= 0) & (at_row < band.shape[0]) & (at_col >= 0) & (at_col < band.shape[1])
        values = np.full(there.shape, np.nan)
        values[there] = band[at_row[there], at_col[there]]
        sampled.append(values)
    return np.stack(sampled)


def output_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of a GeoTIFF, or of the finest level of a Zarr store of Qyran's."""
    if path.suffix != ".zarr":
        with rasterio.open(path) as dataset:
            return int(dataset.height), int(dataset.width)
    rows, columns = _measurements(path).attrs["spatial:shape"]
    return int(rows), int(columns)


def measure_lookup(truth: TruthPoints, sampled: Array) -> Lookup:
    """Compare what a tool made of the coordinate image with the truth.

    Parameters
    ----------
    truth
        Points on the common grid.
    sampled
        ``(2, points)``: column and row looked up; NaN, or 0 in both, where there is no value.
    """
    known = has_value(sampled)
    miss = sampled[:, known] - np.stack([truth.image_col, truth.image_row])[:, known]
    length = np.hypot(*miss)
    if not length.size:
        return Lookup(points=0, steep_points=0, missing_share=1.0)
    return Lookup(
        points=int(known.sum()),
        steep_points=int(truth.steep[known].sum()),
        max_px=float(length.max()),
        rmse_px=float(np.sqrt(np.mean(length**2))),
        p99_px=float(np.percentile(length, 99)),
        mean_px=(float(miss[0].mean()), float(miss[1].mean())),
        missing_share=missing_share(truth, sampled),
    )


def missing_share(truth: TruthPoints, sampled: Array) -> float:
    """Of points anywhere well inside the image, those without a value."""
    return float(1.0 - has_value(sampled)[truth.anywhere].mean())


def has_value(sampled: Array) -> npt.NDArray[np.bool_]:
    """Which points ``(band, point)`` hold a value: not NaN in any band, not 0 in all."""
    known: npt.NDArray[np.bool_] = np.isfinite(sampled).all(axis=0) & (sampled != 0).any(axis=0)
    return known


def read_rpc_text(path: Path) -> dict[str, Array]:
    """Figures of an ``_RPC.TXT`` by name; the twenty coefficients of a polynomial as one array."""
    figures: dict[str, list[float]] = {}
    for text in path.read_text(encoding="ascii").splitlines():
        name, _, value = text.partition(":")
        match = re.fullmatch(r"(\w+_COEFF)_(\d+)", name.strip())
        figures.setdefault(match[1] if match else name.strip(), []).append(float(value.split()[0]))
    return {name: np.array(values) for name, values in figures.items()}


def evaluate_rpc(rpc: dict[str, Array], lon: Array, lat: Array, height: Array) -> tuple[Array, Array]:
    """``(column, row)`` of ground points, 0 = centre of the first pixel, in float64, term by term."""
    L, P, H = (  # the standard's letters
        (value - rpc[f"{name}_OFF"]) / rpc[f"{name}_SCALE"]
        for name, value in (("LONG", lon), ("LAT", lat), ("HEIGHT", height))
    )
    terms = [
        np.ones_like(L), L, P, H, L * P, L * H, P * H, L * L, P * P, H * H, P * L * H, L**3, L * P * P, L * H * H,
        L * L * P, P**3, P * H * H, L * L * H, P * P * H, H**3,
    ]  # fmt: skip
    value = {
        name: sum(c * term for c, term in zip(rpc[f"{name}_COEFF"], terms, strict=True))
        for name in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN")
    }
    column = value["SAMP_NUM"] / value["SAMP_DEN"] * rpc["SAMP_SCALE"] + rpc["SAMP_OFF"]
    row = value["LINE_NUM"] / value["LINE_DEN"] * rpc["LINE_SCALE"] + rpc["LINE_OFF"]
    return np.asarray(column), np.asarray(row)


def _terrain(path: Path, lon: Array, lat: Array) -> tuple[Array, Array]:
    """Bilinear height between the posts, m, and the slope of the cell, m per post, at points; NaN outside."""
    with rasterio.open(path) as dataset:
        posts = dataset.read(1).astype(np.float64)
        inverse = ~dataset.transform
    # Posts stand at the centres of their cells.
    col, row = inverse.a * lon + inverse.c - 0.5, inverse.e * lat + inverse.f - 0.5
    inside = (row >= 0) & (row <= posts.shape[0] - 1) & (col >= 0) & (col <= posts.shape[1] - 1)
    top = np.clip(np.floor(row).astype(int), 0, posts.shape[0] - 2)
    left = np.clip(np.floor(col).astype(int), 0, posts.shape[1] - 2)
    down, right = row - top, col - left
    nw, ne = posts[top, left], posts[top, left + 1]
    sw, se = posts[top + 1, left], posts[top + 1, left + 1]
    height = (1 - down) * ((1 - right) * nw + right * ne) + down * ((1 - right) * sw + right * se)
    slope = np.hypot(ne + se - nw - sw, sw + se - nw - ne) / 2
    return np.where(inside, height, np.nan), slope


def _bands(path: Path) -> Iterator[tuple[Values, tuple[float, float, float]]]:
    """Each band of an output, and its pitch, left and top."""
    if path.suffix != ".zarr":
        with rasterio.open(path) as dataset:
            place = (dataset.transform.a, dataset.transform.c, dataset.transform.f)
            for number in range(1, dataset.count + 1):
                yield dataset.read(number), place
        return
    group = _measurements(path)
    affine = group.attrs["spatial:transform"]
    finest = group[group.attrs["multiscales"]["layout"][0]["asset"]]
    for name in group.attrs["bands"]:
        yield np.asarray(finest[name][:]), (affine[0], affine[2], affine[5])


def _measurements(path: Path) -> Any:
    """The first measurement group of a store."""
    measurements: Any = zarr.open_group(path, mode="r")["measurements"]
    return min(measurements.groups())[1]
