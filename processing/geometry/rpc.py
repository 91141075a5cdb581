"""Rational polynomial camera: the vendor's approximation of its own camera, and ours of the simulator's."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from processing.geometry import rpc_kernel
from processing.model.errors import BadInput
from processing.model.sensor_model import PixelConvention

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """An RPC in Qyran's pixel convention; implements :class:`processing.model.sensor_model.SensorModel`.

    Offsets and scales normalise as ``(value - off) / scale``. ``line`` and ``sample`` are in pixels with (0, 0)
    at the outer corner of the first pixel; ``lon``, ``lat`` in degrees WGS 84, ``height`` in metres above the
    ellipsoid. Terms stand in RPC00B order. A point whose normalised longitude or latitude lies beyond 2, or
    next to a pole of a denominator, gives NaN.
    """

    line_off: float
    sample_off: float
    lat_off: float
    lon_off: float
    height_off: float
    line_scale: float
    sample_scale: float
    lat_scale: float
    lon_scale: float
    height_scale: float
    line_num: tuple[float, ...]
    line_den: tuple[float, ...]
    sample_num: tuple[float, ...]
    sample_den: tuple[float, ...]
    err_bias: float | None = None
    """Bias error the vendor states, m, 1 sigma."""
    err_rand: float | None = None
    """Random error the vendor states, m, 1 sigma."""

    def __post_init__(self) -> None:
        for name in ("line_num", "line_den", "sample_num", "sample_den"):
            coefficients = tuple(float(value) for value in getattr(self, name))
            if len(coefficients) != 20:
                raise BadInput(
                    f"an RPC polynomial has 20 coefficients, {name} has {len(coefficients)}", kind="rpc.coefficients"
                )
            object.__setattr__(self, name, coefficients)

    @classmethod
    def from_delivered(cls, *, convention: PixelConvention, **fields: Any) -> Self:
        """An RPC as a file states it, moved from the file's pixel convention to ours.

        Parameters
        ----------
        convention
            Where the file's line and sample count from.
        **fields
            The fields of :class:`Rpc`, with ``line_off`` and ``sample_off`` as delivered.
        """
        fields["line_off"] = fields["line_off"] + convention.value
        fields["sample_off"] = fields["sample_off"] + convention.value
        return cls(**fields)

    @property
    def packed(self) -> Array:
        """The model as the kernels take it, read-only, see :func:`processing.geometry.rpc_kernel.pack`."""
        return _packed(self)

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(line, sample)`` that sees a ground point; broadcasts; NaN where the model does not reach."""
        return _apply(rpc_kernel.project, self.packed, lon, lat, height)

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)`` seen by an image point at a height; broadcasts; NaN where Newton does not converge."""
        return _apply(rpc_kernel.locate, self.packed, line, sample, height)


@lru_cache(maxsize=64)
def _packed(rpc: Rpc) -> Array:
    return rpc_kernel.pack(
        (rpc.line_off, rpc.sample_off, rpc.lon_off, rpc.lat_off, rpc.height_off),
        (rpc.line_scale, rpc.sample_scale, rpc.lon_scale, rpc.lat_scale, rpc.height_scale),
        rpc.line_num,
        rpc.line_den,
        rpc.sample_num,
        rpc.sample_den,
    )


def _apply(kernel: Any, packed: Array, *arguments: npt.ArrayLike) -> tuple[Array, Array]:
    """Broadcast three arguments, run a flat kernel over them and give its two results their shape back."""
    broadcast = np.broadcast_arrays(*(np.asarray(argument, dtype=np.float64) for argument in arguments))
    shape = broadcast[0].shape
    first, second = np.empty(shape), np.empty(shape)
    kernel(packed, *(np.ascontiguousarray(argument).ravel() for argument in broadcast), first.ravel(), second.ravel())
    return first, second


_REMEDY = "Use another RPC of this image, or ask the provider."


def validate_rpc(rpc: Rpc, shape: tuple[int, int] | None = None, where: str = "") -> None:
    """Refuse an RPC that would give garbage without saying so.

    GDAL answers INT_MIN or infinity for NaN coefficients and vanishing denominators. Here every figure must be
    finite, scales positive, offsets on Earth, denominators of one sign over a 25 x 25 x 3 grid of the RPC's own
    domain, and the round trip image - ground - image must close to 0.001 px, over the image where its shape is
    known.

    Parameters
    ----------
    rpc
        The model.
    shape
        Lines and samples of the image it belongs to, where known.
    where
        File, for messages.

    Raises
    ------
    BadInput
        ``rpc.nonfinite``, ``rpc.scale``, ``rpc.bounds`` or ``rpc.singular``.
    """
    require_finite(rpc, where)
    scales = (rpc.line_scale, rpc.sample_scale, rpc.lat_scale, rpc.lon_scale, rpc.height_scale)
    if min(scales) <= 0:
        raise BadInput(f"an RPC scale is not positive: {scales}", kind="rpc.scale", where=where, remedy=_REMEDY)
    if abs(rpc.lat_off) > 90 or not -180 <= rpc.lon_off <= 360 or not -2000 <= rpc.height_off <= 10000:
        place = f"lon {rpc.lon_off}, lat {rpc.lat_off}, height {rpc.height_off} m"
        raise BadInput(
            f"the RPC's centre is not on Earth's land or sea: {place}", kind="rpc.bounds", where=where, remedy=_REMEDY
        )
    # Coefficients near the largest float overflow into infinity, which the checks then refuse.
    with np.errstate(all="ignore"):
        _check_denominators(rpc, where)
        _check_round_trip(rpc, shape, where)


def require_finite(rpc: Rpc, where: str = "") -> None:
    """Refuse an RPC with NaN or infinity in it.

    Raises
    ------
    BadInput
        ``rpc.nonfinite``.
    """
    if not np.isfinite(rpc.packed).all():
        raise BadInput(
            "the RPC holds values that are not finite numbers", kind="rpc.nonfinite", where=where, remedy=_REMEDY
        )


def _check_denominators(rpc: Rpc, where: str) -> None:
    side = np.linspace(-1.0, 1.0, 25)
    lon, lat, height = np.meshgrid(side, side, np.array([-1.0, 0.0, 1.0]), indexing="ij")
    values = rpc_kernel.design_matrix(lon, lat, height)
    for name in ("line_den", "sample_den"):
        denominator = values @ np.array(getattr(rpc, name))
        if not (denominator * np.sign(getattr(rpc, name)[0])).min() > 0:
            raise BadInput(
                f"the RPC's {name} vanishes or changes its sign inside its own domain",
                kind="rpc.singular",
                where=where,
                remedy=_REMEDY,
            )


def _check_round_trip(rpc: Rpc, shape: tuple[int, int] | None, where: str) -> None:
    side = np.linspace(-1.0, 1.0, 25)
    heights = rpc.height_off + rpc.height_scale * np.array([-1.0, 0.0, 1.0])
    if shape is None:
        lons, lats = rpc.lon_off + rpc.lon_scale * side, rpc.lat_off + rpc.lat_scale * side
        line, sample = rpc.ground_to_image(*np.meshgrid(lons, lats, heights, indexing="ij"))
    else:
        lines, samples = (side + 1.0) / 2 * shape[0], (side + 1.0) / 2 * shape[1]
        line, sample = np.meshgrid(lines, samples, heights, indexing="ij")[:2]
    lon, lat = rpc.image_to_ground(line, sample, heights)
    if shape is not None and not np.isfinite(lon).all():
        raise BadInput(
            f"the image of {shape[0]} x {shape[1]} pixels lies outside the ground that the RPC was made for",
            kind="rpc.bounds",
            where=where,
            remedy="The RPC belongs to another image, or to the whole of which this is a crop.",
        )
    back_line, back_sample = rpc.ground_to_image(lon, lat, heights)
    miss = np.hypot(back_line - line, back_sample - sample)
    if not miss.max() <= 1e-3:  # NaN fails too
        raise BadInput(
            "the RPC cannot be inverted over its image: image to ground to image does not close to 0.001 px",
            kind="rpc.singular",
            where=where,
            remedy=_REMEDY,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcFit:
    """How well a fitted RPC repeats the points it was fitted to."""

    rmse_px: float
    """Root mean square of the two-dimensional miss, px."""
    max_px: float
    """Largest miss, px."""


_RIDGES = (1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)
"""Regularisation tried in turn, as a fraction of the normal matrix's mean diagonal, until no pole is left."""


