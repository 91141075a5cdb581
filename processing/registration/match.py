"""A scene matched against reference images: tie points in the image, found without anyone's help.

Patches of the scene are predicted on the reference's own grid through the present model and the terrain, so that what
is left between the two is a small displacement; the reference itself is never resampled. Coarse first, for models
that miss by dozens of pixels; then twice at full resolution, the second time with the model that the first gave.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from processing.geometry.extent import ground_sampling_m, terrain_range
from processing.geometry.mapping import lonlat_of_map
from processing.geometry.refine import GroundControlPoint, Refined, refine_from_gcps
from processing.geometry.terrain import Terrain
from processing.model.errors import BadInput
from processing.model.scene import Scene
from processing.model.sensor_model import SensorModel
from processing.registration.correlate import edges, phase_shift
from processing.registration.patches import (
    BLUR_PX,
    PATCH_PX,
    MatchingGrid,
    Patch,
    matching_grid,
    patches_of,
    reference_patches,
)
from processing.registration.predict import GreyScene, ReferenceImage, closed, predict
from processing.registration.reject import consistent, densest

Array = npt.NDArray[np.float64]

MOST_PATCHES = 256
LEAST_POINTS = 6
"""Fewer that agree are no evidence of anything."""
_LEAST_SHARE = 0.35
"""Part of the measured patches that must agree; with less, the images contradict each other."""
_COARSER = (4, 2, 1)
_COARSE_PATCHES = 64
_COARSE_RADIUS_PX = 2.0
_FIRST_REACH_PX = 24.0
_LAST_REACH_PX = 3.0
_AGREE_PX = 1.5
_BACKWARD_PX = 0.15
_LEAST_RATIO = 1.2
_LEAST_CORRELATION = 0.2
_BEND_POINTS = 20
_UPSAMPLE = 25
"""Floors a patch at 0.012 px, far under what real images leave (0.2 px), at a fifth of the cost of 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What matching found."""

    points: tuple[GroundControlPoint, ...]
    """Ground by the reference and the terrain, position in the image by correlation."""
    tried: int
    """Patches that both images see whole."""
    measured: int
    """Of them, those with a clear correlation peak, the same forward and backward."""
    pixel_m: float
    """Ground size of a pixel of the grid that was matched on, m."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Displacements of patches: ground of their centres, where the image shows it, and by how much that is moved."""

    points: tuple[GroundControlPoint, ...]
    position: Array
    """``(points, 2)``: line, sample by the model."""
    displacement: Array
    """``(points, 2)``: measured less modelled, line and sample, px of the image."""
    tried: int


def match_scene(scene: Scene, model: SensorModel, terrain: Terrain, references: Sequence[ReferenceImage]) -> Match:
    """Tie points between a scene and reference images.

    Parameters
    ----------
    scene
        With pixels, calibrated or not.
    model
        The scene's model as it is known; off by up to about 190 pixels of the coarser image.
    terrain
        Heights above the ellipsoid.
    references
        Images on maps; each patch is matched in each that shows it.

    Raises
    ------
    BadInput
        ``reference.no_overlap``: no patch of the scene lies whole in a reference. ``reference.too_few``: fewer than
        six patches agree. ``reference.contradictory``: most patches disagree.
    """
    image, terrain = GreyScene.of(scene), closed(terrain)
    height = sum(terrain_range(model, scene.shape, terrain)) / 2
    pixel_m = ground_sampling_m(model, scene.shape, height)
    grids = [matching_grid(reference, pixel_m, scene, model, height) for reference in references]
    shifted = _coarse(image, model, terrain, grids)
    found = _measured(image, shifted, terrain, grids, _FIRST_REACH_PX)
    found = _measured(image, _improved(shifted, found, scene.shape), terrain, grids, _LAST_REACH_PX)
    kept = consistent(found.position, found.displacement, _AGREE_PX * max(grid.pixel_m for grid in grids) / pixel_m)
    _refuse_weak(kept, found.tried)
    return Match(
        points=tuple(point for point, keep in zip(found.points, kept, strict=True) if keep),
        tried=found.tried,
        measured=len(found.points),
        pixel_m=max(grid.pixel_m for grid in grids),
    )


def _refuse_weak(kept: npt.NDArray[np.bool_], tried: int) -> None:
    agreeing, measured = int(kept.sum()), len(kept)
    if tried == 0:
        raise BadInput(
            "the image and the reference share no ground",
            kind="reference.no_overlap",
            remedy="Check that the reference covers the scene, and that the elevation model does.",
        )
    if agreeing < LEAST_POINTS:
        raise BadInput(
            f"only {agreeing} of {tried} patches were found in the reference; {LEAST_POINTS} are needed",
            kind="reference.too_few",
            remedy="Give a reference with more ground in common, less cloud, or nearer in season and resolution.",
        )
    if agreeing < _LEAST_SHARE * measured:
        raise BadInput(
            f"of {measured} patches found in the reference only {agreeing} agree on a displacement",
            kind="reference.contradictory",
            remedy="The reference may be misplaced in parts, or show other ground than its coordinates say.",
        )


