"""How well the bands of a finished store lie on each other, measured where its pixels show it best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.base import compute
from dask.delayed import delayed

from processing.archive.encode import decode
from processing.archive.layout import QA
from processing.archive.shard_read import LocalArray
from processing.archive.store import Group, Level
from processing.model.image import OrthoImage
from processing.model.qa import Qa
from processing.model.scene import Band
from processing.registration.bands import LEAST_WINDOWS, PairShift, agreed_shift, good_spots, window_shifts

Image = npt.NDArray[np.float32]

REFERENCES = ("green", "red")
"""Bands that others are held against, the first that is there: textured everywhere, and in the middle of spectra."""
PAN = "pan"
_SIDES_PX = (128, 64)
"""Windows as large as still leaves room for several. Those of 256 px are no more certain, and cost four times more."""
_ROOM = 3
_OVERVIEW_PX = 1024
"""Spots are chosen on the finest level no larger than this."""
_DOUBTFUL = np.uint16(Qa.CLOUD | Qa.SHADOW | Qa.SATURATED | Qa.OCCLUDED)
"""Clouds move, and stand above the ground; saturation and occlusion have edges of their own."""
_DOUBTFUL_PART = 0.02
_BRIGHT = 4.0
"""Scatters (NMAD) above the median that ground seldom reaches and clouds pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What is compared in every window."""

    store: Path
    group: Group
    side: int
    pairs: tuple[tuple[str, str], ...]
    pan: tuple[Group, int, tuple[int, int]] | None
    """Panchromatic group, its pixels along one of the group's, and its row and column at the group's corner."""
    mean_of: tuple[str, ...]
    """Bands whose mean the panchromatic band is held against."""


def measure_registration(store: Path, groups: Sequence[Group], images: Sequence[OrthoImage]) -> dict[str, Any]:
    """Displacement of every band against the reference band of its group, and of the panchromatic one.

    Parameters
    ----------
    store
        Finished, coarser levels too.
    groups, images
        Pairwise: what lies in it.

    Returns
    -------
    dict
        JSON-ready: ``pairs`` with ``reference, band, windows, agreeing, down_px, right_px, offset_px, nmad_px`` in
        pixels of the group's grid, ``offset_m``; or with ``not_measurable``, which says why, in place of the
        figures. ``largest_offset_px`` of all that were measurable. Empty where there are no two bands to compare.
    """
    spectral = {
        group.name: (group, [band for band in image.bands if band.centre_nm is not None])
        for group, image in zip(groups, images, strict=True)
    }
    many = [(group, bands) for group, bands in spectral.values() if len(bands) > 1]
    if len(many) != 1:
        return {}
    (group, bands), pan = many[0], spectral.get(PAN)
    task, overview = _task(store, group, bands, pan), _overview(store, group)
    scale = group.levels[0].shape[0] / overview[1].shape[0]
    spots = _spots(overview[0], max(8, round(task.side / scale))) if task.side else []
    found = compute(*(delayed(_window)(task, (round(row * scale), round(column * scale))) for row, column in spots))
    shifts = [found_here for found_here in found if found_here is not None]
    pairs = [agreed_shift(*pair, [here[pair] for here in shifts]) for pair in task.pairs]
    worst = max((pair.offset_px for pair in pairs if pair.not_measurable is None), default=None)
    return {
        **({} if worst is None else {"largest_offset_px": round(worst, 3)}),
        "window_px": task.side,
        "resolution_m": abs(group.levels[0].geobox.affine.a),
        "pairs": [_record(pair, abs(group.levels[0].geobox.affine.a)) for pair in pairs],
    }


def _spots(picture: Image, side: int) -> list[tuple[int, int]]:
    """Windows without what is far brighter than the rest, as long as that leaves enough of them.

    The strongest edges of a picture are those of clouds, which stand above the ground: arrays that look from two
    places of the orbit see them truly displaced (measured: a quarter of a pixel between P and MS). They may be there
    where nobody has looked for them yet.
    """
    middle = np.nanmedian(picture) if np.isfinite(picture).any() else np.nan
    scatter = 1.4826 * np.nanmedian(np.abs(picture - middle)) if np.isfinite(middle) else np.nan
    ground = good_spots(np.where(picture <= middle + _BRIGHT * scatter, picture, np.float32(np.nan)), side)
    return ground if len(ground) >= LEAST_WINDOWS else good_spots(picture, side)


def _task(store: Path, group: Group, bands: Sequence[Band], pan: tuple[Group, list[Band]] | None) -> _Task:
    names = [band.name for band in bands]
    reference = next((name for name in REFERENCES if name in names), names[0])
    pairs = [(reference, name) for name in names if name != reference]
    nested = None if pan is None else _nesting(group.levels[0], pan[0].levels[0])
    mean_of: tuple[str, ...] = ()
    if pan is not None and nested is not None:
        mean_of = _under(pan[1][0], bands)
        pairs.append(("+".join(mean_of), pan[1][0].name))
    shortest = min(group.levels[0].shape)
    return _Task(
        store=store,
        group=group,
        side=next((side for side in _SIDES_PX if shortest >= _ROOM * side), 0),
        pairs=tuple(pairs),
        pan=None if pan is None or nested is None else (pan[0], *nested),
        mean_of=mean_of,
    )


def _under(pan: Band, bands: Sequence[Band]) -> tuple[str, ...]:
    """Bands that the panchromatic one covers: their mean looks most like it."""
    if pan.centre_nm is None or pan.fwhm_nm is None:
        return tuple(band.name for band in bands)
    reach = pan.fwhm_nm / 2
    inside = tuple(
        band.name for band in bands if band.centre_nm is not None and abs(band.centre_nm - pan.centre_nm) <= reach
    )
    return inside or tuple(band.name for band in bands)


def _nesting(coarse: Level, fine: Level) -> tuple[int, tuple[int, int]] | None:
    """Fine pixels along a coarse one, and the fine row and column of the coarse grid's corner; None if not whole."""
    a, b = coarse.geobox.affine, fine.geobox.affine
    figures = np.array([a.a / b.a, a.e / b.e, (a.f - b.f) / b.e, (a.c - b.c) / b.a])
    whole = np.round(figures)
    if coarse.geobox.crs != fine.geobox.crs or np.abs(figures - whole).max() > 1e-6 or whole[0] != whole[1]:
        return None
    return int(whole[0]), (int(whole[2]), int(whole[3]))


