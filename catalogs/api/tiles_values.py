"""Numbers behind the pictures: figures of areas, values at points. Imported when the first is asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from catalogs.api.errors import NotFound
from catalogs.api.tiles_layers import Source
from catalogs.store.request import bbox_geometry
from processing.archive.viewed import pixels_at, pixels_inside

MAX_PIXELS = 8_000_000
"""Of one question; some 200 MB while it is answered."""
_ENOUGH = 250_000
_BINS = 20
_PERCENTILES = (2, 25, 50, 75, 98)


def statistics(source: Source, bbox: tuple[float, ...] | None, *, approximate: bool) -> dict[str, Any]:
    """Figures of the pixels whose centre lies in a box.

    Parameters
    ----------
    bbox
        West, south, east, north, degrees of WGS 84; None: the whole image.
    approximate
        Take coarser pixels, from an overview, where there are more than ``MAX_PIXELS``.

    Returns
    -------
    figures
        In physical values; None where no pixel has one. Of flags: the percentage of pixels that carry each.

    Raises
    ------
    NotFound
        For a picture: its numbers mean nothing.
    BadInput
        ``search.bbox``; ``tiles.too_large``.
    """
    if source.scale is None and not source.flags:
        raise NotFound("a picture has no values; ask for a band")
    outline = None if bbox is None else bbox_geometry(bbox)
    inside = pixels_inside(source.place, outline, limit=MAX_PIXELS, thin=approximate)
    figures: dict[str, Any] = {
        "asset": source.key,
        "bbox": bbox,
        "pixels": inside.pixels,
        "coarser": inside.coarser,
    }
    if source.flags:
        return figures | {"flags_percent": _shares(inside.stored, source)}
    return figures | {
        "unit": source.unit,
        "valid_percent": 100 * inside.stored.size / inside.pixels if inside.pixels else 0.0,
        **_figures(inside.stored, source),
    }


def figures_of(source: Source) -> dict[str, float]:
    """Minimum, maximum, mean and standard deviation of a whole image, from an overview where there are many pixels."""
    inside = pixels_inside(source.place, None, limit=_ENOUGH, thin=True)
    found = _figures(inside.stored, source)
    return {name: found[name] for name in ("minimum", "maximum", "mean", "stddev") if found[name] is not None}


def _figures(stored: npt.NDArray[np.generic], source: Source) -> dict[str, Any]:
    """Everything is linear in what is stored: only results are scaled."""
    names = ("minimum", "maximum", "mean", "stddev", *(f"percentile_{share}" for share in _PERCENTILES))
    if not stored.size:
        return dict.fromkeys(names) | {"histogram": None}
    scale, offset = source.scale or 1.0, source.offset
    numbers = stored.astype(np.float64)
    counts, edges = np.histogram(numbers, _BINS)
    shares = np.percentile(numbers, _PERCENTILES)
    places = [float(numbers.min()), float(numbers.max()), float(numbers.mean())]
    spread = float(numbers.std()) * scale
    low, high, mean, *rest = (_physical(value, scale, offset) for value in (*places, *shares.tolist()))
    return dict(zip(names, (low, high, mean, spread, *rest), strict=True)) | {
        "histogram": {"counts": counts.tolist(), "edges": [_physical(edge, scale, offset) for edge in edges.tolist()]}
    }


def _shares(stored: npt.NDArray[np.generic], source: Source) -> dict[str, float | None]:
    words = stored.astype(np.uint16)
    return {
        name: float(np.count_nonzero(words & bit) * 100 / words.size) if words.size else None
        for name, bit in source.flags
    }


def at_points(sources: Sequence[Source], places: Sequence[tuple[float, float]]) -> list[Any]:
    """Physical values of all bands in the pixels that points fall into, and the names of the flags set there.

    Parameters
    ----------
    places
        Longitude and latitude, degrees of WGS 84.

    Returns
    -------
    values
        For each point; a value is None outside the image and where there is none.
    """
    found: list[dict[str, Any]] = [{"lon": lon, "lat": lat, "values": {}, "qa": {}} for lon, lat in places]
    for source in sources:
        for point, stored in zip(found, pixels_at(source.place, places), strict=True):
            if source.flags:
                point["qa"][source.key] = None if stored is None else _named(int(stored), source)
            else:
                value = None if stored is None else _physical(stored, source.scale or 1.0, source.offset)
                point["values"][source.key] = {"value": value, "unit": source.unit, "title": source.title}
    return found


def _named(stored: int, source: Source) -> list[str]:
    return [name for name, bit in source.flags if stored & bit]


def _physical(stored: float, scale: float, offset: float) -> float:
    """Rounded to a millionth of a step: no digits that only the multiplication made."""
    digits = 6 - int(np.floor(np.log10(abs(scale))))
    return round(stored * scale + offset, digits)
