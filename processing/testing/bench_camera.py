"""The benchmark's camera: an analytic pushbroom over a sphere, close enough to a real one to have a real RPC."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from processing.geometry.rpc import Rpc, RpcFit, fit_rpc

Array = npt.NDArray[np.float64]

_EARTH_M = 6_371_000.0
_ALTITUDE_M = 630_000.0
_CENTRE_HEIGHT_M = 2000.0
_FIT_NODES = (15, 15, 7)
_FIT_MARGIN_PX = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCamera:
    """A detector line swept over the ground at a heading, looking aside and a little ahead.

    Closed form from image and height to ground, by spherical trigonometry across the track and an equidistant map
    along it; a slow drift of yaw and pitch bends the lines as a real attitude does.
    """

    shape: tuple[int, int]
    """Lines, samples."""
    lon: float = 77.0
    lat: float = 43.1
    """Where the centre looks, on ground 2,000 m high."""
    gsd_m: float = 6.5
    tilt_deg: float = 15.0
    pitch_deg: float = 4.0
    heading_deg: float = 9.0

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)`` in degrees WGS 84 that a point of the image (corner-zero) sees at a height, m; broadcasts."""
        lines, samples = self.shape
        down, right, up = np.broadcast_arrays(*(np.asarray(axis, np.float64) for axis in (line, sample, height)))
        along_px, across_px = down - lines / 2, right - samples / 2
        look = np.radians(self.tilt_deg) + across_px * self._pixel_rad()
        across = _ground_range(look, up) - _ground_range(np.radians(self.tilt_deg), _CENTRE_HEIGHT_M)
        drift = 4.0 * (2 * along_px / lines) ** 2 + 1.5 * (2 * along_px / lines) ** 3
        along = (along_px + drift) * self.gsd_m + (up - _CENTRE_HEIGHT_M) * np.tan(np.radians(self.pitch_deg))
        turn = np.radians(self.heading_deg) + 4e-4 * 2 * along_px / lines
        east = across * np.cos(turn) - along * np.sin(turn)
        north = -across * np.sin(turn) - along * np.cos(turn)
        local = f"+proj=aeqd +lat_0={self.lat} +lon_0={self.lon} +datum=WGS84"
        lon, lat = Transformer.from_crs(local, "EPSG:4326", always_xy=True, allow_ballpark=False).transform(east, north)
        return np.asarray(lon), np.asarray(lat)

    def rpc(self, heights: tuple[float, float]) -> tuple[Rpc, RpcFit]:
        """The RPC fitted to the camera between two heights, m."""
        axes = (
            np.linspace(-_FIT_MARGIN_PX, self.shape[0] + _FIT_MARGIN_PX, _FIT_NODES[0]),
            np.linspace(-_FIT_MARGIN_PX, self.shape[1] + _FIT_MARGIN_PX, _FIT_NODES[1]),
            np.linspace(*heights, _FIT_NODES[2]),
        )
        line, sample, height = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        return fit_rpc(line, sample, *self.image_to_ground(line, sample, height), height)

    def _pixel_rad(self) -> float:
        """Angle of one pixel that gives the wanted ground sampling across the track at the centre."""
        tilt, step = np.radians(self.tilt_deg), 1e-5
        ranges = _ground_range(np.array([tilt - step, tilt + step]), np.full(2, _CENTRE_HEIGHT_M))
        return float(self.gsd_m * 2 * step / (ranges[1] - ranges[0]))


def _ground_range(look: npt.ArrayLike, height: npt.ArrayLike) -> Array:
    """Distance along the ellipsoid's sphere, m, from the track to what a look angle sees at a height."""
    sine = (_EARTH_M + _ALTITUDE_M) / (_EARTH_M + np.asarray(height)) * np.sin(look)
    distance: Array = _EARTH_M * (np.arcsin(sine) - np.asarray(look))
    return distance
