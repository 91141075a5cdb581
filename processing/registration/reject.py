"""Which displacements belong together: blunders told from measurements before anything is fitted."""

import numpy as np
import numpy.typing as npt
from skimage.measure import ransac

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_TRIALS = 500
_SEED = 0
"""The same drawing on every run: a product can be made again byte for byte."""
RAYLEIGH_CUT = 3.5
"""Radial deviations beyond this many standard deviations are blunders: one in 460 of a circular Gaussian's."""
_RADIAL_MEDIAN = 1.1774
"""Median of a Rayleigh distribution of sigma 1."""


class _Plane:
    """Displacement linear in position, as :func:`skimage.measure.ransac` wants a model."""

    params: Array

    @classmethod
    def from_estimate(cls, data: Array) -> "_Plane | None":
        """Through ``(points, 4)``: line, sample, and the displacement in both; None where they lie in a row."""
        design = np.column_stack([np.ones(len(data)), data[:, :2]])
        if np.linalg.matrix_rank(design, tol=1e-6 * len(data)) < 3:
            return None
        plane = cls()
        plane.params = np.linalg.lstsq(design, data[:, 2:], rcond=None)[0]
        return plane

    def residuals(self, data: Array) -> Array:
        """Distance of each displacement from the model."""
        design = np.column_stack([np.ones(len(data)), data[:, :2]])
        return np.asarray(np.hypot(*(data[:, 2:] - design @ self.params).T))


def densest(displacement: Array, radius: float) -> Mask:
    """The largest set of displacements within a radius of one of them: what chance does not bring together.

    Parameters
    ----------
    displacement
        ``(points, 2)``, px.
    radius
        px.
    """
    apart = np.hypot(*(displacement[:, None] - displacement[None]).transpose(2, 0, 1))
    near: Mask = apart <= radius
    if not len(near):
        return np.zeros(0, dtype=np.bool_)
    chosen: Mask = near[int(near.sum(axis=1).argmax())]
    return chosen


def consistent(position: Array, displacement: Array, threshold: float) -> Mask:
    """Points whose displacements change over the image as one plane does; RANSAC, then the spread they have.

    Parameters
    ----------
    position
        ``(points, 2)``: line, sample.
    displacement
        ``(points, 2)``, px.
    threshold
        Deviation, px, beyond which a point is no member of a consensus; the kept ones are cut closer where their own
        spread (median) is less.

    Returns
    -------
    ndarray
        bool ``(points,)``. All false with under four points.
    """
    if len(position) < 4:
        return np.zeros(len(position), dtype=np.bool_)
    # Scaled to the order of one, so that the plane's slopes are as well conditioned as its offset.
    centred = (position - position.mean(axis=0)) / max(float(np.abs(position - position.mean(axis=0)).max()), 1.0)
    data = np.column_stack([centred, displacement])
    none = np.zeros(len(position), dtype=np.bool_)
    if _Plane.from_estimate(data) is None:
        return densest(displacement, threshold)
    _, members = ransac(  # type: ignore[no-untyped-call]
        data, _Plane, 3, threshold, max_trials=_TRIALS, stop_probability=0.9999, rng=np.random.default_rng(_SEED)
    )
    kept: Mask = none if members is None else np.asarray(members, dtype=np.bool_)
    # The best sample's plane goes through three points and carries their noise out to the edges of the image: whoever
    # it left out there comes back by the plane through all its members.
    fitted = _Plane.from_estimate(data[kept]) if kept.sum() >= 4 else None
    kept = none if fitted is None else fitted.residuals(data) <= threshold
    plane = _Plane.from_estimate(data[kept]) if kept.sum() >= 4 else None
    if plane is None:
        return none
    left = plane.residuals(data)
    sigma = float(np.median(left[kept])) / _RADIAL_MEDIAN
    return np.asarray(kept & (left <= max(RAYLEIGH_CUT * sigma, 1e-6)))
