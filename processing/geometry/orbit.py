"""Where a satellite is: the eight-point Lagrange interpolation of delivered ephemeris points."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from processing.model.errors import BadInput

Array = npt.NDArray[np.float64]
Vector = tuple[float, float, float]

NODES = 8
"""Points of the interpolation, as DIMAP v2 prescribes for its ephemerides."""
_LOWEST_M, _HIGHEST_M = 6.4e6, 5e7
"""Distances from the Earth's centre at which something orbits and images it; kilometres or zeros are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """Polynomials on consecutive stretches of time, as the kernels take them.

    On stretch ``i`` channel ``c`` is the sum of ``coefficients[i, c, k] * ((t - middle[i]) / half[i]) ** k``.
    Before the first and after the last break the outer polynomials go on.
    """

    breaks: Array
    """(stretches + 1,) seconds, ascending."""
    coefficients: Array
    """(stretches, channels, terms)."""

    @property
    def middle(self) -> Array:
        """Middle of each stretch, s."""
        return (self.breaks[:-1] + self.breaks[1:]) / 2

    @property
    def half(self) -> Array:
        """Half of each stretch's length, s."""
        return (self.breaks[1:] - self.breaks[:-1]) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeris:
    """Points of an orbit, Earth-fixed (EPSG:4978).

    Raises
    ------
    BadInput
        ``orbit.points`` for fewer than eight, ``orbit.time`` where times do not ascend, ``orbit.range`` for
        positions that are not finite, or no place for a satellite.
    """

    seconds: tuple[float, ...]
    """After the model's epoch, ascending."""
    positions: tuple[Vector, ...]
    """m."""

    def __post_init__(self) -> None:
        if len(self.seconds) != len(self.positions) or len(self.seconds) < NODES:
            raise BadInput(
                f"an orbit needs {NODES} points with times or more, {len(self.positions)} are given",
                kind="orbit.points",
            )
        if not all(before < after for before, after in pairwise(self.seconds)):
            raise BadInput("the times of the orbit's points do not ascend", kind="orbit.time")
        distance = np.linalg.norm(np.array(self.positions), axis=1)
        if not ((distance > _LOWEST_M) & (distance < _HIGHEST_M)).all():
            raise BadInput(
                f"the orbit's points lie {distance.min():.6g} to {distance.max():.6g} m from the Earth's centre",
                kind="orbit.range",
                remedy="Positions are in metres, Earth-fixed.",
            )

    def position(self, seconds: npt.ArrayLike) -> Array:
        """Position at times, m, shape ``(..., 3)``: Lagrange's formula in its barycentric form, the kernels' oracle.

        Berrut and Trefethen (2004), equation 4.2, over the eight points around each time.
        """
        times, points = np.array(self.seconds), np.array(self.positions)
        asked = np.asarray(seconds, dtype=np.float64)
        stretch = np.clip(np.searchsorted(times, asked, side="right") - 1, 0, len(times) - 2)
        nodes = np.clip(stretch - NODES // 2 + 1, 0, len(times) - NODES)[..., None] + np.arange(NODES)
        at = times[nodes]
        apart = at[..., :, None] - at[..., None, :] + np.eye(NODES)
        away = asked[..., None] - at
        hit = away == 0
        weight = np.where(hit.any(axis=-1, keepdims=True), hit, 1 / np.where(hit, 1.0, away) / apart.prod(axis=-1))
        position: Array = (weight[..., None] * points[nodes]).sum(axis=-2) / weight.sum(axis=-1, keepdims=True)
        return position

    def pieces(self) -> Pieces:
        """The same interpolation as one polynomial a stretch between points, which is what is fast to evaluate."""
        times, points = np.array(self.seconds), np.array(self.positions)
        coefficients = np.empty((len(times) - 1, 3, NODES))
        for stretch in range(len(times) - 1):
            first = min(max(stretch - NODES // 2 + 1, 0), len(times) - NODES)
            middle, half = (times[stretch] + times[stretch + 1]) / 2, (times[stretch + 1] - times[stretch]) / 2
            nodes = (times[first : first + NODES] - middle) / half
            bases = np.empty((NODES, NODES))
            for node in range(NODES):
                others = np.delete(nodes, node)
                bases[node] = np.poly(others)[::-1] / np.prod(nodes[node] - others)
            # About their mean, so that sums of terms of both signs do not lose the nanometres.
            mean = points[first : first + NODES].mean(axis=0)
            coefficients[stretch] = (points[first : first + NODES] - mean).T @ bases
            coefficients[stretch, :, 0] += mean
        return Pieces(breaks=times, coefficients=coefficients)
