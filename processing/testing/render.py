"""Forms the image: rays to the ground, light, optics, noise and counts, block of lines by block of lines."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from processing.testing.camera_kernel import CameraState, frame_at, intersect, look_at
from processing.testing.compiled import compiled, compiled_inline, over_rows
from processing.testing.instruments import DetectorLine
from processing.testing.noise import bell
from processing.testing.relief import POSTS_PER_DEGREE, Posts
from processing.testing.world import World, height_at, look_at_ground, weather_at

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint16]

_REACH = 2
"""Pixels beyond a pixel's edge from which its light is gathered."""
_STRIDE = 32
"""Ground points between exact rays along a line: the rays between are linear to below 1 mm on the ground."""
_BLOCK = 128
"""Lines rendered at a time."""


class Rays(NamedTuple):
    """Where lines of sight meet three heights, in post coordinates."""

    row: Array
    """(lines, nodes, 3)."""
    col: Array
    heights: Array
    """(3,) evenly spaced, m."""


@compiled
def _trace(
    start: int, stop: int, state: CameraState, lines: Array, samples: Array, origin: tuple[float, float], rays: Rays
) -> None:
    """Exact rays of every line at the sample nodes; ``origin`` is the latitude and longitude of post (0, 0)."""
    for i in range(start, stop):
        frame = frame_at(state, look_at(state, lines[i], 0.0)[0])
        for j in range(samples.size):
            _, ux, uy = look_at(state, lines[i], samples[j])
            for k in range(3):
                lon, lat = intersect(frame, ux, uy, rays.heights[k])
                rays.row[i, j, k] = (origin[0] - lat) * POSTS_PER_DEGREE
                rays.col[i, j, k] = (lon - origin[1]) * POSTS_PER_DEGREE


@compiled_inline
def _parabola(nodes: Array, line: int, node: int, share: float) -> tuple[float, float, float]:
    """Coordinate of a ray between two nodes: c0 + c1 z + c2 z^2 with z = -1, 0, 1 at the three heights."""
    low = nodes[line, node, 0] + share * (nodes[line, node + 1, 0] - nodes[line, node, 0])
    middle = nodes[line, node, 1] + share * (nodes[line, node + 1, 1] - nodes[line, node, 1])
    high = nodes[line, node, 2] + share * (nodes[line, node + 1, 2] - nodes[line, node, 2])
    return middle, 0.5 * (high - low), 0.5 * (high + low) - middle


@compiled_inline
def meet_surface(
    height: Array,
    rows: Array,
    cols: Array,
    span: tuple[float, float],
    place: tuple[int, int, float],
    guess: float,
) -> tuple[float, float, float]:
    """Row, column and height where a ray meets the surface, to 0.1 mm in height.

    Fixed-point steps, hastened by a secant. They converge where the land falls away along the line of sight less
    steeply than the line itself, so for every relief of this world at the simulated off-nadir angles; no point hides
    another there either.

    Parameters
    ----------
    height
        Of the posts.
    rows, cols
        Of the :class:`Rays`.
    span
        The rays' middle height and half their range of heights.
    place
        Line, node, and share of the way to the next node.
    guess
        Height to start from.
    """
    line, node, share = place
    r0, r1, r2 = _parabola(rows, line, node, share)
    c0, c1, c2 = _parabola(cols, line, node, share)
    reached, before, miss_before = guess, guess, 0.0
    row, col = r0, c0
    for _ in range(30):
        z = (reached - span[0]) / span[1]
        row, col = r0 + z * (r1 + z * r2), c0 + z * (c1 + z * c2)
        miss = height_at(height, row, col) - reached
        if not abs(miss) > 1e-4:
            break
        step = miss
        if miss_before != 0.0:
            # Across a break of slope between posts the secant may shoot off; the plain step never does.
            secant = -miss * (reached - before) / (miss - miss_before)
            if 0.4 * abs(miss) < abs(secant) < 2.5 * abs(miss):
                step = secant
        before, miss_before = reached, miss
        reached += step
    return row, col, reached


@compiled
def _expose(
    start: int,
    stop: int,
    world: World,
    rays: Rays,
    density: int,
    light: npt.NDArray[np.float32],
    cover: npt.NDArray[np.uint8],
) -> None:
    """Reflectance times the cosine of the sun's zenith angle, and cover, at every ground point.

    ``light``: (bands, lines, points); ``cover``: (lines, points); ``density``: points per pixel along a line.
    """
    height, layers, clouds, spectra, air, setting, seed = world
    rows, cols, heights = rays
    reflectance, mixed = np.empty(light.shape[0]), np.empty(layers.shape[2], dtype=np.float32)
    span = (heights[1], heights[2] - heights[1])
    for i in range(start, stop):
        reached, last = heights[1], heights[1]
        weather = (0.0, 0.0)
        for j in range(light.shape[2]):
            node = j // _STRIDE
            place = (i, node, (j - node * _STRIDE) / _STRIDE)
            # The land goes on as it went: a good first guess of the height.
            guess, last = 2.0 * reached - last, reached
            row, col, reached = meet_surface(height, rows, cols, span, place, guess)
            if j % density == 0:
                # Clouds are soft over many pixels: one look at them a pixel will do.
                weather = weather_at(clouds, setting, (row, col, reached))
            cover[i, j], cos_sun = look_at_ground(
                layers, spectra, air, setting, seed, (row, col), weather, (reflectance, mixed)
            )
            for band in range(light.shape[0]):
                light[band, i, j] = reflectance[band] * cos_sun


