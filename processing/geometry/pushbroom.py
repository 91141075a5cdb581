"""The rigorous camera of a pushbroom satellite: one line of detectors swept over the ground by an orbit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from processing.geometry import pushbroom_kernel
from processing.geometry.attitude import Attitude, rotation
from processing.geometry.orbit import Ephemeris
from processing.model.errors import BadInput

Array = npt.NDArray[np.float64]

_MARGIN = 0.5
"""Part of the image's length and width beyond its edges that is answered still: about an RPC's own reach."""
_LEAST_MARGIN_PX = 512.0
_EARTH_RADIUS_M = 6.371e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushbroom:
    """Orbit, attitude, clock and look angles; implements :class:`processing.model.sensor_model.SensorModel`.

    The pixel at ``line, sample`` (corner-zero) is seen at ``first_line_s + (line - 0.5) line_period_s`` by detector
    ``d = first_detector + sample - 0.5``, in the camera's direction ``(along(d), -across(d), 1)`` (Pleiades Imagery
    User Guide, appendix on the rigorous model). Light time, aberration and refraction are in the delivered attitude.
    Points more than half an image (at least 512 px) outside it give NaN, as do times that neither orbit nor attitude
    reach.

    Raises
    ------
    BadInput
        ``pushbroom.clock`` or ``pushbroom.look`` for figures that make no camera, ``pushbroom.cover`` where the
        ephemeris or the attitude does not cover the image.
    """

    epoch: datetime
    """UTC; all seconds count from here."""
    ephemeris: Ephemeris
    attitude: Attitude
    first_line_s: float
    """Centre of the first line."""
    line_period_s: float
    along: tuple[float, ...]
    """YLOS: tangent along the motion, polynomial of the detector's number, ascending powers."""
    across: tuple[float, ...]
    """XLOS: tangent across it."""
    first_detector: float
    """The number at the centre of the first pixel, as the polynomials count."""
    shape: tuple[int, int]
    """Lines, samples."""

    def __post_init__(self) -> None:
        if not (self.line_period_s > 0 and np.isfinite(self.first_line_s)):
            raise BadInput(
                f"a line period of {self.line_period_s} s from {self.first_line_s} s", kind="pushbroom.clock"
            )
        detectors = self.first_detector + np.linspace(0.0, self.shape[1] - 1.0, 33)
        fan = np.polynomial.polynomial.polyval(detectors, self.across)
        step = np.diff(fan)
        if len(self.across) < 2 or not (np.isfinite(fan).all() and ((step > 0).all() or (step < 0).all())):
            raise BadInput("the look angles do not fan out over the detectors", kind="pushbroom.look")
        first, last = self._known_lines()
        if first > 0.5 or last < self.shape[0] - 0.5:
            raise BadInput(
                f"orbit and attitude are given for lines {first:.0f} to {last:.0f} of {self.shape[0]}",
                kind="pushbroom.cover",
            )
        if not 0 < abs(_sweep(self)) < np.inf:
            raise BadInput("the camera does not sweep over the ground", kind="pushbroom.look")

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(line, sample)`` that sees a ground point; broadcasts; NaN outside the model's reach."""
        return _apply(pushbroom_kernel.project, self.packed, lon, lat, height)

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)`` seen by an image point at a height; broadcasts; NaN outside the model's reach."""
        return _apply(pushbroom_kernel.locate, self.packed, line, sample, height)

    @property
    def packed(self) -> Array:
        """The camera as the kernels take it, read-only, see :func:`processing.geometry.pushbroom_kernel.pack`."""
        return _packed(self)

    @property
    def reach(self) -> tuple[float, float, float, float]:
        """Lowest and highest line, lowest and highest sample that are answered."""
        lines, samples = (max(_MARGIN * size, _LEAST_MARGIN_PX) for size in self.shape)
        first, last = self._known_lines()
        return max(-lines, first), min(self.shape[0] + lines, last), -samples, self.shape[1] + samples

    @property
    def middle_detector(self) -> float:
        """Number of the detector in the middle of the image."""
        return self.first_detector + (self.shape[1] - 1) / 2

    def seconds_at(self, line: npt.ArrayLike) -> Array:
        """Seconds after the epoch at which a line is seen."""
        seconds: Array = self.first_line_s + self.line_period_s * (np.asarray(line, dtype=np.float64) - 0.5)
        return seconds

    def time_at(self, line: float) -> datetime:
        """UTC at which a line is seen."""
        return self.epoch + timedelta(seconds=float(self.seconds_at(line)))

    def cut(self, first: int, lines: int) -> Self:
        """The camera of lines ``first`` (from 0) to ``first + lines``: the same detectors, started later."""
        return replace(
            self,
            first_line_s=self.first_line_s + first * self.line_period_s,
            shape=(lines, self.shape[1]),
        )

    def _known_lines(self) -> tuple[float, float]:
        """First and last line that both orbit and attitude are given for."""
        orbit, attitude = (self.ephemeris.seconds[0], self.ephemeris.seconds[-1]), self.attitude.span
        known = np.array([max(orbit[0], attitude[0]), min(orbit[1], attitude[1])])
        first, last = (known - self.first_line_s) / self.line_period_s + 0.5
        return float(first), float(last)


