"""The other half of a DIMAP RPC: rational functions from image to ground, kept to check the first half by."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processing.geometry import rpc_kernel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRpc:
    """A producer's own inverse of its RPC (``Direct_Model``, ``ImagetoGround_Values``).

    The ground is never computed with it: Qyran inverts the RPC itself, so that both directions are one model. But a
    producer that shifts one of the two by a pixel contradicts itself, and that shows here.

    Offsets and scales are those of the RPC, in Qyran's pixel convention. In its polynomials the normalised sample
    and line stand where the longitude and latitude of an RPC stand (measured on Pleiades and SPOT 6 files: the two
    halves then agree to 0.0002-0.022 px).
    """

    offsets: tuple[float, float, float, float, float]
    """Line, sample, lon, lat, height."""
    scales: tuple[float, float, float, float, float]
    lon_num: tuple[float, ...]
    lon_den: tuple[float, ...]
    lat_num: tuple[float, ...]
    lat_den: tuple[float, ...]

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)``, degrees, of image points at heights above the ellipsoid, m; broadcasts."""
        line_off, sample_off, lon_off, lat_off, height_off = self.offsets
        line_scale, sample_scale, lon_scale, lat_scale, height_scale = self.scales
        with np.errstate(all="ignore"):
            terms = rpc_kernel.design_matrix(
                (np.asarray(sample, dtype=np.float64) - sample_off) / sample_scale,
                (np.asarray(line, dtype=np.float64) - line_off) / line_scale,
                (np.asarray(height, dtype=np.float64) - height_off) / height_scale,
            )
            lon = (terms @ np.array(self.lon_num)) / (terms @ np.array(self.lon_den))
            lat = (terms @ np.array(self.lat_num)) / (terms @ np.array(self.lat_den))
            return lon * lon_scale + lon_off, lat * lat_scale + lat_off
