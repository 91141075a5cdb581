"""Refinement in image space: a vendor's model corrected by what measured points say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Geod

from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

CE90_OF_RMSE = 1.5174
"""CE90 of a circular Gaussian error without bias, by its radial RMSE."""
_AFFINE_POINTS = 6
_AFFINE_SPREAD = 0.5
"""Part of the image's length and width that points must span before they may bend it."""
_HUBER = 1.345
_ELLIPSOID = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """A sensor model followed by an affine correction in the image.

    With ``(L, S)`` where ``model`` sees a point: ``line = L + c0 + c1 L + c2 S``, coefficients ``line``, and
    ``sample`` alike. Implements :class:`processing.model.sensor_model.SensorModel`.
    """

    model: SensorModel
    line: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sample: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(line, sample)`` that sees a ground point, corrected."""
        line, sample = self.model.ground_to_image(lon, lat, height)
        return (
            line + (self.line[0] + self.line[1] * line + self.line[2] * sample),
            sample + (self.sample[0] + self.sample[1] * line + self.sample[2] * sample),
        )

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)`` seen by a corrected image point at a height."""
        a, b = 1.0 + self.line[1], self.line[2]
        c, d = self.sample[1], 1.0 + self.sample[2]
        determinant = a * d - b * c
        row = np.asarray(line, dtype=np.float64) - self.line[0]
        column = np.asarray(sample, dtype=np.float64) - self.sample[0]
        return self.model.image_to_ground(
            (d * row - b * column) / determinant, (a * column - c * row) / determinant, height
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundControlPoint:
    """A ground point measured on the ground and in the image."""

    lon: float
    lat: float
    height: float
    """Above the WGS 84 ellipsoid, m."""
    line: float
    sample: float
    """Corner-zero convention."""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementReport:
    """How a refinement came about, and how good it is."""

    kind: str
    """``shift`` or ``affine``."""
    points: int
    shift_px: tuple[float, float]
    """Correction (line, sample) at the points' centre."""
    rmse_px: float
    """Radial, of the points that were fitted."""
    ce90_px: float | None
    """Leave-one-out: each point against a refinement that never saw it; None with a single point."""
    ce90_m: float | None
    """The same on the ground."""


def refine_from_gcps(
    model: SensorModel,
    gcps: Sequence[GroundControlPoint],
    kind: str = "auto",
    shape: tuple[int, int] | None = None,
) -> tuple[Refined, RefinementReport]:
    """Correct a model in image space so that it sees measured points where they were measured.

    Parameters
    ----------
    model
        The vendor's model.
    gcps
        At least one point; at least six, spread over half the image both ways, before ``affine`` is considered.
    kind
        ``shift``, ``affine``, or ``auto``: affine only where the points support it and Akaike's criterion (with the
        small-sample correction) prefers it, else shift.
    shape
        Lines and samples of the image, by which the points' spread is judged.

    Raises
    ------
    BadInput
        ``gcp.none``, ``gcp.unseen`` (a point the model cannot map), ``gcp.too_few`` (affine asked of too little).
    """
    if not gcps:
        raise BadInput("no ground control points given", kind="gcp.none")
    seen = np.column_stack(
        model.ground_to_image([p.lon for p in gcps], [p.lat for p in gcps], [p.height for p in gcps])
    )
    measured = np.array([(point.line, point.sample) for point in gcps], dtype=np.float64)
    lost = [point.name or str(index) for index, point in enumerate(gcps) if not np.isfinite(seen[index]).all()]
    if lost or not np.isfinite(measured).all():
        raise BadInput(
            f"the model cannot see these control points: {', '.join(lost)}",
            kind="gcp.unseen",
            remedy="Check that they belong to this image, and their order: longitude, latitude, ellipsoidal height.",
        )
    supported = _supports_affine(seen, shape)
    if kind == "affine" and not supported:
        raise BadInput(
            f"{len(gcps)} control points do not support an affine refinement",
            kind="gcp.too_few",
            remedy=f"Give {_AFFINE_POINTS} or more, over at least half of the image both ways, or refine by a shift.",
        )
    candidates = {"shift": [1], "affine": [3], "auto": [1, 3] if supported else [1]}[kind]
    terms = min(candidates, key=lambda count: _akaike(seen, measured, count))
    coefficients = _fit(seen, measured, terms)
    refined = Refined(model=model, line=_triple(coefficients[:, 0]), sample=_triple(coefficients[:, 1]))
    return refined, _report(refined, gcps, seen, measured, terms)


def _triple(column: Array) -> tuple[float, float, float]:
    return float(column[0]), float(column[1]), float(column[2])


def _supports_affine(seen: Array, shape: tuple[int, int] | None) -> bool:
    """Whether points are many, not in a row, and on all sides of the image."""
    if len(seen) < _AFFINE_POINTS:
        return False
    spread = np.linalg.svd(seen - seen.mean(axis=0), compute_uv=False)
    if spread[1] < 0.1 * spread[0]:
        return False
    return shape is None or bool((np.ptp(seen, axis=0) >= _AFFINE_SPREAD * np.array(shape)).all())


def _fit(seen: Array, measured: Array, terms: int) -> Array:
    """Coefficients ``(3, 2)`` of a shift (1 term) or affine (3 terms), robust against blunders (Huber's weights)."""
    centre = seen.mean(axis=0)
    scale = max(float(np.abs(seen - centre).max()), 1.0)
    design = np.column_stack([np.ones(len(seen)), (seen - centre) / scale])[:, :terms]
    miss = measured - seen
    weight = np.ones(len(seen))
    solution = np.zeros((terms, 2))
    for _ in range(20 if len(seen) > terms + 2 else 1):
        root = np.sqrt(weight)[:, None]
        solution = np.linalg.lstsq(design * root, miss * root, rcond=None)[0]
        distance = np.hypot(*(miss - design @ solution).T)
        sigma = max(1.4826 * float(np.median(distance)), 1e-6)
        weight = np.minimum(1.0, _HUBER * sigma / np.maximum(distance, 1e-12))
    coefficients = np.zeros((3, 2))
    coefficients[0] = solution[0]
    if terms == 3:
        coefficients[1:] = solution[1:] / scale
        coefficients[0] -= centre @ coefficients[1:]
    return coefficients


def _residuals(seen: Array, measured: Array, coefficients: Array) -> Array:
    """What is left at points, px, ``(points, 2)``."""
    return measured - seen - np.column_stack([np.ones(len(seen)), seen]) @ coefficients


def _akaike(seen: Array, measured: Array, terms: int) -> float:
    """Akaike's criterion of a fit, corrected for small samples: smaller is better."""
    values, parameters = 2 * len(seen), 2 * terms + 1
    if values <= parameters + 1:
        return 0.0 if terms == 1 else np.inf
    squares = float(np.sum(_residuals(seen, measured, _fit(seen, measured, terms)) ** 2))
    correction = 2.0 * parameters * (parameters + 1) / (values - parameters - 1)
    return float(values * np.log(max(squares, 1e-12) / values) + 2 * parameters + correction)


def _report(
    refined: Refined, gcps: Sequence[GroundControlPoint], seen: Array, measured: Array, terms: int
) -> RefinementReport:
    coefficients = np.array([refined.line, refined.sample]).T
    left = _residuals(seen, measured, coefficients)
    ce90_px = ce90_m = None
    if len(gcps) > terms:
        keep = ~np.eye(len(gcps), dtype=bool)
        unseen = np.array(
            [
                _residuals(seen[[i]], measured[[i]], _fit(seen[others], measured[others], terms))[0]
                for i, others in enumerate(keep)
            ]
        )
        ce90_px = CE90_OF_RMSE * float(np.sqrt(np.mean(np.sum(unseen**2, axis=1))))
        height = [point.height for point in gcps]
        lon, lat = refined.image_to_ground(measured[:, 0], measured[:, 1], height)
        off_line, off_sample = (measured + unseen).T
        off_lon, off_lat = refined.image_to_ground(off_line, off_sample, height)
        _, _, metres = _ELLIPSOID.inv(lon, lat, off_lon, off_lat)
        ce90_m = CE90_OF_RMSE * float(np.sqrt(np.mean(np.square(metres))))
    centre = np.concatenate([[1.0], seen.mean(axis=0)]) @ coefficients
    return RefinementReport(
        kind="shift" if terms == 1 else "affine",
        points=len(gcps),
        shift_px=(float(centre[0]), float(centre[1])),
        rmse_px=float(np.sqrt(np.mean(np.sum(left**2, axis=1)))),
        ce90_px=ce90_px,
        ce90_m=ce90_m,
    )
