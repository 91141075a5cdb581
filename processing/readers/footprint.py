"""The ground that a sensor model sees, for deliveries that do not state it."""

import numpy as np

from processing.geometry.rpc import Rpc


def model_footprint(rpc: Rpc, shape: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Ring of (lon, lat) of the image's outer corners at the model's middle height, unclosed, first pixel first."""
    lines, samples = np.array([0, 0, shape[0], shape[0]], float), np.array([0, shape[1], shape[1], 0], float)
    lon, lat = rpc.image_to_ground(lines, samples, rpc.height_off)
    return tuple(zip(lon.tolist(), lat.tolist(), strict=True))
