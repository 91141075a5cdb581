"""Matching on scenes rendered through a known camera: the truth is the camera, not the matcher."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from affine import Affine
from pyproj import Transformer
from scipy import fft
from scipy.ndimage import gaussian_filter, map_coordinates

from processing.geometry.refine import Refined, refine_from_gcps
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.registration.match import match_scene
from processing.testing.small_scenes import hills, scene_of_pixels, tilted_rpc

SHAPE, GSD, CRS = (560, 480), 10.0, "EPSG:32643"
SIDE = 1600
"""Of the ground, in its pixels: the coarsest reference still holds a patch at the coarsest step."""
Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """A reference in memory."""

    values: Image
    transform: Affine
    name: str = "drawn"
    crs: str = CRS

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape  # type: ignore[return-value]

    def grey(self, rows: tuple[int, int], cols: tuple[int, int], factor: int = 1) -> Image:
        cut = self.values[slice(*rows), slice(*cols)]
        return cut.reshape(cut.shape[0] // factor, factor, cut.shape[1] // factor, factor).mean(axis=(1, 3))


def ground(seed: int = 1, pitch_m: float = 5.0) -> Drawn:
    """Ground with fields and texture, wider than what the camera sees."""
    noise = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
    squared = fft.fftfreq(SIDE)[:, None] ** 2 + fft.rfftfreq(SIDE) ** 2
    # Gaussian filters of four widths at once.
    kernel = sum(sigma * np.exp(-2 * (np.pi * sigma) ** 2 * squared) for sigma in (2.0, 5.0, 14.0, 40.0))
    values = fft.irfft2(fft.rfft2(noise) * kernel)
    x, y = Transformer.from_crs("EPSG:4326", CRS, always_xy=True).transform(75.3, 43.1)
    half = SIDE * pitch_m / 2
    return Drawn((100 + 20 * values).astype(np.float32), Affine(pitch_m, 0, x - half, 0, -pitch_m, y + half))


def terrain() -> Terrain:
    return hills(heights=(600.0, 1100.0), half_deg=0.1, pitch_deg=1 / 600)


def camera(terrain: Terrain) -> Refined:
    """The true camera, placed so that it looks at the middle of the ground."""
    rpc = tilted_rpc(SHAPE, gsd_m=GSD, tilt_deg=10.0, heights=(500.0, 1200.0))
    return Refined(model=rpc)


def photographed(world: Drawn, model: Refined, terrain: Terrain) -> Image:
    """The scene, looked up pixel by pixel on the ground that each ray meets."""
    line, sample = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] + 0.5
    height = np.full(SHAPE, 850.0)
    # Each round leaves a twentieth of the error before it.
    for _ in range(5):
        lon, lat = model.image_to_ground(line, sample, height)
        height = terrain.height(lon, lat)
    x, y = Transformer.from_crs("EPSG:4326", CRS, always_xy=True).transform(lon, lat)
    col, row = ~world.transform @ (x, y)
    smooth = gaussian_filter(world.values, 1.0)
    return map_coordinates(smooth, [row - 0.5, col - 0.5], order=3, mode="nearest").astype(np.float32)


@pytest.fixture(scope="module")
def taken() -> tuple[Scene, Terrain, Drawn]:
    relief, world = terrain(), ground()
    model = camera(relief)
    image = photographed(world, model, relief)
    # Another day's light: brightness turned and bent.
    other = (2000.0 * np.exp(-image / 150.0))[None].astype(np.float32)
    return scene_of_pixels(other, model), relief, world


def coarser(world: Drawn, factor: int) -> Drawn:
    values = world.grey((0, world.shape[0]), (0, world.shape[1]), factor)
    return replace(world, values=values, transform=world.transform @ Affine.scale(factor))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_model_off_by_dozens_of_pixels_is_put_right(taken: tuple[Scene, Terrain, Drawn], factor: int) -> None:
    """References at half, the same, and twice the scene's pixel."""
    scene, relief, world = taken
    assert scene.model is not None
    wrong = Refined(model=scene.model, line=(47.3, 0, 0), sample=(-38.6, 0, 0))
    found = match_scene(scene, wrong, relief, [coarser(world, factor)])
    refined, report = refine_from_gcps(wrong, found.points, shape=scene.shape)
    assert report.points >= 10
    line, sample = np.array([50.0, 280.0, 510.0]), np.array([400.0, 240.0, 60.0])
    lon, lat = scene.model.image_to_ground(line, sample, 850.0)
    seen = refined.ground_to_image(lon, lat, 850.0)
    assert np.hypot(seen[0] - line, seen[1] - sample).max() <= 0.1


def test_a_part_of_the_reference_that_is_misplaced_is_left_out(taken: tuple[Scene, Terrain, Drawn]) -> None:
    scene, relief, world = taken
    assert scene.model is not None
    values = world.values.copy()
    misplaced = SIDE // 2 - 100
    values[:, :misplaced] = np.roll(values[:, :misplaced], 9, axis=0)
    found = match_scene(scene, scene.model, relief, [replace(world, values=values)])
    _, report = refine_from_gcps(scene.model, found.points, shape=scene.shape)
    assert np.hypot(*report.shift_px) <= 0.1
    # Patches are 96 of the grid's pixels, two of the reference's each: a third of one may be misplaced.
    assert min(int(point.name.rpartition(",")[2]) for point in found.points) >= misplaced - 32


def test_what_is_no_reference_is_refused(taken: tuple[Scene, Terrain, Drawn]) -> None:
    scene, relief, world = taken
    assert scene.model is not None
    far = replace(world, transform=Affine.translation(40_000, 0) @ world.transform)
    other = ground(seed=99)
    void = replace(world, values=np.full_like(world.values, np.nan))
    kinds = {
        "far": ("reference.no_overlap", far),
        "other": ("reference.too_few", other),
        "void": ("reference.no_overlap", void),
    }
    for kind, reference in kinds.values():
        with pytest.raises(BadInput) as refused:
            match_scene(scene, scene.model, relief, [reference])
        assert refused.value.kind == kind