def _coarse(image: GreyScene, model: SensorModel, terrain: Terrain, grids: Sequence[MatchingGrid]) -> SensorModel:
    """The model shifted by what most coarse patches agree on."""
    tried = 0
    for coarser in _COARSER:
        patches = [
            patch for grid in grids for patch in patches_of(image.scene, model, terrain, grid, coarser, _COARSE_PATCHES)
        ]
        found = _correlated(image, model, terrain, patches, np.inf)
        tried = max(tried, found.tried)
        radius = _COARSE_RADIUS_PX * coarser * max(1.0, *(grid.scale for grid in grids))
        together = densest(found.displacement, radius)
        if together.sum() >= max(3, 0.2 * found.tried):
            line, sample = np.median(found.displacement[together], axis=0)
            return Refined(model=model, line=(float(line), 0.0, 0.0), sample=(float(sample), 0.0, 0.0))
    _refuse_weak(np.zeros(0, dtype=np.bool_), tried)
    return model


def _measured(
    image: GreyScene, model: SensorModel, terrain: Terrain, grids: Sequence[MatchingGrid], reach: float
) -> _Found:
    """Displacements at full resolution, none farther than ``reach`` px of the matching grid."""
    patches = [patch for grid in grids for patch in patches_of(image.scene, model, terrain, grid, 1, MOST_PATCHES)]
    return _correlated(image, model, terrain, patches, reach)


def _improved(model: SensorModel, found: _Found, shape: tuple[int, int]) -> SensorModel:
    """The model with the displacements found taken in, so that the last pass has next to nothing left to find."""
    kept = consistent(found.position, found.displacement, 2.0 * _AGREE_PX)
    points = [point for point, keep in zip(found.points, kept, strict=True) if keep]
    if len(points) < LEAST_POINTS:
        return model
    kind = "auto" if len(points) >= _BEND_POINTS else "shift"
    return refine_from_gcps(model, points, kind, shape)[0]


def _correlated(
    image: GreyScene, model: SensorModel, terrain: Terrain, patches: Sequence[Patch], reach: float
) -> _Found:
    """Correlate patches; keep what has a clear peak, is near enough, and comes back the same way."""
    tried, grid_shift, geoboxes, names = 0, [], [], []
    for patch, reference in reference_patches(patches):
        geobox = patch.geobox(PATCH_PX)
        moving = edges(predict(image, model, terrain, geobox, scale=patch.scale), BLUR_PX)
        if moving is None:
            continue
        tried += 1
        shift = _displacement(reference, moving, reach)
        if shift is not None:
            grid_shift.append(shift)
            geoboxes.append(geobox)
            row, col = ((start + PATCH_PX // 2) * patch.factor for start in (patch.row, patch.col))
            names.append(f"{patch.grid.reference.name} {row},{col}")
    if not grid_shift:
        return _Found(points=(), position=np.zeros((0, 2)), displacement=np.zeros((0, 2)), tried=tried)
    return _in_image(model, terrain, geoboxes, np.array(grid_shift), names, tried)


def _displacement(reference: npt.NDArray[np.float32], moving: npt.NDArray[np.float32], reach: float) -> Array | None:
    """Rows and columns by which the moving patch is displaced; None where that is not clear.

    Of gradients, because bands differ in brightness but share their edges; by phase, because seasons differ in
    contrast.
    """
    forward = phase_shift(reference, moving, upsample=_UPSAMPLE)
    if (
        not forward.found
        or forward.ratio < _LEAST_RATIO
        or forward.correlation < _LEAST_CORRELATION
        or np.hypot(forward.dy, forward.dx) > reach
    ):
        return None
    backward = phase_shift(moving, reference, upsample=_UPSAMPLE)
    if not backward.found or np.hypot(forward.dy + backward.dy, forward.dx + backward.dx) > _BACKWARD_PX:
        return None
    return np.array([forward.dy, forward.dx])


def _in_image(
    model: SensorModel, terrain: Terrain, geoboxes: Sequence[GeoBox], shift: Array, names: Sequence[str], tried: int
) -> _Found:
    """Displacements on the map as displacements in the image.

    The orthoimage shows at ``centre + shift`` what truly lies at ``centre``: the image holds it where the model put
    ``centre + shift``.
    """
    centre = np.array([[geobox.shape[0] / 2, geobox.shape[1] / 2] for geobox in geoboxes])
    ground = [_ground(geoboxes, at, terrain) for at in (centre, centre + shift)]
    (lon, lat, height), seen = ground
    line, sample = model.ground_to_image(*seen)
    position = np.column_stack(model.ground_to_image(lon, lat, height))
    known = np.isfinite(line) & np.isfinite(sample) & np.isfinite(position).all(axis=1)
    points = tuple(
        GroundControlPoint(
            lon=float(lon[i]),
            lat=float(lat[i]),
            height=float(height[i]),
            line=float(line[i]),
            sample=float(sample[i]),
            name=names[i],
        )
        for i in np.flatnonzero(known).tolist()
    )
    displacement = np.column_stack([line, sample]) - position
    return _Found(points=points, position=position[known], displacement=displacement[known], tried=tried)


def _ground(geoboxes: Sequence[GeoBox], at: Array, terrain: Terrain) -> tuple[Array, Array, Array]:
    """Longitude, latitude, height of one position (row, column) in each grid."""
    lonlat = np.array(
        [lonlat_of_map(geobox, *position) for geobox, position in zip(geoboxes, at, strict=True)], dtype=np.float64
    )
    return lonlat[:, 0], lonlat[:, 1], terrain.height(lonlat[:, 0], lonlat[:, 1])
