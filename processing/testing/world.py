"""The simulated world of one acquisition: ground, light and weather as one function of the ground position."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processing.testing.acquisition import Acquisition
from processing.testing.clouds import cloud_height, form_clouds, opacity_at
from processing.testing.compiled import compiled_inline
from processing.testing.instruments import SpectralBand
from processing.testing.landscape import ground_at
from processing.testing.lighting import (
    AIR,
    COS_SUN,
    CULTIVATED,
    DIRECT,
    FOREST,
    LAKE,
    ROCK,
    SKY,
    SNOW,
    TOWN,
    Layers,
    light_up,
)
from processing.testing.materials import Cover, Material, atmosphere, spectra
from processing.testing.relief import METRES_PER_DEGREE, ORIGIN, POSTS_PER_DEGREE, Posts
from processing.testing.sun import local_angles

Array = npt.NDArray[np.float64]

_CLOUD = int(Cover.CLOUD)
_CLOUD_SHADOW = int(Cover.CLOUD_SHADOW)
_TERRAIN_SHADOW = int(Cover.TERRAIN_SHADOW)
_M_CLOUD = int(Material.CLOUD)
_DEEPEST_SHADE = 0.88
"""Share of the direct light an opaque cloud takes."""
_UNDER_EAVES = 0.12
"""Share of the direct light left where a house or tree shades the ground."""
_NOTICED = 0.02
"""Cloud or shadow thinner than this is called clear: it changes a reflectance by less than the sensor's noise."""


class World(NamedTuple):
    """All that decides what a ground point looks like."""

    height: Array
    """(rows, cols) of the posts, above the ellipsoid, m."""
    layers: Layers
    """(rows, cols, 10), see :mod:`processing.testing.lighting`."""
    clouds: npt.NDArray[np.float32]
    """Opacity raster of the cloud layer, see :mod:`processing.testing.clouds`."""
    spectra: Array
    """(materials, bands)."""
    air: Array
    """(bands, 3) path reflectance, transmission, diffuse share."""
    setting: Array
    """(15,) local metres of post (0, 0) and of the clouds' first cell, metres between posts eastward and southward,
    horizontal unit vector towards the sun (east, north) and tangent of its elevation, and the line of sight: metres
    east, then north, per metre up, each as constant and terms in local x and y."""
    seed: int


@compiled_inline
def height_at(height: Array, row: float, col: float) -> float:
    """Height of the surface at a place in post coordinates (0, 0 = first post); NaN outside the posts."""
    rows, cols = height.shape
    if not (0.0 <= row <= rows - 1.0 and 0.0 <= col <= cols - 1.0):
        return np.nan
    i, j = min(int(row), rows - 2), min(int(col), cols - 2)
    v, u = row - i, col - j
    top = height[i, j] * (1 - u) + height[i, j + 1] * u
    bottom = height[i + 1, j] * (1 - u) + height[i + 1, j + 1] * u
    return float(top * (1 - v) + bottom * v)


@compiled_inline
def _mix(layers: Layers, i: int, j: int, v: float, u: float, mixed: npt.NDArray[np.float32]) -> None:
    """All layers at a place between four posts, bilinear."""
    a, b = np.float32((1.0 - v) * (1.0 - u)), np.float32((1.0 - v) * u)
    c, d = np.float32(v * (1.0 - u)), np.float32(v * u)
    for k in range(mixed.size):
        mixed[k] = a * layers[i, j, k] + b * layers[i, j + 1, k] + c * layers[i + 1, j, k] + d * layers[i + 1, j + 1, k]


@compiled_inline
def _cloud_along(
    clouds: npt.NDArray[np.float32], setting: Array, x: float, y: float, height: float, slope: tuple[float, float]
) -> float:
    """Opacity that a line from a ground point, ``slope`` metres east and north per metre up, meets in the clouds."""
    reach = cloud_height(y) - height
    reach = cloud_height(y + reach * slope[1]) - height
    return opacity_at(clouds, setting[2], setting[3], x + reach * slope[0], y + reach * slope[1])


@compiled_inline
def weather_at(
    clouds: npt.NDArray[np.float32], setting: Array, place: tuple[float, float, float]
) -> tuple[float, float]:
    """Opacity of the clouds between a ground point and the satellite, and between it and the sun.

    ``place`` is row and column in post coordinates and the height of the surface there, m.
    """
    row, col, height = place
    x, y = setting[0] + col * setting[4], setting[1] - row * setting[5]
    sight = (
        setting[9] + setting[10] * x + setting[11] * y,
        setting[12] + setting[13] * x + setting[14] * y,
    )
    sunward = (setting[6] / setting[8], setting[7] / setting[8])
    opaque = _cloud_along(clouds, setting, x, y, height, sight)
    return opaque, _cloud_along(clouds, setting, x, y, height, sunward)


