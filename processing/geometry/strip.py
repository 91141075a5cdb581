"""Strips: a scene cut to a range of its lines is a scene."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from processing.geometry.ellipsoid import to_earth_fixed
from processing.geometry.pushbroom import Pushbroom
from processing.geometry.rpc import Rpc
from processing.model.errors import BadInput, Defect
from processing.model.levels import Quantity
from processing.model.scene import Angles, PixelSource, Scene
from processing.model.sensor_model import SensorModel

Array = npt.NDArray[np.float64]

LEAST_LINES = 16
"""Fewer are no image: interpolation and terrain need some around each pixel."""
_ANY_HEIGHTS = (-500.0, 9000.0)
"""Of the ground, m above the ellipsoid, where the model does not say for which it was made."""
_PROBES = 33
"""Samples across the image at which the edges of a cut are carried from one image to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted:
    """A sensor model of an image whose first line is another's line ``first``: whatever that model is made of."""

    model: SensorModel
    first: int

    def ground_to_image(self, lon: npt.ArrayLike, lat: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(line, sample)`` that sees a ground point."""
        line, sample = self.model.ground_to_image(lon, lat, height)
        return line - self.first, sample

    def image_to_ground(self, line: npt.ArrayLike, sample: npt.ArrayLike, height: npt.ArrayLike) -> tuple[Array, Array]:
        """``(lon, lat)`` seen by an image point at a height."""
        return self.model.image_to_ground(np.asarray(line, dtype=np.float64) + self.first, sample, height)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSource:
    """A range of lines of a source of pixels."""

    source: PixelSource
    first: int
    lines: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, lines, samples."""
        return self.source.shape[0], self.lines, self.source.shape[2]

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self.source.dtype

    @property
    def block(self) -> tuple[int, int]:
        """Lines and samples of a stored block."""
        block: tuple[int, int] = getattr(self.source, "block", (1, 1))
        return block

    def __getitem__(self, index: tuple[slice, slice, slice]) -> npt.NDArray[Any]:
        bands, lines, samples = index
        start, stop, step = lines.indices(self.lines)
        return self.source[bands, slice(start + self.first, max(stop, start) + self.first, step), samples]


def cut_model(model: SensorModel, first: int, lines: int) -> SensorModel:
    """The model of lines ``first`` (from 0) to ``first + lines`` of an image."""
    if isinstance(model, Rpc):
        return replace(model, line_off=model.line_off - first)
    if isinstance(model, Pushbroom):
        return model.cut(first, lines)
    if isinstance(model, Shifted):
        return Shifted(model=model.model, first=model.first + first)
    # A correction in the image is a function of the whole image's lines: it stays inside.
    return Shifted(model=model, first=first)


def cut_scene(scene: Scene, first_line: int, lines: int) -> Scene:
    """A segment of a scene, cut to a range of lines.

    Pixels, models, time, view angles and footprint are those of the segment; the sun's angles stay those of the whole
    scene's centre, and a warning says so (reflectance is computed with the sun over each pixel in any case).

    Parameters
    ----------
    scene
        In delivered counts: calibration comes after the cut.
    first_line
        The segment's first line, counted from 1 as in the trade's orders.
    lines
        How many lines.

    Returns
    -------
    Scene
        Its ``scene_id`` ends in ``_L<first_line>-<last_line>``.

    Raises
    ------
    BadInput
        ``strip.range`` for lines the scene does not have, or fewer than 16.
    Defect
        ``strip.calibrated`` for a scene that is calibrated already.
    """
    if scene.quantity is not Quantity.DN or scene.calibration is not None:
        raise Defect("a scene is cut before it is calibrated", kind="strip.calibrated")
    last_line = first_line + lines - 1
    if first_line < 1 or lines < LEAST_LINES or last_line > scene.shape[0]:
        raise BadInput(
            f"lines {first_line} to {last_line} are not a segment of '{scene.scene_id}', which has {scene.shape[0]}",
            kind="strip.range",
            where=scene.scene_id,
            remedy=f"Lines count from 1; give the first one and how many there are, {LEAST_LINES} at least.",
        )
    first = first_line - 1
    model = None if scene.model is None else cut_model(scene.model, first, lines)
    shape = (lines, scene.shape[1])
    later, warnings = _later_s(scene, first + lines / 2)
    return scene.but(
        scene_id=f"{scene.scene_id}_L{first_line}-{last_line}",
        acquired=scene.acquired + timedelta(seconds=later),
        shape=shape,
        model=model,
        rigorous=None if scene.rigorous is None else cut_model(scene.rigorous, first, lines),
        source=None if scene.source is None else CutSource(source=scene.source, first=first, lines=lines),
        angles=scene.angles if model is None else _angles(scene.angles, model, shape),
        footprint=() if model is None else _footprint(model, shape),
        platform_facts=scene.platform_facts | {f"first_line_{scene.group}": first_line, f"lines_{scene.group}": lines},
        warnings=(*scene.warnings, *warnings),
    )


def cut_scenes(scenes: Sequence[Scene], first_line: int, lines: int) -> tuple[Scene, ...]:
    """The images of one acquisition, cut to the same ground.

    The range counts lines of the image that has the fewest (the multispectral one). Every other image is cut to the
    lines that see the same ground, as the models have it, outward to whole lines: detector lines look ahead of each
    other and start at different times, so that no fixed factor relates their lines.

    Parameters
    ----------
    scenes
        With models, in delivered counts.
    first_line, lines
        As in :func:`cut_scene`.

    Raises
    ------
    BadInput
        As :func:`cut_scene`; ``strip.apart`` where another image does not see that ground.
    """
    coarsest = min(scenes, key=lambda scene: scene.shape[0])
    cut = []
    for scene in scenes:
        if scene is coarsest:
            cut.append(cut_scene(scene, first_line, lines))
            continue
        first, last = _same_ground(coarsest, scene, first_line - 1, lines)
        cut.append(cut_scene(scene, first + 1, last - first))
    return tuple(cut)


def _same_ground(scene: Scene, other: Scene, first: int, lines: int) -> tuple[int, int]:
    """First line (from 0) and end of the lines of another image that see what these lines see."""
    cut_scene(scene, first + 1, lines)
    if scene.model is None or other.model is None:
        raise BadInput(
            f"'{other.scene_id}' has no sensor model to find the same ground by",
            kind="strip.apart",
            where=other.scene_id,
        )
    edge, sample, height = np.meshgrid(
        [float(first), float(first + lines)],
        np.linspace(0.0, scene.shape[1], _PROBES),
        np.linspace(*_heights(scene.model), 5),
        indexing="ij",
    )
    seen, _ = other.model.ground_to_image(*scene.model.image_to_ground(edge, sample, height), height)
    if np.isfinite(seen).any():
        begin, end = max(int(np.floor(np.nanmin(seen))), 0), min(int(np.ceil(np.nanmax(seen))), other.shape[0])
        if end - begin >= LEAST_LINES:
            return begin, end
    raise BadInput(
        f"'{other.scene_id}' ({other.group}) does not see the ground of lines {first + 1} to {first + lines} of the "
        f"{scene.group} image",
        kind="strip.apart",
        where=other.scene_id,
    )


def _heights(model: SensorModel) -> tuple[float, float]:
    """Lowest and highest ground that a model was made for, m."""
    if isinstance(model, Rpc):
        return model.height_off - model.height_scale, model.height_off + model.height_scale
    inner = getattr(model, "model", None)
    return _ANY_HEIGHTS if inner is None else _heights(inner)


def _later_s(scene: Scene, centre: float) -> tuple[float, tuple[str, ...]]:
    """How much later than the scene's centre a line is seen, s, and what to say of the figures that are not known."""
    period = scene.rigorous.line_period_s if isinstance(scene.rigorous, Pushbroom) else None
    stated = scene.platform_facts.get(f"line_period_s_{scene.group}")
    if period is None and isinstance(stated, float):
        period = stated
    notes = []
    if scene.angles.sun_zenith_deg is not None:
        notes.append("the sun's angles are stated for the whole scene's centre, not for this segment's")
    if period is None:
        notes.append("the line period is not known: the time is that of the whole scene's centre")
        return 0.0, tuple(notes)
    return (centre - scene.shape[0] / 2) * period, tuple(notes)


def _angles(angles: Angles, model: SensorModel, shape: tuple[int, int]) -> Angles:
    """Angles with the view as the model has it at the image's centre: along the line through two heights."""
    heights = np.array([0.0, 1000.0])
    lon, lat = np.radians(model.image_to_ground(shape[0] / 2, shape[1] / 2, heights))
    low, high = (np.array(to_earth_fixed(*place)) for place in zip(lon, lat, heights, strict=True))
    if not np.isfinite([*low, *high]).all():
        return replace(angles, view_zenith_deg=None, view_azimuth_deg=None)
    east = np.array([-np.sin(lon[0]), np.cos(lon[0]), 0.0])
    up = np.array([np.cos(lat[0]) * np.cos(lon[0]), np.cos(lat[0]) * np.sin(lon[0]), np.sin(lat[0])])
    x, y, z = (float((high - low) @ axis) for axis in (east, np.cross(up, east), up))
    return replace(
        angles,
        view_zenith_deg=float(np.degrees(np.arctan2(np.hypot(x, y), z))),
        view_azimuth_deg=float(np.degrees(np.arctan2(x, y)) % 360.0),
    )


def _footprint(model: SensorModel, shape: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Ring of (lon, lat) of the outer corners at the model's middle height; empty where it does not see them."""
    lines, samples = np.array([0, 0, shape[0], shape[0]], float), np.array([0, shape[1], shape[1], 0], float)
    lon, lat = model.image_to_ground(lines, samples, sum(_heights(model)) / 2)
    return tuple(zip(lon.tolist(), lat.tolist(), strict=True)) if np.isfinite(lon).all() else ()