@compiled
def _detect(
    start: int,
    stop: int,
    light: npt.NDArray[np.float32],
    weights: Array,
    response: Array,
    noise: tuple[int, int],
    counts: Counts,
) -> None:
    """Gather light through the point-spread function and count it.

    ``response`` rows per band: counts per unit of light, read noise, shot noise, saturation count. ``noise``: seed,
    and the number of the first line, so that the noise does not depend on the blocks.
    """
    bands, _, samples = counts.shape
    taps = weights.size
    per_pixel = light.shape[2] // (samples + 2 * _REACH)
    column = np.empty(light.shape[2])
    for line in range(start, stop):
        for band in range(bands):
            column[:] = 0.0
            for k in range(taps):
                for j in range(column.size):
                    column[j] += weights[k] * light[band, line * per_pixel + k, j]
            gain, read, shot, full = response[band, 0], response[band, 1], response[band, 2], response[band, 3]
            for j in range(samples):
                total = 0.0
                for k in range(taps):
                    total += weights[k] * column[j * per_pixel + k]
                mean = total * gain
                noisy = mean + np.sqrt(read * read + shot * mean) * bell(noise[1] + line, j, noise[0] + band)
                # 0 means nodata: a pixel that was seen is never below 1.
                counts[band, line, j] = np.uint16(min(max(np.floor(noisy + 0.5), 1.0), full))


def classify(
    world: World, posts: Posts, state: CameraState, shape: tuple[int, int], stride: int
) -> npt.NDArray[np.uint8]:
    """Cover at the middle of every ``stride``-th block of pixels, as the camera sees it."""
    lines, samples = (-(-size // stride) for size in shape)
    seen = (np.arange(lines, dtype=np.float64) + 0.5) * stride
    rays = trace_block(state, posts, seen, 0.5 * stride, samples, stride)
    light = np.empty((world.spectra.shape[1], lines, samples), dtype=np.float32)
    cover = np.empty((lines, samples), dtype=np.uint8)
    over_rows(_expose, lines, world, rays, 1, light, cover)
    return cover


def psf_weights(sigma_px: float, subsamples: int) -> Array:
    """Share of each ground point in a pixel, along one axis: Gaussian optics over a square detector, sum 1."""
    taps = subsamples * (1 + 2 * _REACH)
    offset = (np.arange(taps) + 0.5) / subsamples - 0.5 - _REACH
    width = np.sqrt(2) * sigma_px
    weights: Array = erf((offset + 0.5) / width) - erf((offset - 0.5) / width)
    return weights / weights.sum()


def trace_block(
    state: CameraState, posts: Posts, lines: Array, first_sample: float, points: int, spacing: float
) -> Rays:
    """Rays of whole lines at nodes of ``_STRIDE`` ground points, ``spacing`` px apart from ``first_sample``."""
    nodes = -(-points // _STRIDE) + 1
    low, high = float(posts.height.min()) - 10.0, float(posts.height.max()) + 10.0
    rays = Rays(
        row=np.empty((lines.size, nodes, 3)),
        col=np.empty((lines.size, nodes, 3)),
        heights=np.linspace(low, high, 3),
    )
    samples = first_sample + spacing * _STRIDE * np.arange(nodes, dtype=np.float64)
    origin = (posts.north / POSTS_PER_DEGREE, posts.west / POSTS_PER_DEGREE)
    over_rows(_trace, lines.size, state, lines, samples, origin, rays)
    return rays


def render(
    world: World,
    posts: Posts,
    state: CameraState,
    array: DetectorLine,
    *,
    shape: tuple[int, int],
    radiance_per_light: Array,
    saturated: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> Counts:
    """The delivered counts of one detector array.

    Parameters
    ----------
    world, posts
        What is looked at.
    state
        The true camera.
    array
        The detectors.
    shape
        Lines and samples.
    radiance_per_light
        W m-2 sr-1 um-1 per unit of reflectance times cosine of the sun's zenith angle, per band: E / (pi d^2).
    saturated
        Highest count.
    seed
        Of the noise.
    progress
        Called with lines done and lines in all.

    Returns
    -------
    Counts
        uint16, shape (bands, lines, samples), 1 to ``saturated``.
    """
    lines, samples = shape
    weights = psf_weights(array.psf_sigma_px, array.subsamples)
    response = np.array(
        [
            (band.counts_per_radiance * scale, band.read_noise, band.shot, float(saturated))
            for band, scale in zip(array.bands, radiance_per_light, strict=True)
        ]
    )
    counts = np.empty((len(array.bands), lines, samples), dtype=np.uint16)
    density = array.subsamples
    points = density * (samples + 2 * _REACH)
    for first in range(0, lines, _BLOCK):
        block = min(_BLOCK, lines - first)
        seen = first - _REACH + (np.arange(density * (block + 2 * _REACH)) + 0.5) / density
        rays = trace_block(state, posts, seen, 0.5 / density - _REACH, points, 1 / density)
        light = np.empty((len(array.bands), seen.size, points), dtype=np.float32)
        over_rows(_expose, seen.size, world, rays, density, light, np.empty(light.shape[1:], dtype=np.uint8))
        detected = np.empty((len(array.bands), block, samples), dtype=np.uint16)
        over_rows(_detect, block, light, weights, response, (seed, first), detected)
        counts[:, first : first + block] = detected
        progress(first + block, lines)
    return counts
