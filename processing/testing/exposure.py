"""One image with everything a ground segment states about it: what package writers write."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from processing.geometry.rpc import Rpc, RpcFit, fit_rpc
from processing.testing.acquisition import Acquisition
from processing.testing.camera import Pushbroom
from processing.testing.camera_kernel import to_geodetic
from processing.testing.instruments import DetectorLine, Instrument
from processing.testing.relief import Posts
from processing.testing.sun import local_angles
from processing.testing.surface import seen_on_surface

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint16]
Polygon = tuple[tuple[float, float], ...]

_RPC_MARGIN_M = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Geometry at one place of the image. Angles in degrees."""

    name: str
    """``Top Center``, ``Center``, ``Bottom Center``."""
    line: float
    sample: float
    time: datetime
    altitude_m: float
    satellite_azimuth: float
    """From the target towards the satellite, clockwise from north."""
    viewing: float
    """At the satellite, between nadir and the line of sight."""
    viewing_along: float
    viewing_across: float
    incidence: float
    """At the target, between the vertical and the line of sight."""
    incidence_along: float
    incidence_across: float
    sun_azimuth: float
    sun_elevation: float
    gsd_along: float
    gsd_across: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """An image and what its operator knows of it."""

    instrument: Instrument
    array: DetectorLine
    acquisition: Acquisition
    camera: Pushbroom
    """The nominal one."""
    rpc: Rpc
    rpc_fit: RpcFit
    counts: Counts
    """(bands, lines, samples)."""
    corners: tuple[tuple[float, float], ...]
    """(lon, lat) of the centres of the four corner pixels: top left, top right, bottom right, bottom left."""
    centre: tuple[float, float]
    located: tuple[Located, ...]
    clouds: tuple[Polygon, ...]
    """Rings of (sample, line), corner-zero."""
    snow: tuple[Polygon, ...]
    cloud_percent: float

    @property
    def shape(self) -> tuple[int, int]:
        """Lines, samples."""
        return self.camera.shape


def fit_camera(camera: Pushbroom, posts: Posts) -> tuple[Rpc, RpcFit]:
    """RPC of a camera over its image and the relief's range of heights, with some margin."""
    lines, samples = camera.shape
    line, sample, height = np.meshgrid(
        np.linspace(-2.0, lines + 2.0, 21),
        np.linspace(-2.0, samples + 2.0, 21),
        np.linspace(float(posts.height.min()) - _RPC_MARGIN_M, float(posts.height.max()) + _RPC_MARGIN_M, 9),
        indexing="ij",
    )
    lon, lat = camera.image_to_ground(line, sample, height)
    return fit_rpc(line, sample, lon, lat, height)


def locate(name: str, camera: Pushbroom, acquisition: Acquisition, posts: Posts, line: float) -> Located:
    """Angles and sampling at the middle of a line, as the operator's (nominal) camera has them."""
    sample = camera.shape[1] / 2
    lon, lat, height = seen_on_surface(camera, posts, [line, line + 1, line], [sample, sample, sample + 1])
    ground = _earth_fixed(lon, lat, height)
    position = camera.position_at(line)
    look = ground[0] - position
    motion = camera.position_at(line + 1) - camera.position_at(line - 1)
    down = -position / np.linalg.norm(position)
    right = np.cross(down, motion) / np.linalg.norm(np.cross(down, motion))
    ahead = np.cross(right, down)
    zenith, azimuth = local_angles(-look, float(lon[0]), float(lat[0]))
    sun_zenith, sun_azimuth = acquisition.sun_angles(float(lon[0]), float(lat[0]))
    heading = local_angles(motion, float(lon[0]), float(lat[0]))[1]
    tangent, turn = np.tan(np.deg2rad(zenith)), np.deg2rad(azimuth - heading)
    flat = _earth_fixed(
        *camera.image_to_ground([line, line + 1, line], [sample, sample, sample + 1], height[0]), height[0]
    )
    return Located(
        name=name,
        line=line,
        sample=sample,
        time=acquisition.moment(float(camera.seconds_at(line))),
        altitude_m=to_geodetic(*position)[2],
        satellite_azimuth=azimuth,
        viewing=float(np.rad2deg(np.arccos(look @ down / np.linalg.norm(look)))),
        viewing_along=float(np.rad2deg(np.arctan2(look @ ahead, look @ down))),
        viewing_across=float(np.rad2deg(np.arctan2(look @ right, look @ down))),
        incidence=zenith,
        incidence_along=float(np.rad2deg(np.arctan(tangent * np.cos(turn)))),
        incidence_across=float(np.rad2deg(np.arctan(tangent * np.sin(turn)))),
        sun_azimuth=sun_azimuth,
        sun_elevation=90.0 - sun_zenith,
        gsd_along=float(np.linalg.norm(flat[1] - flat[0])),
        gsd_across=float(np.linalg.norm(flat[2] - flat[0])),
    )


def _earth_fixed(lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> Array:
    """Earth-fixed points (n, 3), m."""
    lon, lat, height = (np.asarray(value, dtype=np.float64) for value in (lon, lat, height))
    a, e2 = 6378137.0, 0.0066943799901413165
    b, c = np.deg2rad(lat), np.deg2rad(lon)
    normal = a / np.sqrt(1 - e2 * np.sin(b) ** 2)
    return np.stack(
        [
            (normal + height) * np.cos(b) * np.cos(c),
            (normal + height) * np.cos(b) * np.sin(c),
            (normal * (1 - e2) + height) * np.sin(b),
        ],
        axis=-1,
    )
