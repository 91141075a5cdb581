"""A rigorous pushbroom camera: implements ``SensorModel`` with an orbit, an attitude and look angles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from processing.testing import camera_kernel
from processing.testing.camera_kernel import CameraState
from processing.testing.compiled import over_rows

Array = npt.NDArray[np.float64]
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeris:
    """Points of the orbit, Earth-fixed; between them the position is an 8-point Lagrange interpolation."""

    seconds: tuple[float, ...]
    """Of the day, evenly spaced."""
    positions: tuple[Vector, ...]
    """m."""
    velocities: tuple[Vector, ...]
    """m/s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attitude:
    """Quaternion from the camera to the Earth, scalar first: polynomials of ``(seconds - offset) / scale``.

    The camera's x axis points along the motion, z towards the ground, y to the right.
    """

    offset: float
    scale: float
    coefficients: tuple[tuple[float, ...], ...]
    """Four rows Q0..Q3, ascending powers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """One sinusoid of the jitter."""

    axis: int
    """0 turns about x (moves the image across the track), 1 about y (along)."""
    amplitude_rad: float
    period_s: float
    phase_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PointingError:
    """What the operator does not know about the attitude."""

    bias_rad: Vector = (0.0, 0.0, 0.0)
    """Constant, about x, y, z."""
    jitter: tuple[Swing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushbroom:
    """One detector line swept over the ground.

    A pixel of row r and column c (1 = centre of the first) is seen at ``start + (r - 1) * line_period`` in the
    direction ``(ylos_0, -(xlos_0 + xlos_1 * (first_column + c - 1)), 1)`` of the camera, the model that DIMAP v2
    states for Pleiades (there FIRST_COL is ``first_column + 1``: it counts from 1). Points and tuples only, so that
    it pickles small and hashes.
    """

    day: datetime
    """Midnight UTC of the day all seconds count from."""
    ephemeris: Ephemeris
    attitude: Attitude
    start: float
    """Seconds of the day of the first row's centre."""
    line_period: float
    """s."""
    ylos_0: float
    xlos_0: float
    xlos_1: float
    first_column: int
    shape: tuple[int, int]
    """Lines, samples."""
    pointing: PointingError = PointingError()

    def with_pointing(self, pointing: PointingError) -> Self:
        """The same camera with other errors."""
        return replace(self, pointing=pointing)

    @property
    def state(self) -> CameraState:
        """The camera as the kernels take it."""
        return _state(self)

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)`` seen by an image point at a given height; NaN where the look direction misses the Earth."""
        return _mapped(camera_kernel.locate, self.state, line, sample, height)

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(line, sample)`` that sees a ground point; NaN where the known orbit does not reach.

        Points beyond the image's edges get the coordinates the swath would have if it went on.
        """
        return _mapped(camera_kernel.project, self.state, lon, lat, height)

    def seconds_at(self, line: npt.ArrayLike) -> Array:
        """Seconds of the day at which a line (corner-zero convention) is seen."""
        seconds: Array = self.start + self.line_period * (np.asarray(line, dtype=np.float64) - 0.5)
        return seconds

    def position_at(self, line: float) -> Array:
        """Earth-fixed position of the satellite at a line, m, shape (3,)."""
        frame = camera_kernel.frame_at(self.state, float(self.seconds_at(line)))
        return np.array(frame[:3])


@lru_cache(maxsize=64)
def _state(camera: Pushbroom) -> CameraState:
    jitter = [
        (swing.axis, swing.amplitude_rad, 2 * np.pi / swing.period_s, swing.phase_rad)
        for swing in camera.pointing.jitter
    ]
    return CameraState(
        times=np.array(camera.ephemeris.seconds),
        positions=np.array(camera.ephemeris.positions),
        quaternion=np.array(camera.attitude.coefficients),
        clock=np.array([camera.attitude.offset, camera.attitude.scale, camera.start, camera.line_period]),
        look=np.array([camera.ylos_0, camera.xlos_0, camera.xlos_1, float(camera.first_column)]),
        bias=np.array(camera.pointing.bias_rad),
        jitter=np.array(jitter, dtype=np.float64).reshape(-1, 4),
    )


def _mapped(
    kernel: Callable[..., None],
    state: CameraState,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    third: npt.ArrayLike,
) -> tuple[Array, Array]:
    """Run a flat kernel over broadcast arguments."""
    arguments = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (first, second, third)))
    shape = arguments[0].shape
    results = np.empty((2, int(np.prod(shape))))
    flat = (np.ascontiguousarray(value).ravel() for value in arguments)
    over_rows(kernel, results.shape[1], state, *flat, results[0], results[1])
    return results[0].reshape(shape), results[1].reshape(shape)
