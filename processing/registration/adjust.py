"""Overlapping scenes brought together: one least-squares adjustment of all their corrections in image space.

Where two scenes see the same ground, small orthoimages of both are predicted on one grid over the terrain and
correlated. The ground a scene shows at a place moves by minus its correction, seen through its own geometry; so each
displacement between two scenes is one linear equation in both corrections. What no equation holds, the place of the
block as a whole, stays where the models put it on average (a free network), or where anchored scenes do.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS

from processing.geometry.extent import ground_sampling_m, image_border, map_bounds, terrain_range, utm_crs
from processing.geometry.mapping import lonlat_of_map
from processing.geometry.refine import Refined
from processing.geometry.refine_fit import TERMS
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel
from processing.registration.correlate import edges, phase_shift
from processing.registration.network import Tie, solved
from processing.registration.predict import GreyScene, closed, predict
from processing.registration.reject import consistent

Array = npt.NDArray[np.float64]

PATCH_PX = 64
MOST_PATCHES = 200
LEAST_POINTS = 6
_ROUNDS = 2
_REACH_PX = 20.0
_BLUR_PX = 1.0
_LEAST_RATIO = 1.2
_AGREE_PX = 1.0
_STEP_M = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """How well two scenes of a block agree on the ground they share."""

    scenes: tuple[str, str]
    points: int
    rejected: int
    before_m: float
    """Length of the median displacement between them before the adjustment, m."""
    after_m: float
    """And after."""
    mad_m: float
    """Median length of the displacements after the adjustment, m: their spread and what bias is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockReport:
    """How an adjustment came about."""

    kind: str
    """``shift``, ``drift`` or ``affine``: of every scene that was not anchored."""
    anchored: tuple[str, ...]
    pairs: tuple[PairAgreement, ...]
    shifts_px: dict[str, tuple[float, float]]
    """Correction (line, sample) at the centre of each scene."""


def adjust_block(
    scenes: Mapping[str, Scene], terrain: Terrain, *, kind: str = "shift", anchored: Collection[str] = ()
) -> tuple[dict[str, Refined], BlockReport]:
    """Correct the models of overlapping scenes so that their orthoimages agree.

    Parameters
    ----------
    scenes
        By name; each with a model and pixels, of one season and resolution enough alike to be correlated.
    terrain
        Of all of them, heights above the ellipsoid. Its errors are what no correction takes away.
    kind
        ``shift``, ``drift`` or ``affine``.
    anchored
        Names of scenes whose place is known (by control points or a reference): they stay, the others come to them.
        Without any, the corrections cancel over all scenes.

    Returns
    -------
    models, report
        A model for every scene.

    Raises
    ------
    BadInput
        ``block.too_few`` for under two scenes, or points that do not support the kind; ``block.apart`` when scenes
        have no chain of overlaps to the rest; ``block.anchor`` for an unknown anchor, or nothing left to move.
    """
    _check(scenes, kind, anchored)
    terrain = closed(terrain)
    models: dict[str, SensorModel] = {name: _model_of(scene) for name, scene in scenes.items()}
    total = {name: np.eye(3) for name in scenes}
    before: dict[tuple[str, str], float] = {}
    for _ in range(_ROUNDS):
        ties = _ties(scenes, models, terrain)
        _refuse_apart(scenes, ties)
        before = before or {tie.scenes: float(np.hypot(*np.median(tie.displacement, axis=0))) for tie in ties}
        for name, coefficients in solved(scenes, ties, kind, anchored).items():
            step = np.eye(3)
            step[:, 1:] += coefficients
            total[name] = total[name] @ step
            models[name] = _corrected(_model_of(scenes[name]), total[name])
    ties = _ties(scenes, models, terrain)
    refined = {name: _corrected(_model_of(scene), total[name]) for name, scene in scenes.items()}
    return refined, BlockReport(
        kind=kind,
        anchored=tuple(sorted(anchored)),
        pairs=tuple(_agreement(tie, before.get(tie.scenes, np.nan)) for tie in ties),
        shifts_px={name: _at_centre(total[name], scenes[name].shape) for name in scenes},
    )


def _check(scenes: Mapping[str, Scene], kind: str, anchored: Collection[str]) -> None:
    if kind not in TERMS:
        raise BadInput(f"unknown correction '{kind}'; known: {', '.join(TERMS)}", kind="block.kind")
    if len(scenes) < 2:
        raise BadInput("a block takes two scenes or more", kind="block.too_few")
    if unknown := sorted(set(anchored) - set(scenes)):
        raise BadInput(f"no scene of the block is called {', '.join(unknown)}", kind="block.anchor")
    if len(set(anchored)) == len(scenes):
        raise BadInput("all scenes are anchored, none is left to move", kind="block.anchor")


def _model_of(scene: Scene) -> SensorModel:
    if scene.model is None:
        raise BadInput(f"scene '{scene.scene_id}' has no sensor model", kind="geometry.no_model")
    return scene.model


def _corrected(model: SensorModel, total: Array) -> Refined:
    """A model with a correction ``(1, L, S) @ total``."""
    c = total - np.eye(3)
    line, sample = ((float(c[0, k]), float(c[1, k]), float(c[2, k])) for k in (1, 2))
    return Refined(model=model, line=line, sample=sample)


def _at_centre(total: Array, shape: tuple[int, int]) -> tuple[float, float]:
    moved = np.array([1.0, shape[0] / 2, shape[1] / 2]) @ (total - np.eye(3))
    return float(moved[1]), float(moved[2])


