"""Compiled: image positions of a tile of output pixels from lattice nodes, the terrain sampled at every pixel."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import int32, njit, uint64

from processing.geometry.terrain import bilinear_point

Array = npt.NDArray[np.float64]
Heights = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Ground(NamedTuple):
    """What positions are made from: the lattice around a block, and the terrain."""

    nodes: Array
    """As :attr:`processing.geometry.lattice.Nodes.values`."""
    first_node: tuple[int, int]
    """Row and column of the first node, in steps from the grid's first pixel."""
    step: int
    """Output pixels between nodes."""
    layers: tuple[float, float]
    """Height of the middle layer, and from there to the outer ones, m."""
    heights: Heights
    """Terrain, m above the ellipsoid, NaN void."""


@njit(nogil=True, cache=True)
def map_tile(
    ground: Ground,
    first_pixel: tuple[int, int],
    line: Array,
    sample: Array,
) -> tuple[int, int]:
    """Fill the positions of a tile's pixel centres.

    Parameters
    ----------
    ground
        Lattice and terrain.
    first_pixel
        Row and column of the tile's first pixel in the grid.
    line, sample
        Written, ``(rows, cols)``; NaN where the terrain is void or absent.

    Returns
    -------
    void, beyond
        Pixels without terrain; pixels whose terrain lies beyond the layers (their positions are extrapolated).
    """
    nodes, first_node, step, layers, heights = ground
    rows, cols = line.shape
    left = np.empty(8)
    slope = np.empty(8)
    scale = 1.0 / step
    void = 0
    beyond = 0
    for row in range(rows):
        at_row = first_pixel[0] + row
        node_row = at_row // step
        down = (at_row - node_row * step + 0.5) * scale
        node_row -= first_node[0]
        col = 0
        while col < cols:
            node_col = (first_pixel[1] + col) // step
            last = min(cols, (node_col + 1) * step - first_pixel[1])
            # Of the part's first pixel, from the node on its left to the pixel's centre.
            offset = first_pixel[1] + col - node_col * step + 0.5
            node_col -= first_node[1]
            for value in range(8):
                upper_left = nodes[node_row, node_col, value]
                upper_right = nodes[node_row, node_col + 1, value]
                left[value] = upper_left + down * (nodes[node_row + 1, node_col, value] - upper_left)
                right = upper_right + down * (nodes[node_row + 1, node_col + 1, value] - upper_right)
                slope[value] = right - left[value]
            line_part, sample_part = line[row, col:last], sample[row, col:last]
            if not (
                _inner(left, slope, heights.shape)
                and _map_inner_part(left, slope, heights, offset, scale, layers, line_part, sample_part)
            ):
                odd = _map_any_part(left, slope, heights, offset, scale, layers, line_part, sample_part)
                void += odd[0]
                beyond += odd[1]
            col = last
    return void, beyond


@njit(nogil=True, cache=True)
def _inner(left: Array, slope: Array, shape: tuple[int, int]) -> bool:
    """Whether a part of a row lies so far inside the terrain that all four heights around each pixel are there."""
    first_row, last_row = left[6], left[6] + slope[6]
    first_col, last_col = left[7], left[7] + slope[7]
    return bool(
        min(first_row, last_row) >= 0.5
        and max(first_row, last_row) < shape[0] - 0.5
        and min(first_col, last_col) >= 0.5
        and max(first_col, last_col) < shape[1] - 0.5
    )


@njit(nogil=True, cache=True)
def _map_inner_part(
    left: Array,
    slope: Array,
    heights: Heights,
    offset: float,
    scale: float,
    layers: tuple[float, float],
    line: Array,
    sample: Array,
) -> bool:
    """Positions of a part of a row, without a question in between; False if any of them needs one."""
    flat = heights.reshape(-1)
    width = uint64(heights.shape[1])
    inverse = 1.0 / layers[1]
    odd = 0
    # Taken out first: the compiler cannot know that writing line and sample leaves them as they are.
    l0, l1, l2, l3, l4, l5, l6, l7 = left[0], left[1], left[2], left[3], left[4], left[5], left[6], left[7]
    s0, s1, s2, s3, s4, s5, s6, s7 = slope[0], slope[1], slope[2], slope[3], slope[4], slope[5], slope[6], slope[7]
    middle = layers[0]
    for pixel in range(line.size):
        across = (pixel + offset) * scale
        y = l6 + across * s6 - 0.5
        x = l7 + across * s7 - 0.5
        top = int32(y)
        west = int32(x)
        down = y - top
        right = x - west
        at = uint64(top) * width + uint64(west)
        height = (
            (1.0 - down) * (1.0 - right) * flat[at]
            + (1.0 - down) * right * flat[at + uint64(1)]
            + down * (1.0 - right) * flat[at + width]
            + down * right * flat[at + width + uint64(1)]
        )
        t = (height - middle) * inverse
        line[pixel] = (l0 + across * s0) + t * ((l1 + across * s1) + t * (l2 + across * s2))
        sample[pixel] = (l3 + across * s3) + t * ((l4 + across * s4) + t * (l5 + across * s5))
        odd += 0 if abs(t) <= 1.0 else 1
    return odd == 0


