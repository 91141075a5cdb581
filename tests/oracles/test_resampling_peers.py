"""What we make of pixels and what GDAL makes of them, at the same positions.

The positions are the same by construction, to 1e-6 px: the sensor model is a turned affine map, which any lattice
reproduces, and GDAL is told the same affine as a geotransform. GDAL's kernels are the plain ones only with
XSCALE=YSCALE=1; left to itself it guesses a scale from the sizes of windows, and softens turned images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from affine import Affine
from pyproj import Transformer
from rasterio.warp import Resampling as GdalResampling
from rasterio.warp import reproject
from scipy.ndimage import binary_dilation, gaussian_filter

from processing.geometry.plan import plan_ortho
from processing.geometry.stage import orthorectify
from processing.geometry.terrain import Terrain
from processing.testing.small_scenes import scene_of_pixels

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CRS = "EPSG:32643"
X, Y, PITCH = 660_000.0, 4_770_000.0, 10.0
LONLAT = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
SHAPE = (420, 360)
REACH = {"nearest": 1, "bilinear": 1, "cubic": 2, "lanczos": 3}
"""Taps on each side."""


@dataclass(frozen=True)
class Turned:
    """A sensor model that is an affine of the output's own map, whatever the height."""

    to_map: Affine
    """(sample, line) to (x, y)."""

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        lon, lat, _ = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (lon, lat, height)))
        return self.map_to_image(*LONLAT.transform(lon, lat, direction="INVERSE"))

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        row, col, _ = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (line, sample, height)))
        a, b, c, d, e, f = tuple(self.to_map)[:6]
        lon, lat = LONLAT.transform(a * col + b * row + c, d * col + e * row + f)
        return np.asarray(lon), np.asarray(lat)

    def map_to_image(self, x: Array, y: Array) -> tuple[Array, Array]:
        a, b, c, d, e, f = tuple(~self.to_map)[:6]
        return d * x + e * y + f, a * x + b * y + c


@dataclass(frozen=True)
class Both:
    """One image on one grid, by us and by GDAL, and where its pixels come from."""

    ours: Image
    theirs: Image
    line: Array
    sample: Array

    def centre_in(self, margin: float = 0.0) -> Mask:
        """Output pixels whose centre lies in the image, at least so far from its edge."""
        inside: Mask = (
            (self.line >= margin)
            & (self.line < SHAPE[0] - margin)
            & (self.sample >= margin)
            & (self.sample < SHAPE[1] - margin)
        )
        return inside

    def centre_on(self, mask: Mask) -> Mask:
        """Output pixels whose centre lies on a marked pixel of the image."""
        inside = self.centre_in()
        found = np.zeros(inside.shape, dtype=np.bool_)
        found[inside] = mask[np.floor(self.line[inside]).astype(int), np.floor(self.sample[inside]).astype(int)]
        return found


def turned(degrees: float, ratio: float = 1.0) -> Turned:
    """An image turned about its centre, with ratio output pixels to one of its own."""
    return Turned(
        Affine.translation(X, Y)
        @ Affine.scale(PITCH * ratio, -PITCH * ratio)
        @ Affine.rotation(degrees)
        @ Affine.translation(-SHAPE[1] / 2 + 0.137, -SHAPE[0] / 2 + 0.219)
    )


def by_both(pixels: Image, model: Turned, resampling: str, **options: Any) -> Both:
    """The image (line, sample; NaN nodata) on a grid of ``PITCH`` metres, by Qyran and by GDAL."""
    plain = Terrain(
        heights=np.zeros((40, 40), dtype=np.float32),
        crs=CRS,
        transform=Affine(1000.0, 0, X - 20_000, 0, -1000.0, Y + 20_000),
        datum_note="made up",
    )
    scene = scene_of_pixels(pixels[None], model)
    plan = plan_ortho(scene, plain, resolution_m=PITCH, crs=CRS, snap="pixel", shard_px=256)
    ours = orthorectify(scene, plain, plan, resampling=resampling).pixels.data.compute()[0]
    theirs = np.full(ours.shape, np.nan, dtype=np.float32)
    grid = plan.geobox.affine
    reproject(
        pixels,
        theirs,
        src_transform=model.to_map,
        src_crs=CRS,
        dst_transform=grid,
        dst_crs=CRS,
        src_nodata=np.nan,
        dst_nodata=np.nan,
        resampling=GdalResampling[resampling],
        tolerance=0.0,
        **options,
    )
    col, row = np.meshgrid(np.arange(ours.shape[1]) + 0.5, np.arange(ours.shape[0]) + 0.5)
    line, sample = model.map_to_image(grid.a * col + grid.c, grid.e * row + grid.f)
    return Both(ours=ours, theirs=theirs, line=line, sample=sample)


