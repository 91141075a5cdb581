"""Refinement in image space: a vendor's model corrected by what measured points say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Geod

from processing.geometry.refine_fit import TERMS, choose, fit, left_out, residuals, sound, supported
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

CE90_OF_RMSE = 1.5174
"""CE90 of a circular Gaussian error without bias, by its radial RMSE."""
CE95_OF_RMSE = 1.7308
"""CE95 alike."""
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
class Residual:
    """What a refinement leaves of one point."""

    point: GroundControlPoint
    line: float
    sample: float
    """Measured less refined, px of the image."""
    used: bool
    """False for a blunder, which had no part in the fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundError:
    """Error on the ground of points left out one by one, m. ``x`` is east, ``y`` is north."""

    rmse: float
    """Radial."""
    ce90: float
    """1.5174 radial RMSE: a circular Gaussian error without bias."""
    ce95: float
    """1.7308 radial RMSE."""
    percentile90: float
    """Nine tenths of the points lie within this; of few points no better than their largest."""
    bias: tuple[float, float]
    stddev: tuple[float, float]
    nmad: tuple[float, float]
    """1.4826 median |x - median x|."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinementReport:
    """How a refinement came about, and how good it is."""

    kind: str
    """``shift``, ``drift`` (a shift that changes linearly with the line) or ``affine``."""
    points: int
    """That had a part in the fit."""
    rejected: int
    """Blunders."""
    shift_px: tuple[float, float]
    """Correction (line, sample) at the points' centre."""
    rmse_px: float
    """Radial, of the points that were fitted."""
    ce90_px: float | None
    """Leave-one-out: each point against a refinement that never saw it; None with no point to spare."""
    ground: GroundError | None
    """The same on the ground."""
    criteria: dict[str, float]
    """Akaike's criterion of each correction that the points support; smaller is better."""
    residuals: tuple[Residual, ...]

    @property
    def ce90_m(self) -> float | None:
        """CE90 on the ground of points left out, m."""
        return None if self.ground is None else self.ground.ce90


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
        At least one point; at least four over half the image's length before ``drift`` is considered; at least six
        over half the image both ways before ``affine`` is. Of five and more, blunders are told and left out.
    kind
        ``shift``, ``drift``, ``affine``, or ``auto``: more terms only where the points support them and Akaike's
        criterion (with the small-sample correction) clearly prefers them.
    shape
        Lines and samples of the image, by which the points' spread is judged.

    Raises
    ------
    BadInput
        ``gcp.none``, ``gcp.unseen`` (a point the model cannot map), ``gcp.too_few`` (more terms asked of points than
        they support).
    """
    if not gcps:
        raise BadInput("no ground control points given", kind="gcp.none")
    seen, measured = _positions(model, gcps)
    kept = sound(seen, measured, TERMS[supported(seen, shape)[-1]])
    kinds = supported(seen[kept], shape)
    if kind not in ("auto", *kinds):
        raise BadInput(
            f"{int(kept.sum())} control points do not support the refinement '{kind}'",
            kind="gcp.too_few",
            remedy="Give more points, on both sides of the image's middle and far apart, or refine by a shift.",
        )
    chosen, criteria = choose(seen[kept], measured[kept], kinds)
    chosen = chosen if kind == "auto" else kind
    coefficients = fit(seen[kept], measured[kept], TERMS[chosen])
    refined = Refined(model=model, line=_triple(coefficients[:, 0]), sample=_triple(coefficients[:, 1]))
    coefficients = np.column_stack([refined.line, refined.sample])
    left = residuals(seen, measured, coefficients)
    centre = np.concatenate([[1.0], seen[kept].mean(axis=0)]) @ coefficients
    ce90_px = ground = None
    if kept.sum() > TERMS[chosen]:
        unseen = left_out(seen[kept], measured[kept], TERMS[chosen])
        ce90_px = CE90_OF_RMSE * float(np.sqrt(np.mean(np.sum(unseen**2, axis=1))))
        height = np.array([point.height for point in gcps])[kept]
        ground = ground_error(refined, measured[kept], unseen, height)
    return refined, RefinementReport(
        kind=chosen,
        points=int(kept.sum()),
        rejected=int((~kept).sum()),
        shift_px=(float(centre[0]), float(centre[1])),
        rmse_px=float(np.sqrt(np.mean(np.sum(left[kept] ** 2, axis=1)))),
        ce90_px=ce90_px,
        ground=ground,
        criteria=criteria,
        residuals=tuple(
            Residual(point=point, line=float(left[i, 0]), sample=float(left[i, 1]), used=bool(kept[i]))
            for i, point in enumerate(gcps)
        ),
    )


def ground_error(model: SensorModel, measured: Array, residual: Array, height: Array) -> GroundError:
    """Residuals in the image as errors on the ground, at the points' own heights.

    Parameters
    ----------
    model
        The refined model.
    measured, residual
        ``(points, 2)`` line, sample: where points were measured, and measured less modelled, px.
    height
        ``(points,)``, m above the ellipsoid.
    """
    lon, lat = model.image_to_ground(measured[:, 0], measured[:, 1], height)
    off_lon, off_lat = model.image_to_ground(measured[:, 0] + residual[:, 0], measured[:, 1] + residual[:, 1], height)
    azimuth, _, distance = _ELLIPSOID.inv(lon, lat, off_lon, off_lat)
    east, north = distance * np.sin(np.radians(azimuth)), distance * np.cos(np.radians(azimuth))
    rmse = float(np.sqrt(np.mean(np.square(distance))))
    return GroundError(
        rmse=rmse,
        ce90=CE90_OF_RMSE * rmse,
        ce95=CE95_OF_RMSE * rmse,
        percentile90=float(np.percentile(distance, 90, method="higher")),
        bias=(float(east.mean()), float(north.mean())),
        stddev=(float(east.std()), float(north.std())),
        nmad=(_nmad(east), _nmad(north)),
    )


def _nmad(values: Array) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _positions(model: SensorModel, gcps: Sequence[GroundControlPoint]) -> tuple[Array, Array]:
    """Where the model sees points, and where they were measured, ``(points, 2)``."""
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
    return seen, measured


def _triple(column: Array) -> tuple[float, float, float]:
    """Coefficients to a ten-millionth of a pixel: what one machine's last digits say differs on another."""
    return round(float(column[0]), 7), round(float(column[1]), 12), round(float(column[2]), 12)
