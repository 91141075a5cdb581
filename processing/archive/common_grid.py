"""One grid for products that lie on one lattice: pixels are moved by whole pixels, or not at all."""

import math
from collections.abc import Sequence

from affine import Affine
from odc.geo.geobox import GeoBox

from processing.archive.shard_read import Region
from processing.archive.window import Bounds
from processing.model.conventions import CHUNK_PX
from processing.model.errors import BadInput
from processing.model.product import StoredGroup

_SLACK_PX = 1e-6
"""Grids that are farther apart than whole pixels by more than this are not of one lattice."""


def common_grid(groups: Sequence[StoredGroup], bounds: Bounds) -> tuple[GeoBox, tuple[Region, ...]]:
    """The grid of a part of the map that several products share.

    Parameters
    ----------
    groups
        Grids of one coordinate system, pixel size and phase.
    bounds
        Left, bottom, right, top of what is wanted, in units of the map.

    Returns
    -------
    geobox
        The pixels wanted that any product reaches, to whole chunks of the lattice where products have them.
    extents
        Rows and columns of it that each product reaches, in the order given; they may begin before it and end behind.

    Raises
    ------
    BadInput
        ``composite.grids`` if the products do not lie on one lattice; ``composite.outside`` if none reaches the bounds.
    """
    first = groups[0]
    size = first.transform[0]
    _require_lattice(groups)
    left, top = first.transform[2], first.transform[5]
    # Pixels counted from the first product's corner; its own place on the lattice of the whole map is added for chunks.
    places = [(round((top - group.transform[5]) / size), round((group.transform[2] - left) / size)) for group in groups]
    spans = [
        tuple(range(start, start + length) for start, length in zip(place, group.shape, strict=True))
        for place, group in zip(places, groups, strict=True)
    ]
    origin = (round(-top / size), round(left / size))
    wanted = (
        (math.floor((top - bounds[3]) / size + _SLACK_PX), math.ceil((top - bounds[1]) / size - _SLACK_PX)),
        (math.floor((bounds[0] - left) / size + _SLACK_PX), math.ceil((bounds[2] - left) / size - _SLACK_PX)),
    )
    window = []
    for axis in (0, 1):
        low, high = min(span[axis].start for span in spans), max(span[axis].stop for span in spans)
        if max(wanted[axis][0], low) >= min(wanted[axis][1], high):
            raise BadInput(
                "none of the items reaches into the area",
                kind="composite.outside",
                remedy="Look at their outlines: qyran search --bbox W,S,E,N.",
            )
        start = math.floor((wanted[axis][0] + origin[axis]) / CHUNK_PX) * CHUNK_PX - origin[axis]
        stop = math.ceil((wanted[axis][1] + origin[axis]) / CHUNK_PX) * CHUNK_PX - origin[axis]
        window.append((max(start, low), min(stop, high)))
    (row, bottom), (column, right) = window
    box = GeoBox(
        (bottom - row, right - column),
        Affine(size, 0, left + column * size, 0, -size, top - row * size),
        first.crs,
    )
    return box, tuple(
        (slice(rows.start - row, rows.stop - row), slice(columns.start - column, columns.stop - column))
        for rows, columns in spans
    )


def _require_lattice(groups: Sequence[StoredGroup]) -> None:
    first = groups[0]
    size, left, top = first.transform[0], first.transform[2], first.transform[5]
    for group in groups:
        a, b, c, d, e, f = group.transform
        upright = not b and not d and a > 0 and math.isclose(a, -e, rel_tol=1e-12)
        same = group.crs == first.crs and math.isclose(a, size, rel_tol=1e-12)
        apart = max(abs(_part((c - left) / size)), abs(_part((f - top) / size)))
        if not (upright and same and apart <= _SLACK_PX):
            raise BadInput(
                f"the items do not lie on one grid: {_words(first)}, and {_words(group)}",
                kind="composite.grids",
                remedy="Nothing is moved by parts of a pixel. Compose the items of one map at a time: give its crs.",
            )


def _part(pixels: float) -> float:
    return pixels - round(pixels)


def _words(group: StoredGroup) -> str:
    return f"{group.crs} at {group.resolution_m:g} m from {group.transform[2]:.6g}, {group.transform[5]:.8g}"