def fit_rpc(
    line: npt.ArrayLike, sample: npt.ArrayLike, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike
) -> tuple[Rpc, RpcFit]:
    """RPC through exact pairs of ground and image points.

    Terrain-independent fit of Tao and Hu (2001): linearised rational least squares, re-weighted by the
    denominators, with the smallest ridge that leaves no pole in the domain.

    Parameters
    ----------
    line, sample
        Image points, px, corner-zero convention, flat arrays of at least 40 points that fill the image.
    lon, lat
        Degrees WGS 84; may straddle the antimeridian.
    height
        Metres above the ellipsoid, at several levels that span the terrain.

    Raises
    ------
    BadInput
        ``rpc.fit`` when the points are too few, not finite, or leave a pole at every ridge.
    """
    axes = [np.asarray(axis, dtype=np.float64).ravel() for axis in (line, sample, lon, lat, height)]
    if len({axis.size for axis in axes}) != 1 or axes[0].size < 40 or not all(np.isfinite(axis).all() for axis in axes):
        raise BadInput("an RPC fit needs at least 40 pairs of finite image and ground points", kind="rpc.fit")
    axes[2] = axes[2][0] + (axes[2] - axes[2][0] + 180.0) % 360.0 - 180.0
    offsets = [float(axis.min() + axis.max()) / 2 for axis in axes]
    scales = [max(float(np.ptp(axis)) / 2, 1e-9) for axis in axes]
    row, column, *ground = ((axis - off) / scale for axis, off, scale in zip(axes, offsets, scales, strict=True))
    design = rpc_kernel.design_matrix(*ground)
    line_num, line_den = _rational(design, row)
    sample_num, sample_den = _rational(design, column)
    names = ("line", "sample", "lon", "lat", "height")
    rpc = Rpc(
        **{f"{name}_off": off for name, off in zip(names, offsets, strict=True)},
        **{f"{name}_scale": scale for name, scale in zip(names, scales, strict=True)},
        line_num=line_num,
        line_den=line_den,
        sample_num=sample_num,
        sample_den=sample_den,
    )
    fitted_line, fitted_sample = rpc.ground_to_image(*axes[2:])
    miss = np.hypot(fitted_line - axes[0], fitted_sample - axes[1])
    return rpc, RpcFit(rmse_px=float(np.sqrt(np.mean(miss**2))), max_px=float(miss.max()))


def _rational(design: Array, target: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Numerator and denominator (20 terms each, constant 1) of the rational function nearest to a target."""
    side = np.linspace(-1.0, 1.0, 9)
    domain = rpc_kernel.design_matrix(*np.meshgrid(side, side, side, indexing="ij")).reshape(-1, 20)
    for ridge in _RIDGES:
        weight = np.ones_like(target)
        for _ in range(4):
            system = np.hstack([design, -target[:, None] * design[:, 1:]]) * weight[:, None]
            penalty = np.sqrt(ridge * np.mean(np.sum(system**2, axis=0))) * np.eye(39)
            stacked = np.vstack([system, penalty])
            solution = np.linalg.lstsq(stacked, np.concatenate([target * weight, np.zeros(39)]), rcond=None)[0]
            denominator = np.concatenate([[1.0], solution[20:]])
            weight = 1.0 / (design @ denominator)
        if (domain @ denominator).min() > 0.1:
            return tuple(solution[:20].tolist()), tuple(denominator.tolist())
    raise BadInput("no RPC without poles fits these points", kind="rpc.fit", remedy="Spread the points in height.")