PLAIN_KERNELS = {"XSCALE": 1, "YSCALE": 1}


def land(seed: int = 4) -> Image:
    """12-bit counts with the spectrum of land: detail at every size down to the pixel, and sharp edges."""
    random = np.random.default_rng(seed)
    image = np.full(SHAPE, 900.0)
    for size in (0.6, 1.2, 2.5, 5.0, 10.0, 20.0):
        octave = gaussian_filter(random.normal(size=SHAPE), size)
        image += 130.0 * octave / octave.std()
    image[120:180, 90:150] += 1400.0
    image[200:, 230:234] = 3900.0
    return np.clip(np.rint(image), 1, 4095).astype(np.float32)


@pytest.mark.parametrize("resampling", REACH)
def test_kernels_are_gdals(resampling: str) -> None:
    both = by_both(land(), turned(17.0), resampling, **PLAIN_KERNELS)
    inner = both.centre_in(REACH[resampling] + 0.5)
    assert inner.sum() > 100_000
    assert np.isfinite(both.ours[inner]).all()
    difference = np.abs(np.rint(both.ours) - np.rint(both.theirs))[inner]
    if resampling == "nearest":
        # A centre within 1e-6 px of the border of two pixels may fall to either.
        assert (difference > 0).mean() < 1e-5
    else:
        assert difference.max() <= 1.0
        assert np.abs(both.ours - both.theirs)[inner].max() < 0.1


@pytest.mark.parametrize("resampling", REACH)
def test_the_image_ends_where_gdals_does(resampling: str) -> None:
    """A value where the centre falls into the image, none elsewhere; and the same value but for the cubic kernel."""
    both = by_both(land(), turned(17.0), resampling, **PLAIN_KERNELS)
    assert (np.isfinite(both.ours) == both.centre_in()).all()
    assert (np.isfinite(both.theirs) == both.centre_in()).all()
    edge = both.centre_in() & ~both.centre_in(REACH[resampling] + 0.5)
    assert edge.sum() > 2000
    if resampling != "cubic":
        assert np.abs(both.ours - both.theirs)[edge].max() < 0.1


def test_gdals_cubic_is_bilinear_beside_the_edge() -> None:
    """Where taps are missing GDAL falls back to the bilinear kernel; we leave them out, as it does with Lanczos."""
    cubic = by_both(land(), turned(17.0), "cubic", **PLAIN_KERNELS)
    bilinear = by_both(land(), turned(17.0), "bilinear", **PLAIN_KERNELS)
    edge = cubic.centre_in() & ~cubic.centre_in(2.5)
    like_ours = np.abs(cubic.theirs - cubic.ours)[edge] < 0.1
    like_bilinear = np.abs(cubic.theirs - bilinear.ours)[edge] < 0.1
    assert (like_ours | like_bilinear).all()
    assert like_bilinear.mean() > 0.5


@pytest.mark.parametrize("wavelength", [4.0, 6.0, 8.0, 16.0])
@pytest.mark.parametrize("beside", ["edge", "nodata"])
def test_our_cubic_is_nearer_to_the_truth_where_taps_are_missing(wavelength: float, beside: str) -> None:
    """The choice in which we differ from GDAL, against a scene that is known between its pixels too."""

    def light(line: Array, sample: Array) -> Array:
        turn = 2 * np.pi / wavelength
        wave: Array = 1000.0 + 300.0 * np.sin(turn * line + 0.3) * np.cos(turn * sample + 1.0)
        return wave

    pixels = light(*np.indices(SHAPE) + 0.5).astype(np.float32)
    if beside == "nodata":
        pixels[holes()] = np.nan
    both = by_both(pixels, turned(17.0), "cubic", **PLAIN_KERNELS)
    known = np.isfinite(both.ours) & np.isfinite(both.theirs)
    inner = both.centre_in(4.0) if beside == "nodata" else ~both.centre_in(2.5)
    compared = known & inner & (np.abs(both.ours - both.theirs) > 0.01)
    assert compared.sum() > 1000
    ours, theirs = (
        np.sqrt(np.mean((values - light(both.line, both.sample))[compared] ** 2)) for values in (both.ours, both.theirs)
    )
    assert ours < theirs


