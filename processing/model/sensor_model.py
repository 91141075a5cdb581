"""The seam between an image and the ground."""

from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class PixelConvention(Enum):
    """Where a file's image coordinates count from. The value is what to add to reach Qyran's convention.

    Qyran's line and sample are continuous, with (0, 0) at the outer corner of the first pixel, so the first
    pixel's centre is (0.5, 0.5).
    """

    CORNER_ZERO = 0.0
    """(0, 0) is the outer corner of the first pixel."""
    CENTRE_ZERO = 0.5
    """(0, 0) is the centre of the first pixel: RPC00B, TIFF RPC tags, _RPC.TXT, DIMAP v3 (Pleiades Neo)."""
    CENTRE_ONE = -0.5
    """(1, 1) is the centre of the first pixel: DIMAP v2 (SPOT, Pleiades, PeruSat, KazEOSat-1)."""


@runtime_checkable
class SensorModel(Protocol):
    """Maps ground to image and back. Thread-safe, small to pickle, and with the same Dask token in every process.

    All arguments broadcast; all results are float64. ``lon, lat`` are WGS 84 degrees, ``height`` metres above
    the ellipsoid, ``line, sample`` as in :class:`PixelConvention` ``CORNER_ZERO``. A point the model cannot
    map gives NaN, never an invented number.
    """

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(line, sample)`` that sees a ground point."""
        ...

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)`` seen by an image point at a given height."""
        ...