def _ties(scenes: Mapping[str, Scene], models: Mapping[str, SensorModel], terrain: Terrain) -> list[Tie]:
    """Displacements between all pairs that overlap, blunders left out."""
    images = {name: GreyScene.of(scene) for name, scene in scenes.items()}
    bounds = {name: _map_bounds(scenes[name], models[name], terrain) for name in scenes}
    crs = next(iter(bounds.values()))[1]
    found = []
    for first, second in combinations(scenes, 2):
        pixel = max(_pixel_m(scenes[name], models[name], terrain) for name in (first, second))
        boxes = np.array([bounds[first][0], bounds[second][0]])
        shared = (*boxes[:, :2].max(axis=0), *boxes[:, 2:].min(axis=0))
        grids = _grids(shared, pixel, crs)
        tie = _measured((first, second), images, models, terrain, grids)
        if tie is not None:
            found.append(tie)
    return found


def _map_bounds(scene: Scene, model: SensorModel, terrain: Terrain) -> tuple[tuple[float, ...], str]:
    """Ground that a scene sees, in metres, and the CRS: the terrain's where that is a projection, else UTM."""
    border = image_border(model, scene.shape, terrain_range(model, scene.shape, terrain))
    crs = terrain.crs if CRS.from_user_input(terrain.crs).is_projected else utm_crs(*border)
    return map_bounds(*border, crs), crs


def _pixel_m(scene: Scene, model: SensorModel, terrain: Terrain) -> float:
    return ground_sampling_m(model, scene.shape, sum(terrain_range(model, scene.shape, terrain)) / 2)


def _grids(shared: tuple[float, ...], pixel: float, crs: str) -> list[GeoBox]:
    """Patches spread evenly over a rectangle of the map."""
    left, bottom, right, top = shared
    side = PATCH_PX * pixel
    if right - left < side or top - bottom < side:
        return []
    step = max(side / 2, np.sqrt((right - left) * (top - bottom) / MOST_PATCHES))
    return [
        GeoBox((PATCH_PX, PATCH_PX), Affine(pixel, 0.0, float(x), 0.0, -pixel, float(y)), crs)
        for y in np.arange(top, bottom + side, -step)
        for x in np.arange(left, right - side, step)
    ]


def _measured(
    pair: tuple[str, str],
    images: Mapping[str, GreyScene],
    models: Mapping[str, SensorModel],
    terrain: Terrain,
    grids: list[GeoBox],
) -> Tie | None:
    """Displacements between two scenes in patches that both see whole."""
    found, where, tried = [], [], 0
    for grid in grids:
        patches = [predict(images[name], models[name], terrain, grid) for name in pair]
        first, second = (edges(patch, _BLUR_PX) for patch in patches)
        if first is None or second is None:
            continue
        tried += 1
        shift = phase_shift(first, second)
        if shift.found and shift.ratio >= _LEAST_RATIO and np.hypot(shift.dy, shift.dx) <= _REACH_PX:
            found.append([shift.dx * grid.affine.a, shift.dy * grid.affine.e])
            where.append(lonlat_of_map(grid, np.array(PATCH_PX / 2), np.array(PATCH_PX / 2)))
    if len(found) < LEAST_POINTS:
        return None
    displacement, lonlat = np.array(found), np.array(where, dtype=np.float64)
    seen = [_seen(models[name], lonlat, terrain) for name in pair]
    kept = consistent(seen[0][0], displacement, _AGREE_PX * grids[0].affine.a)
    kept &= np.isfinite(seen[0][0]).all(axis=1) & np.isfinite(seen[1][0]).all(axis=1)
    if kept.sum() < LEAST_POINTS:
        return None
    return Tie(
        scenes=pair,
        displacement=displacement[kept],
        position=(seen[0][0][kept], seen[1][0][kept]),
        inverse=(seen[0][1][kept], seen[1][1][kept]),
        tried=tried,
    )


def _seen(model: SensorModel, lonlat: Array, terrain: Terrain) -> tuple[Array, Array]:
    """Where a model sees ground points, and metres (east, north) a pixel of (line, sample) there, at one height."""
    lon, lat = lonlat.T
    height = terrain.height(lon, lat)
    at = np.column_stack(model.ground_to_image(lon, lat, height))
    metre_lat = 1.0 / 111_320.0
    metre_lon = metre_lat / np.cos(np.radians(lat))
    east = np.column_stack(model.ground_to_image(lon + _STEP_M * metre_lon, lat, height)) - at
    north = np.column_stack(model.ground_to_image(lon, lat + _STEP_M * metre_lat, height)) - at
    forward = np.stack([east, north], axis=2) / _STEP_M
    return at, np.linalg.inv(forward)


def _refuse_apart(scenes: Mapping[str, Scene], ties: list[Tie]) -> None:
    """Every scene must hang together with the first."""
    together = {next(iter(scenes))}
    for _ in scenes:
        together.update(name for tie in ties if together & set(tie.scenes) for name in tie.scenes)
    if apart := [name for name in scenes if name not in together]:
        raise BadInput(
            f"{', '.join(apart)} could not be tied to the other scenes",
            kind="block.apart",
            remedy="Check that they overlap on terrain that is known, and look alike there.",
        )


def _agreement(tie: Tie, before: float) -> PairAgreement:
    return PairAgreement(
        scenes=tie.scenes,
        points=len(tie.displacement),
        rejected=tie.tried - len(tie.displacement),
        before_m=before,
        after_m=float(np.hypot(*np.median(tie.displacement, axis=0))),
        mad_m=float(np.median(np.hypot(*tie.displacement.T))),
    )