@lru_cache(maxsize=64)
def _packed(camera: Pushbroom) -> Array:
    figures = {
        pushbroom_kernel.FIRST_LINE_S: camera.first_line_s,
        pushbroom_kernel.LINE_PERIOD_S: camera.line_period_s,
        pushbroom_kernel.SWEEP: _sweep(camera),
        pushbroom_kernel.FIRST_DETECTOR: camera.first_detector,
        pushbroom_kernel.MIDDLE_DETECTOR: camera.middle_detector,
    }
    figures |= dict(enumerate(camera.reach, start=pushbroom_kernel.LOWEST_LINE))
    return pushbroom_kernel.pack(
        camera.ephemeris.pieces(), camera.attitude.pieces(), camera.along, camera.across, figures, _start(camera)
    )


def _looks(camera: Pushbroom, detector: Array) -> Array:
    """Directions ``(..., 3)`` of detectors in the camera."""
    along, across = (np.polynomial.polynomial.polyval(detector, terms) for terms in (camera.along, camera.across))
    return np.stack(np.broadcast_arrays(along, -across, 1.0), axis=-1)


def _on_sphere(camera: Pushbroom, line: Array, detector: Array, height: Array) -> Array:
    """Earth-fixed points ``(n, 3)`` about where image points see a height: a sphere stands for the ellipsoid."""
    seconds = camera.seconds_at(line)
    position = camera.ephemeris.position(seconds)
    look = np.einsum("nij,nj->ni", rotation(camera.attitude.quaternion(seconds)), _looks(camera, detector))
    look /= np.linalg.norm(look, axis=1, keepdims=True)
    towards = np.einsum("ni,ni->n", look, position)
    root = towards**2 - np.einsum("ni,ni->n", position, position) + (_EARTH_RADIUS_M + height) ** 2
    distance = -towards - np.sqrt(np.where(root > 0, root, np.nan))
    ground: Array = position + look * distance[:, None]
    return ground


def _sweep(camera: Pushbroom) -> float:
    """How far the ground moves past the middle detector from one line to the next, as a tangent along the motion."""
    line = np.array([camera.shape[0] / 2, camera.shape[0] / 2 + 1])
    ground = _on_sphere(camera, line[:1], np.array([camera.middle_detector]), np.zeros(1))
    seconds = camera.seconds_at(line)
    turned = rotation(camera.attitude.quaternion(seconds))
    seen = np.einsum("nij,ni->nj", turned, ground - camera.ephemeris.position(seconds))
    return float(-np.diff(seen[:, 0] / seen[:, 2])[0])


def _start(camera: Pushbroom) -> Array:
    """Middle, size and polynomial from which the kernel guesses the line of a ground point, see its ``START``."""
    line, part, height = (
        axis.ravel()
        for axis in np.meshgrid(
            np.linspace(0.0, camera.shape[0], 7), np.linspace(-0.5, 0.5, 5), [-500.0, 4000.0, 9000.0], indexing="ij"
        )
    )
    ground = _on_sphere(camera, line, camera.middle_detector + part * camera.shape[1], height)
    middle = ground.mean(axis=0)
    size = float(np.abs(ground - middle).max())
    design = np.column_stack(np.broadcast_arrays(*pushbroom_kernel.start_terms(*((ground - middle) / size).T)))
    return np.array([*middle, size, *np.linalg.lstsq(design, line, rcond=1e-12)[0]])


def _apply(kernel: Callable[..., None], packed: Array, *arguments: npt.ArrayLike) -> tuple[Array, Array]:
    """Broadcast three arguments, run a flat kernel over them and give its two results their shape back."""
    broadcast = np.broadcast_arrays(*(np.asarray(argument, dtype=np.float64) for argument in arguments))
    shape = broadcast[0].shape
    first, second = np.empty(shape), np.empty(shape)
    kernel(packed, *(np.ascontiguousarray(argument).ravel() for argument in broadcast), first.ravel(), second.ravel())
    return first, second
