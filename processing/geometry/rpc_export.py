"""RPCs for others: fitted to any sensor model, its error measured where it was not fitted."""

import numpy as np
import numpy.typing as npt

from processing.geometry.rpc import Rpc, RpcFit, fit_rpc, validate_rpc
from processing.model.errors import BadInput
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

_NODES = (19, 19, 7)
"""Lines, samples and heights that are fitted: 65 times the unknowns of each quotient."""
_CHECKS = (32, 30, 10)
"""... and that are checked."""
_BEYOND = 0.01
"""Part of the image by which the fitted grid reaches beyond it, so that its edges are not the fit's edges."""
_LOWEST_M, _HIGHEST_M = -1000.0, 10_000.0


def fit_rpc_to_model(model: SensorModel, shape: tuple[int, int], heights: tuple[float, float]) -> tuple[Rpc, RpcFit]:
    """RPC that stands for a sensor model over its image and a range of heights.

    Fitted to nodes that lie closer towards the edges (Chebyshev), where polynomials err most.

    Parameters
    ----------
    model
        Any: a rigorous camera, a refined one, a segment's.
    shape
        Lines and samples of the image.
    heights
        Lowest and highest ground, m above the ellipsoid.

    Returns
    -------
    rpc
        In Qyran's pixel convention.
    fit
        Its misses at an even grid of points of their own, corners of the image and of the heights included; none of
        them took part in the fit.

    Raises
    ------
    BadInput
        ``rpc.heights`` for a range that is none on Earth, ``rpc.fit`` when the model does not see its own image.
    """
    low, high = heights
    if not (_LOWEST_M <= low < high <= _HIGHEST_M):
        raise BadInput(
            f"heights from {low:g} to {high:g} m are no range to fit an RPC over",
            kind="rpc.heights",
            remedy=f"Give the lowest and the highest ground, {_LOWEST_M:g} to {_HIGHEST_M:g} m above the ellipsoid.",
        )
    ranges = [(0.0, float(shape[0]), _BEYOND), (0.0, float(shape[1]), _BEYOND), (low, high, 0.0)]
    nodes = [_towards_edges(count, *span) for count, span in zip(_NODES, ranges, strict=True)]
    line, sample, height = (axis.ravel() for axis in np.meshgrid(*nodes, indexing="ij"))
    lon, lat = model.image_to_ground(line, sample, height)
    seen = np.isfinite(lon) & np.isfinite(lat)
    inside = (line >= 0) & (line <= shape[0]) & (sample >= 0) & (sample <= shape[1])
    if not seen[inside].all():
        raise BadInput("the model does not see all of its own image at these heights", kind="rpc.fit")
    rpc, _ = fit_rpc(line[seen], sample[seen], lon[seen], lat[seen], height[seen])
    validate_rpc(rpc, shape)
    return rpc, _checked(rpc, model, shape, heights)


def _towards_edges(count: int, low: float, high: float, beyond: float) -> Array:
    """Chebyshev's extrema over a range and a part beyond it."""
    half = (high - low) / 2 * (1 + 2 * beyond)
    nodes: Array = (low + high) / 2 - half * np.cos(np.pi * np.arange(count) / (count - 1))
    return nodes


def _checked(rpc: Rpc, model: SensorModel, shape: tuple[int, int], heights: tuple[float, float]) -> RpcFit:
    """How far an RPC is from the model, at points that it was not fitted to."""
    sides = [
        np.linspace(*ends, count) for ends, count in zip(((0, shape[0]), (0, shape[1]), heights), _CHECKS, strict=True)
    ]
    line, sample, height = np.meshgrid(*sides, indexing="ij")
    seen_line, seen_sample = rpc.ground_to_image(*model.image_to_ground(line, sample, height), height)
    miss = np.hypot(seen_line - line, seen_sample - sample)
    return RpcFit(rmse_px=float(np.sqrt(np.mean(miss**2))), max_px=float(miss.max()))