@compiled_inline
def look_at_ground(
    layers: Layers,
    spectra: Array,
    air: Array,
    setting: Array,
    seed: int,
    place: tuple[float, float],
    weather: tuple[float, float],
    results: tuple[Array, npt.NDArray[np.float32]],
) -> tuple[int, float]:
    """Top-of-atmosphere reflectance of a ground point as this acquisition's satellite sees it.

    Parameters
    ----------
    layers, spectra, air, setting, seed
        Of the :class:`World`, one by one: handing the tuple on costs more than the computation.
    place
        Row and column in post coordinates, inside the posts.
    weather
        From :func:`weather_at`.
    results
        Filled with the reflectance per band, 0-1 (more on slopes that face a low sun), and, float32 (10,), with the
        layers at the place.

    Returns
    -------
    cover, cos_sun
        Class and cosine of the sun's zenith angle.
    """
    row, col = place
    opaque, shade = weather
    reflectance, mixed = results
    i, j = min(int(row), layers.shape[0] - 2), min(int(col), layers.shape[1] - 2)
    v, u = row - i, col - j
    x, y = setting[0] + col * setting[4], setting[1] - row * setting[5]
    sun = (setting[6], setting[7], setting[8])
    _mix(layers, i, j, v, u, mixed)
    scores = (mixed[TOWN], mixed[LAKE], mixed[CULTIVATED], mixed[FOREST], mixed[ROCK], mixed[SNOW])
    cover, first, second, share, tone, shaded = ground_at(x, y, scores, sun, seed)
    direct, sky = float(mixed[DIRECT]), float(mixed[SKY])
    if direct < 0.05:
        cover = _TERRAIN_SHADOW
    if shaded:
        direct *= _UNDER_EAVES
    direct *= 1.0 - _DEEPEST_SHADE * shade
    if shade > _NOTICED:
        cover = _CLOUD_SHADOW
    if opaque > _NOTICED:
        cover = _CLOUD
    white = 0.72 + 0.38 * opaque
    for band in range(reflectance.size):
        path, clear, diffuse = air[band, 0], air[band, 1], air[band, 2]
        ground = (spectra[first, band] * (1.0 - share) + spectra[second, band] * share) * tone
        lit = ground * ((1.0 - diffuse) * direct + diffuse * sky)
        below = path * mixed[AIR] + clear * lit
        reflectance[band] = below * (1.0 - opaque) + spectra[_M_CLOUD, band] * white * opaque
    return cover, float(mixed[COS_SUN])


def local_metres(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Array, Array]:
    """Local metres of longitudes and latitudes."""
    x: Array = (np.asarray(lon, dtype=np.float64) - ORIGIN[0]) * METRES_PER_DEGREE[0]
    y: Array = (np.asarray(lat, dtype=np.float64) - ORIGIN[1]) * METRES_PER_DEGREE[1]
    return x, y


def make_world(
    posts: Posts,
    cover: Layers,
    acquisition: Acquisition,
    bands: tuple[SpectralBand, ...],
    *,
    seed: int,
) -> World:
    """The world as one detector array of an acquisition sees it.

    Parameters
    ----------
    posts, cover
        The relief and its cover, shared by all acquisitions.
    acquisition
        Sun, satellite, and the number that decides the weather.
    bands
        Of the array.
    seed
        Of the landscape.
    """
    group = next(iter(acquisition.nominal))
    camera = acquisition.true(group)
    lines, samples = camera.shape
    line, sample = np.meshgrid(np.linspace(0, lines, 5), np.linspace(0, samples, 5), indexing="ij")
    heights = (float(posts.height.min()), float(posts.height.max()))
    low, high = (np.array(local_metres(*camera.image_to_ground(line, sample, height))) for height in heights)
    slope = (high - low).reshape(2, -1) / (heights[1] - heights[0])
    design = np.stack([np.ones(line.size), low[0].ravel(), low[1].ravel()], axis=1)
    sight = np.linalg.lstsq(design, slope.T, rcond=None)[0].T
    edges = tuple(band.edges_um for band in bands)
    corner = local_metres(posts.west / POSTS_PER_DEGREE, posts.north / POSTS_PER_DEGREE)
    zenith, azimuth = local_angles(acquisition.sun, *ORIGIN)
    azimuth_rad = np.deg2rad(azimuth)
    sun = (np.sin(azimuth_rad), np.cos(azimuth_rad), np.tan(np.deg2rad(90.0 - zenith)))
    bounds = (float(low[0].min()), float(low[1].min()), float(low[0].max()), float(low[1].max()))
    weather = np.random.default_rng([seed, acquisition.number, 7002])
    clouds = form_clouds(
        bounds,
        cover=float(weather.uniform(0.05, 0.12)),
        seed=int(weather.integers(1, 2**31)),
        margin_m=1500.0 + 4000.0 / float(sun[2]),
    )
    step = np.array(METRES_PER_DEGREE) / POSTS_PER_DEGREE
    return World(
        height=posts.height,
        layers=light_up(posts, cover, acquisition.sun),
        clouds=clouds.opacity,
        spectra=spectra(edges),
        air=atmosphere(edges),
        setting=np.array([*map(float, corner), *clouds.corner, *step, *sun, *sight.ravel()]),
        seed=seed,
    )
