"""How a camera is turned: delivered quaternions, as polynomials of time or as a list."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from processing.geometry.orbit import Pieces
from processing.model.errors import BadInput

Array = npt.NDArray[np.float64]
Quaternion = tuple[float, float, float, float]
"""Scalar first; turns a direction of the camera into the Earth-fixed frame."""

_UNIT = 0.02
"""A delivered quaternion's length may differ from 1 by this much (PHR-1A: 2e-6); more is no rotation."""
_WIDEST_TURN_RAD = 0.01
"""Between neighbouring samples. Up to it the straight chord stays within 3e-9 rad of the great circle (slerp)."""
_POLYNOMIAL_REACH = 2.0
"""Polynomials are used up to this many SCALEs from OFFSET: an image's own lines lie within one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolynomialAttitude:
    """Each component of the quaternion is a polynomial of ``(seconds - offset) / scale`` (DIMAP v2, Pleiades).

    Raises
    ------
    BadInput
        ``attitude.polynomial`` when there are not four polynomials of one degree, ``attitude.unit`` when what comes
        out is no unit quaternion.
    """

    offset: float
    """Seconds after the model's epoch."""
    scale: float
    """s."""
    coefficients: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    """Of Q0 (scalar), Q1, Q2, Q3, ascending powers."""

    def __post_init__(self) -> None:
        degrees = {len(row) for row in self.coefficients}
        if len(self.coefficients) != 4 or len(degrees) != 1 or 0 in degrees or not self.scale > 0:
            raise BadInput(
                "an attitude is four polynomials of one degree over a positive scale", kind="attitude.polynomial"
            )
        _check_units(np.array([self.quaternion(self.offset + part * self.scale) for part in (-1, 0, 1)]))

    def quaternion(self, seconds: npt.ArrayLike) -> Array:
        """Components at times, not normalised, shape ``(..., 4)``."""
        argument = (np.asarray(seconds, dtype=np.float64) - self.offset) / self.scale
        return np.stack([np.polynomial.polynomial.polyval(argument, row) for row in self.coefficients], axis=-1)

    @property
    def span(self) -> tuple[float, float]:
        """First and last second at which it may be used."""
        return self.offset - _POLYNOMIAL_REACH * self.scale, self.offset + _POLYNOMIAL_REACH * self.scale

    def pieces(self) -> Pieces:
        """One stretch, whose variable is the polynomials' own."""
        breaks = np.array([self.offset - self.scale, self.offset + self.scale])
        return Pieces(breaks=breaks, coefficients=np.array(self.coefficients)[None])


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledAttitude:
    """Quaternions at times (SPOT 6/7, PeruSat-1, Pleiades Neo); between neighbours the shortest turn.

    Raises
    ------
    BadInput
        ``attitude.samples`` for fewer than two, ``attitude.time`` where times do not ascend, ``attitude.unit``
        for other than unit quaternions, ``attitude.sparse`` where neighbours are turned by more than 0.01 rad.
    """

    seconds: tuple[float, ...]
    """After the model's epoch, ascending."""
    quaternions: tuple[Quaternion, ...]

    def __post_init__(self) -> None:
        if len(self.seconds) != len(self.quaternions) or len(self.seconds) < 2:
            raise BadInput("a sampled attitude needs two quaternions with times or more", kind="attitude.samples")
        if not all(before < after for before, after in pairwise(self.seconds)):
            raise BadInput("the times of the attitude's quaternions do not ascend", kind="attitude.time")
        _check_units(np.array(self.quaternions))
        turn = 2 * np.linalg.norm(np.diff(self._continuous(), axis=0), axis=1)
        if not turn.max() <= _WIDEST_TURN_RAD:
            raise BadInput(
                f"neighbouring quaternions are turned by up to {np.degrees(turn.max()):.3g} degrees: too far apart to "
                "interpolate between them",
                kind="attitude.sparse",
            )

    def _continuous(self) -> Array:
        """Unit quaternions ``(n, 4)`` without the jumps of sign that mean the same rotation."""
        rows = np.array(self.quaternions) / np.linalg.norm(self.quaternions, axis=1, keepdims=True)
        same = np.sign(np.einsum("ij,ij->i", rows[1:], rows[:-1]))
        rows[1:] *= np.cumprod(same)[:, None]
        return rows

    def quaternion(self, seconds: npt.ArrayLike) -> Array:
        """Components at times on the chord between neighbours, not normalised, shape ``(..., 4)``."""
        rows, asked = self._continuous(), np.asarray(seconds, dtype=np.float64)
        return np.stack([np.interp(asked, self.seconds, rows[:, axis]) for axis in range(4)], axis=-1)

    @property
    def span(self) -> tuple[float, float]:
        """First and last second at which it may be used: nothing is known beyond the samples."""
        return self.seconds[0], self.seconds[-1]

    def pieces(self) -> Pieces:
        """A straight line between each two neighbours."""
        rows = self._continuous()
        coefficients = np.stack([(rows[1:] + rows[:-1]) / 2, (rows[1:] - rows[:-1]) / 2], axis=-1)
        return Pieces(breaks=np.array(self.seconds), coefficients=coefficients)


Attitude = PolynomialAttitude | SampledAttitude


def _check_units(quaternions: Array) -> None:
    length = np.linalg.norm(quaternions, axis=-1)
    if not (np.abs(length - 1) < _UNIT).all():
        raise BadInput(
            f"the attitude's quaternions are {length.min():.3g} to {length.max():.3g} long, not 1",
            kind="attitude.unit",
        )


def rotation(quaternion: npt.ArrayLike) -> Array:
    """Rotation matrices ``(..., 3, 3)``, camera to Earth, of quaternions ``(..., 4)`` (scalar first) of any length."""
    q = np.asarray(quaternion, dtype=np.float64)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