def _overview(store: Path, group: Group) -> tuple[Image, Level]:
    """A coarse picture of the reference band, NaN where any band has no value, and the level it is of."""
    level = next((level for level in group.levels if max(level.shape) <= _OVERVIEW_PX), group.levels[-1])
    window = (slice(0, level.shape[0]), slice(0, level.shape[1]))
    bands = _bands(store, level, group, window)
    reference = next((name for name in REFERENCES if name in bands), next(iter(bands)))
    known = np.isfinite(np.stack(list(bands.values()))).all(axis=0)
    return np.where(known, bands[reference], np.float32(np.nan)), level


def _bands(store: Path, level: Level, group: Group, window: tuple[slice, slice]) -> dict[str, Image]:
    return {
        name: decode(LocalArray.at(store, f"{level.path}/{name}")[window], encoding)
        for name, encoding in group.encodings.items()
    }


def _window(task: _Task, spot: tuple[int, int]) -> dict[tuple[str, str], tuple[float, float]] | None:
    """Displacements in one window; None where it shows what is no ground."""
    level = task.group.levels[0]
    row, column = (min(max(at, 0), length - task.side) for at, length in zip(spot, level.shape, strict=True))
    window = (slice(row, row + task.side), slice(column, column + task.side))
    flags = LocalArray.at(task.store, f"{level.path}/{QA}")[window]
    if (flags & np.uint16(Qa.NODATA)).any() or np.mean((flags & _DOUBTFUL) != 0) > _DOUBTFUL_PART:
        return None
    bands = _bands(task.store, level, task.group, window)
    if task.pan is not None:
        bands |= _pan_window(task, window, bands)
    return window_shifts(bands, [pair for pair in task.pairs if pair[1] in bands])


def _pan_window(task: _Task, window: tuple[slice, slice], bands: Mapping[str, Image]) -> dict[str, Image]:
    """The panchromatic band averaged over the group's pixels, and the mean of the bands it is held against."""
    assert task.pan is not None
    pan, factor, corner = task.pan
    fine = pan.levels[0]
    cut = tuple(
        slice(at.start * factor + start, at.stop * factor + start) for at, start in zip(window, corner, strict=True)
    )
    name = task.pairs[-1][1]
    mean = np.mean([bands[band] for band in task.mean_of], axis=0, dtype=np.float32)
    if any(part.start < 0 or part.stop > length for part, length in zip(cut, fine.shape, strict=True)):
        averaged = np.full_like(mean, np.nan)
    else:
        values = decode(LocalArray.at(task.store, f"{fine.path}/{name}")[cut[0], cut[1]], pan.encodings[name])
        averaged = values.reshape(task.side, factor, task.side, factor).mean(axis=(1, 3), dtype=np.float64)
    return {name: averaged.astype(np.float32), task.pairs[-1][0]: mean}


def _record(pair: PairShift, resolution_m: float) -> dict[str, Any]:
    about = {"reference": pair.reference, "band": pair.band, "windows": pair.windows, "agreeing": pair.agreeing}
    if pair.not_measurable is not None:
        return about | {"not_measurable": pair.not_measurable}
    figures = {
        "down_px": pair.down_px,
        "right_px": pair.right_px,
        "offset_px": pair.offset_px,
        "nmad_px": pair.nmad_px,
        "error_px": pair.error_px,
        "offset_m": pair.offset_px * resolution_m,
    }
    return about | {name: round(value, 3) + 0.0 for name, value in figures.items()}