def holes() -> Mask:
    """A large patch of nodata, and single pixels of it."""
    hole = np.random.default_rng(8).random(SHAPE) < 0.002
    hole[60:110, 200:300] = True
    return hole


@pytest.mark.parametrize("resampling", REACH)
def test_nodata(resampling: str) -> None:
    """No value where the centre falls onto nodata; elsewhere GDAL's, but for its cubic beside nodata."""
    pixels, hole = land(), holes()
    pixels[hole] = np.nan
    both = by_both(pixels, turned(17.0), resampling, **PLAIN_KERNELS)
    assert (np.isfinite(both.ours) == (both.centre_in() & ~both.centre_on(hole))).all()
    # With negative lobes GDAL gives up a few pixels in the corners of nodata whose weights nearly cancel.
    theirs = np.isfinite(both.theirs)
    assert not (theirs & ~np.isfinite(both.ours)).any()
    assert (np.isfinite(both.ours) & ~theirs).sum() <= (10 if resampling == "lanczos" else 0)
    reach = np.ones((3, 3), dtype=bool)
    beside = both.centre_on(binary_dilation(hole, structure=reach, iterations=REACH[resampling] + 1))
    compared = both.centre_in(REACH[resampling] + 0.5) & theirs & np.isfinite(both.ours)
    if resampling == "cubic":
        compared &= ~beside
    difference = np.abs(both.ours - both.theirs)[compared]
    assert compared.sum() > 90_000
    assert (difference > 0.1).mean() < (1e-5 if resampling == "nearest" else 1e-12)


def sharpness(image: Image, where: Mask) -> float:
    """Mean magnitude of the gradient, counts a pixel."""
    return float(np.nanmean(np.hypot(*np.gradient(np.where(where, image, np.nan)))))


@pytest.mark.parametrize("degrees", [9.0, 17.0, 30.0, 45.0])
def test_as_sharp_as_gdal_told_not_to_soften(degrees: float) -> None:
    plain = by_both(land(), turned(degrees), "cubic", **PLAIN_KERNELS)
    default = by_both(land(), turned(degrees), "cubic")
    inner = plain.centre_in(6.0)
    ours = sharpness(plain.ours, inner)
    assert ours >= 0.9999 * sharpness(plain.theirs, inner)
    assert ours >= 0.9999 * sharpness(default.theirs, inner)
    if degrees > 15:
        # What GDAL costs a turned image that nobody tells it about: 3 % at 17 degrees, 10 % at 45.
        assert sharpness(default.theirs, inner) < 0.975 * ours


def zone_plate() -> Image:
    """Rings that grow finer outward, from the middle to two pixels a ring at 210 px from it."""
    line, sample = np.indices(SHAPE) + 0.5
    squared = (line - SHAPE[0] / 2) ** 2 + (sample - SHAPE[1] / 2) ** 2
    return np.asarray(1000.0 + 800.0 * np.cos(np.pi / 420.0 * squared), dtype=np.float32)


@pytest.mark.parametrize("coarser", [2, 4])
@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "lanczos"])
def test_nothing_aliases_when_the_output_is_coarser(resampling: str, coarser: int) -> None:
    """Rings finer than the output's pixels become the grey they are on average, not rings of another place."""
    both = by_both(zone_plate(), turned(17.0, 1 / coarser), resampling)
    nearest = by_both(zone_plate(), turned(17.0, 1 / coarser), "nearest")
    radius = np.hypot(both.line - SHAPE[0] / 2, both.sample - SHAPE[1] / 2)
    too_fine = (radius > 1.4 * 210 / coarser) & (radius < 170)
    assert too_fine.sum() > 1000
    residue = np.nanstd(both.ours[too_fine])
    # Nearest neighbours show what full aliasing is: rings of the same contrast.
    assert residue < 0.15 * np.nanstd(nearest.ours[too_fine])
    assert residue <= np.nanstd(both.theirs[too_fine])
    assert abs(np.nanmean(both.ours[too_fine]) - 1000.0) < 10.0
    # What the output can hold is kept: rings twice as coarse as its pixels could hold keep their contrast.
    coarse = radius < 0.25 * 210 / coarser
    rings = 800.0 * np.cos(np.pi / 420.0 * radius[coarse] ** 2)
    kept = np.sum((both.ours[coarse] - 1000.0) * rings) / np.sum(rings**2)
    assert 0.85 < kept < 1.05
