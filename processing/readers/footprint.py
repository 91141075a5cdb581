"""Whether the sensor model sees the ground that the metadata claims."""

import numpy as np

from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput

MAX_MISS_M = 2000.0
"""Model and stated corners may differ by this much, beyond what the heights they were computed at explain."""
_EARTH_RADIUS_M = 6_371_000.0


def model_footprint(rpc: Rpc, shape: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Ring of (lon, lat) of the image's outer corners at the model's middle height, unclosed, first pixel first."""
    lines, samples = np.array([0, 0, shape[0], shape[0]], float), np.array([0, shape[1], shape[1], 0], float)
    lon, lat = rpc.image_to_ground(lines, samples, rpc.height_off)
    return tuple(zip(lon.tolist(), lat.tolist(), strict=True))


def check_footprint(rpc: Rpc, shape: tuple[int, int], footprint: tuple[tuple[float, float], ...], where: str) -> None:
    """Refuse a model whose image lies elsewhere than the stated footprint.

    Every stated vertex must lie within 2 km of the polygon the model sees: the stated heights are unknown, so the
    model's height range at a view of 45 degrees is allowed on top.

    Parameters
    ----------
    rpc
        The model.
    shape
        Lines and samples of the image.
    footprint
        Ring of (lon, lat) the metadata states; nothing is checked when it is empty.
    where
        File, for messages.

    Raises
    ------
    BadInput
        ``rpc.inconsistent``.
    """
    if len(footprint) != 4:
        return
    seen = np.radians(np.array(model_footprint(rpc, shape)))
    stated = np.radians(np.array(footprint))
    east = (stated[:, None, 0] - seen[None, :, 0] + np.pi) % (2 * np.pi) - np.pi
    east = east * np.cos(stated[:, None, 1])
    north = stated[:, None, 1] - seen[None, :, 1]
    miss = float((_EARTH_RADIUS_M * np.hypot(east, north)).min(axis=1).max())
    if not miss <= MAX_MISS_M + rpc.height_scale:
        raise BadInput(
            f"the model sees ground {miss / 1000:.1f} km away from the stated footprint",
            kind="rpc.inconsistent",
            where=where,
            remedy="The RPC belongs to another image, or its figures are damaged.",
        )
