"""Small scenes with known geometry, for tests of anything that takes a camera, terrain and pixels."""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from affine import Affine

from processing.geometry.rpc import Rpc, fit_rpc
from processing.geometry.terrain import Terrain
from processing.model.calibration import Calibration
from processing.model.levels import Level, Quantity
from processing.model.scene import Angles, Band, Scene
from processing.model.sensor_model import SensorModel

METRES_A_DEGREE = 111_320.0


def tilted_rpc(
    shape: tuple[int, int] = (400, 300),
    *,
    lon: float = 75.3,
    lat: float = 43.1,
    gsd_m: float = 10.0,
    tilt_deg: float = 20.0,
    heading_deg: float = 12.0,
    heights: tuple[float, float] = (500.0, 4500.0),
) -> Rpc:
    """RPC of a camera that looks sideways at a tilt, flies at a heading, and bends its lines a little.

    The scene's centre pixel sees ``lon, lat`` at the lowest height.
    """
    line, sample, height = (
        axis.ravel()
        for axis in np.meshgrid(
            np.linspace(-20, shape[0] + 20, 15),
            np.linspace(-20, shape[1] + 20, 15),
            np.linspace(*heights, 6),
            indexing="ij",
        )
    )
    along = (line - shape[0] / 2) * gsd_m + 2e-6 * ((sample - shape[1] / 2) * gsd_m) ** 2
    across = (sample - shape[1] / 2) * gsd_m * (1.0 + 2e-6 * (line - shape[0] / 2))
    across = across + (height - heights[0]) * np.tan(np.radians(tilt_deg))
    heading = np.radians(heading_deg)
    east = across * np.cos(heading) - along * np.sin(heading)
    north = -across * np.sin(heading) - along * np.cos(heading)
    at_lat = lat + north / METRES_A_DEGREE
    at_lon = lon + east / (METRES_A_DEGREE * np.cos(np.radians(at_lat)))
    rpc, _ = fit_rpc(line, sample, at_lon, at_lat, height)
    return rpc


def hills(
    *,
    lon: float = 75.3,
    lat: float = 43.1,
    half_deg: float = 0.08,
    pitch_deg: float = 1 / 1200,
    heights: tuple[float, float] = (600.0, 3800.0),
    seed: int = 5,
) -> Terrain:
    """Rough terrain in geographic coordinates around a point, between two heights above the ellipsoid."""
    side = round(2 * half_deg / pitch_deg)
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    relief = np.zeros((side, side))
    for octave in range(1, 6):
        phase = random.uniform(0, 2 * np.pi, 4)
        frequency = 2.0**octave * np.pi
        relief += np.sin(frequency * x + phase[0] + np.sin(frequency * y + phase[1])) / 1.8**octave
        relief += np.cos(frequency * y + phase[2] + np.sin(frequency * x + phase[3])) / 1.8**octave
    relief = (relief - relief.min()) / np.ptp(relief)
    return Terrain(
        heights=(heights[0] + relief * (heights[1] - heights[0])).astype(np.float32),
        crs="EPSG:4326",
        transform=Affine(pitch_deg, 0.0, lon - half_deg, 0.0, -pitch_deg, lat + half_deg),
        datum_note="made up, ellipsoidal",
    )


def coordinate_pixels(shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Two bands that hold each pixel's own centre, line and sample: what a resampler reads back is where it looked."""
    line, sample = np.meshgrid(np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5, indexing="ij")
    return np.stack([line, sample]).astype(np.float32)


def scene_of_pixels(
    pixels: npt.NDArray[np.float32],
    model: SensorModel,
    *,
    saturated: int | None = None,
) -> Scene:
    """A scene of float pixels ``(band, line, sample)``, as calibration leaves one; saturated from a value on."""
    return Scene(
        scene_id="small",
        mission="kazeosat-1",
        sensor="kazeosat-1-naomi",
        group="ms",
        level=Level.SENSOR,
        acquired=datetime(2018, 4, 29, 7, 5, 43, tzinfo=UTC),
        bands=tuple(Band(name=f"band_{index}", label=str(index)) for index in range(len(pixels))),
        shape=(pixels.shape[1], pixels.shape[2]),
        angles=Angles(),
        footprint=(),
        model=model,
        nodata=None,
        quantity=Quantity.TOA_REFLECTANCE,
        source=pixels,
        calibration=Calibration(gains=(1.0,) * len(pixels), offsets=(0.0,) * len(pixels), saturated=saturated),
    )