@njit(nogil=True, cache=True)
def _map_any_part(
    left: Array,
    slope: Array,
    heights: Heights,
    offset: float,
    scale: float,
    layers: tuple[float, float],
    line: Array,
    sample: Array,
) -> tuple[int, int]:
    """The same anywhere; how many pixels have no terrain, and terrain beyond the layers."""
    inverse = 1.0 / layers[1]
    void = 0
    beyond = 0
    for pixel in range(line.size):
        across = (pixel + offset) * scale
        height = bilinear_point(heights, left[6] + across * slope[6], left[7] + across * slope[7])
        t = (height - layers[0]) * inverse
        line[pixel] = (left[0] + across * slope[0]) + t * (
            (left[1] + across * slope[1]) + t * (left[2] + across * slope[2])
        )
        sample[pixel] = (left[3] + across * slope[3]) + t * (
            (left[4] + across * slope[4]) + t * (left[5] + across * slope[5])
        )
        if np.isnan(height):
            void += 1
        elif abs(t) > 1.0:
            beyond += 1
    return void, beyond


@njit(nogil=True, cache=True)
def sort_out_tile(
    ground: Ground,
    first_pixel: tuple[int, int],
    image: tuple[int, int],
    void: Mask,
    beyond: Mask,
) -> None:
    """What is odd in a tile that :func:`map_tile` counted oddities in.

    ``void (rows, cols)``: the terrain has no value, and at the middle layer's height the image would reach the pixel.
    ``beyond``: the terrain lies outside the layers.
    """
    for row in range(void.shape[0]):
        for col in range(void.shape[1]):
            pixel = (first_pixel[0] + row, first_pixel[1] + col)
            height = bilinear_point(ground.heights, value_at(ground, pixel, 6), value_at(ground, pixel, 7))
            void[row, col] = beyond[row, col] = False
            if np.isnan(height):
                line = value_at(ground, pixel, 0)
                sample = value_at(ground, pixel, 3)
                void[row, col] = 0.0 <= line < image[0] and 0.0 <= sample < image[1]
            else:
                beyond[row, col] = not abs((height - ground.layers[0]) * (1.0 / ground.layers[1])) <= 1.0


@njit(nogil=True, cache=True)
def value_at(ground: Ground, pixel: tuple[int, int], value: int) -> float:
    """One node value, interpolated at a pixel's centre exactly as :func:`map_tile` does."""
    nodes, first_node, step = ground.nodes, ground.first_node, ground.step
    node_row = pixel[0] // step
    node_col = pixel[1] // step
    down = (pixel[0] - node_row * step + 0.5) * (1.0 / step)
    across = (pixel[1] - node_col * step + 0.5) * (1.0 / step)
    node_row -= first_node[0]
    node_col -= first_node[1]
    upper_left = nodes[node_row, node_col, value]
    upper_right = nodes[node_row, node_col + 1, value]
    left: float = upper_left + down * (nodes[node_row + 1, node_col, value] - upper_left)
    right: float = upper_right + down * (nodes[node_row + 1, node_col + 1, value] - upper_right)
    return left + across * (right - left)


@njit(nogil=True, cache=True)
def negative_clearance(
    ground: Ground,
    clearance: Heights,
    first_pixel: tuple[int, int],
    hidden: Mask,
) -> None:
    """Fill ``hidden (rows, cols)``: where a grid aligned with the terrain, bilinear at each pixel, is negative."""
    step, first_node = ground.step, ground.first_node
    rows, cols = hidden.shape
    row = 0
    while row < rows:
        node_row = (first_pixel[0] + row) // step
        last_row = min(rows, (node_row + 1) * step - first_pixel[0])
        col = 0
        while col < cols:
            node_col = (first_pixel[1] + col) // step
            last_col = min(cols, (node_col + 1) * step - first_pixel[1])
            cell = ground.nodes[
                node_row - first_node[0] : node_row - first_node[0] + 2,
                node_col - first_node[1] : node_col - first_node[1] + 2,
                6:8,
            ]
            part = hidden[row:last_row, col:last_col]
            if _any_negative(clearance, cell):
                for down in range(part.shape[0]):
                    for across in range(part.shape[1]):
                        pixel = (first_pixel[0] + row + down, first_pixel[1] + col + across)
                        y, x = value_at(ground, pixel, 6), value_at(ground, pixel, 7)
                        part[down, across] = bilinear_point(clearance, y, x) < 0.0
            else:
                part[:] = False
            col = last_col
        row = last_row


@njit(nogil=True, cache=True)
def _any_negative(clearance: Heights, cell: Array) -> bool:
    """Whether anything is negative around a cell of the lattice (its four corners): most cells need no second look."""
    low_row, high_row = cell[:, :, 0].min(), cell[:, :, 0].max()
    low_col, high_col = cell[:, :, 1].min(), cell[:, :, 1].max()
    if not (np.isfinite(low_row + high_row) and np.isfinite(low_col + high_col)):
        return True
    # One node more on each side: the bilinear neighbours of a position just inside.
    top, bottom = max(int(np.floor(low_row)) - 1, 0), min(int(np.ceil(high_row)) + 2, clearance.shape[0])
    left, right = max(int(np.floor(low_col)) - 1, 0), min(int(np.ceil(high_col)) + 2, clearance.shape[1])
    for row in range(top, bottom):
        for col in range(left, right):
            if clearance[row, col] < 0.0:
                return True
    return False


@njit(nogil=True, cache=True)
def largest_step(heights: Heights) -> float:
    """Largest difference between two neighbours in a row or column; 0 where no two are known."""
    rows, cols = heights.shape
    largest = np.float32(0.0)
    for row in range(rows):
        for col in range(cols):
            # A comparison with NaN is false: unknown heights make no step.
            if col > 0 and abs(heights[row, col] - heights[row, col - 1]) > largest:
                largest = abs(heights[row, col] - heights[row, col - 1])
            if row > 0 and abs(heights[row, col] - heights[row - 1, col]) > largest:
                largest = abs(heights[row, col] - heights[row - 1, col])
    return float(largest)
